"""What rules that read no feedback do on digits: python benchmarks/rules/unsupervised.py

Each lives 400 presentations of 32 rows in a network of 64 inputs and 10 outputs, from 16
seeds, at the default rate. Then its outputs are looked at on the *validation* part:

- explained: the share of the variance of the inputs that a linear map from the outputs
  (fitted on the train part) gives back; 10 principal components give the most;
- correlation: the mean magnitude of the correlation of two outputs;
- selectivity: 1 less the mean over the maximum of an output's magnitude, over images,
  averaged over outputs; 0 for one that is always the same;
- read-out: the balanced accuracy of logistic regression (fitted on the train part).

Newborn networks and principal components stand beside. The table goes to
docs/choose-a-rule.md; intervals are 95%, by Student's t over seeds.
"""

import jax
import jax.numpy as jnp
import numpy as np
from page import put
from readout import accuracy, each, inputs_of, lived, newborn
from sklearn.decomposition import PCA

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._standing_alone import standing_alone
from plasticgym.benchmarks._statistics import half_width

SEEDS = range(16)
MEASURES = ("explained", "correlation", "selectivity", "read-out")


def main():
    pg.benchmarks.use_cache()
    problem = pg.envs.digits(hidden=(), presentations=400)
    keys = jax.vmap(jax.random.key)(jnp.asarray(SEEDS))
    lines = [f"| rule | {' | '.join(MEASURES)} |", "|---" * (1 + len(MEASURES)) + "|"]
    inputs = {part: np.asarray(rows) for part, rows in inputs_of(problem).items()}
    components = PCA(10, random_state=0).fit(inputs["train"]).transform
    best = {part: components(rows)[None] for part, rows in inputs.items()}
    lines.append(row("10 principal components", best, problem))
    start = newborn(pg.rules.make("oja"), problem, keys=keys)
    lines.append(row("newborn", start, problem))
    for name, rule in silent().items():
        lines.append(row(f"`{name}`", lived(rule, problem, keys=keys), problem))
    told = f"`python benchmarks/rules/unsupervised.py`, {len(SEEDS)} seeds; {machine()}."
    put("unsupervised", "\n".join([*lines, "", told]))


def silent() -> dict[str, pg.rules.AbstractRule]:
    """The registered rules that read no feedback."""
    rules = {name: pg.rules.make(name) for name in standing_alone()}
    return {name: rule for name, rule in rules.items() if not rule.reads}


def row(name, outputs, problem):
    """A line of the table: mean and interval of each measure over networks."""
    values = np.asarray([measured(one, problem) for one in each(outputs)])
    cells = [
        f"{mean:.3f}" + (f" ± {half:.3f}" if np.isfinite(half) else "")
        for mean, half in zip(values.mean(0), half_width(values), strict=True)
    ]
    print(name, *cells)
    return f"| {name} | {' | '.join(cells)} |"


def measured(one, problem):
    """The four measures of one network."""
    inputs = {part: np.asarray(rows) for part, rows in inputs_of(problem).items()}
    design = {part: np.c_[rows, np.ones(len(rows))] for part, rows in one.items()}
    back = np.linalg.lstsq(design["train"], inputs["train"], rcond=None)[0]
    missed = inputs["validation"] - design["validation"] @ back
    spread = inputs["validation"] - inputs["train"].mean(0)
    y = one["validation"]
    with np.errstate(invalid="ignore"):
        r = np.nan_to_num(np.corrcoef(y.T), nan=1.0)  # outputs that never change
    size = np.abs(y)
    return [
        1 - (missed**2).sum() / (spread**2).sum(),
        np.abs(r[~np.eye(len(r), dtype=bool)]).mean(),
        (1 - size.mean(0) / np.maximum(size.max(0), 1e-12)).mean(),
        accuracy(one, problem),
    ]


if __name__ == "__main__":
    main()
