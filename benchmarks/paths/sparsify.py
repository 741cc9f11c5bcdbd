"""Networks of few weights: python benchmarks/paths/sparsify.py

A 64-100-50-10 network learns digits for 800 presentations of 64 rows (Adam). Its rate, and
whether pixels are divided each by its own deviation or all by one, are chosen by what it
scores then, with all weights, on the *validation* part over eight seeds; so all methods begin
with the same networks. These are pruned there (one-shot magnitude pruning) or meet inputs
alone for 800 more presentations, on which four rules live:

- `FixedMask` prunes at the boundary and is taught what is left by the network as it was
  (distillation);
- `GradualMask`, of this file, has the same mask and gets there as slowly as the walk;
- `SparsePull` is the walk, which judges again at every step what is small: told by the old
  network about all inputs that come, and, as in the paper, about 50 stored ones only.

Each gets five rates of Adam for that, which fall linearly to 0 on the way. One is chosen at
80% of the weights lost (for up to 80%), one at 90% and one at 95%, by the mean score on the
*validation* part over the same eight seeds. Ten others are scored on the *test* part.

Writes docs/paths/sparsify.json, sparsify.md and sparsify.png.
"""

import json
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs._classification import evenly_scaled
from plasticgym.envs._lifetime import examine
from plasticgym.rules._atomic import write_atomically

HIDDEN, BATCH, DENSE, WALK = (100, 50), 64, 800, 800
SPARSITIES, NOTHING = (0.5, 0.7, 0.8, 0.9, 0.95), 1e-6
CHOSEN_AT = {0.5: 0.8, 0.7: 0.8, 0.8: 0.8, 0.9: 0.9, 0.95: 0.95}
LEARNING, RATES = (0.001, 0.002, 0.004, 0.008), (0.002, 0.005, 0.012, 0.03, 0.08)
DEVIATIONS = {"own": lambda problem: problem, "one": evenly_scaled}
TUNED_ON, SEEDS = range(100, 108), range(7100, 7110)
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "paths"


ASKED = sorted({*CHOSEN_AT.values()})


@final
class GradualMask(pg.rules.AbstractDirection):
    """The mask of `FixedMask`, with the schedule of `SparsePull`."""

    mask: pg.rules.FixedMask
    steps: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    @property
    def sparsity(self):
        return self.mask.sparsity

    def init(self, weights):
        return self.mask.init(weights)

    def remember(self, kept, weights, *, body, key):
        return self.mask.remember(kept, weights, body=body, key=key)

    def step(self, before, after, kept, *, clock, body):
        masked = self.mask.step(before, after, kept, clock=clock, body=body)
        share = jnp.minimum((clock.time.astype(float) + 1.0) / self.steps, 1.0)
        lost = jnp.where(clock.ended > 0, share**2, 0.0)
        return tuple(w + lost * (m - w) for w, m in zip(after, masked, strict=True))


def inputs_alone(direction):
    return pg.rules.InvariantWalk(pg.rules.Adam(), direction)


PULL, MASK = pg.rules.SparsePull(steps=WALK), pg.rules.FixedMask()
METHODS = {
    "one-shot, distilled": inputs_alone(MASK),
    "gradual, distilled": inputs_alone(GradualMask(MASK, float(WALK))),
    "invariant walk": inputs_alone(PULL),
    "walk, 50 anchors": pg.rules.InvariantPath(pg.rules.Adam(), direction=PULL),
}


def main():
    pg.benchmarks.use_cache()
    tried = {(d, r): learned_by(d, r) for d in DEVIATIONS for r in LEARNING}
    begun = max(tried, key=lambda setting: tried[setting])
    print("with all weights:", tried, flush=True)
    pruned_at = networks(*begun, SEEDS, jnp.asarray((NOTHING, *SPARSITIES)), "test")
    dense, scores = pruned_at[:, 0], {"one-shot pruning": pruned_at[:, 1:]}
    validated, rates = {}, {}
    for name in METHODS:
        validated[name] = tuned(name, *begun)
        rates[name] = [best(validated[name], p) for p in SPARSITIES]
        scores[name] = at_all(name, *begun, rates[name])
    report = {
        "command": "python benchmarks/paths/sparsify.py",
        "machine": machine()._asdict(),
        "tuned on": {"part": "validation", "seeds": list(TUNED_ON)},
        "dense tried": [[*setting, found] for setting, found in tried.items()],
        "dense": {"deviation": begun[0], "rate": begun[1], "scores": dense.tolist()},
        "rates tried": list(RATES),
        "tried at": [*ASKED],
        "tried": {name: of.tolist() for name, of in validated.items()},
        "rates": rates,
        "seeds": list(SEEDS),
        "sparsities": list(SPARSITIES),
        "scores": {name: of.tolist() for name, of in scores.items()},
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "sparsify.json", text.encode())
    write_atomically(FOLDER / "sparsify.md", page(dense, scores, begun).encode())
    draw(dense, scores)


def learned_by(deviation, rate):
    """The mean validation score with all weights."""
    found = networks(deviation, rate, TUNED_ON, jnp.asarray([NOTHING]), "validation")
    return float(found.mean())


def tuned(name, deviation, begun):
    """Mean validation scores, shape `(rates, sparsities at which one is chosen)`."""
    every = np.repeat(RATES, len(ASKED)), np.tile(ASKED, len(RATES))
    found = walked(name, deviation, begun, TUNED_ON, *every, "validation").mean(0)
    found = found.reshape(len(RATES), len(ASKED))
    print(f"{name}:", *found.round(4), sep="\n", flush=True)
    return found


def best(found, sparsity):
    return RATES[int(found[:, ASKED.index(CHOSEN_AT[sparsity])].argmax())]


def at_all(name, deviation, begun, rates):
    """Test scores, shape `(seeds, sparsities)`."""
    found = walked(name, deviation, begun, SEEDS, rates, SPARSITIES, "test")
    print(f"{name}, {rates}:", *map(told, found.T), flush=True)
    return found


def thinning(deviation):
    sizes = {"hidden": HIDDEN, "batch": BATCH, "presentations": DENSE + WALK}
    digits = DEVIATIONS[deviation](pg.envs.digits(**sizes))
    return pg.envs.Sparsify(digits, SPARSITIES[0], dense=DENSE)


def networks(deviation, rate, seeds, sparsities, part):
    """Scores of networks that learned and do not walk, shape `(seeds, sparsities)`."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    rule, problem = pg.rules.Adam(rate=rate), thinning(deviation)
    return np.asarray(_networks(rule, problem, sparsities, keys, part))


@eqx.filter_jit
def _networks(rule, problem, sparsities, keys, part):
    def life(key):
        learned = went_on(rule, problem, pg.envs.born(rule, problem, key=key), DENSE)
        at = lambda s: scored(rule, asking(problem, s), learned, part)  # noqa: E731
        return jax.vmap(at)(sparsities)

    return jax.vmap(life)(keys)


def walked(name, deviation, begun, seeds, rates, sparsities, part):
    """Scores at the ends of walks from the same networks, shape `(seeds, walks)`."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    rule, problem = at_rate(METHODS[name], jnp.asarray(begun, float)), thinning(deviation)
    courses = jnp.asarray(rates, float), jnp.asarray(sparsities, float)
    return np.asarray(_walked(rule, problem, *courses, keys, part))


@eqx.filter_jit
def _walked(rule, problem, rates, sparsities, keys, part):
    def life(key):
        born = pg.envs.born(rule, problem, key=key)
        learned = went_on(rule, problem, born, DENSE - 1)

        def thin(rate, sparsity):
            asked = asking(problem, sparsity)
            mine = eqx.tree_at(lambda r: r.direction.sparsity, rule, sparsity)
            ended, _ = pg.envs.step(mine, asked, learned)  # the boundary

            def presented(life, left):
                return pg.envs.step(at_rate(mine, left * rate), asked, life)[0], None

            left = 1.0 - jnp.arange(WALK, dtype=float) / WALK
            return scored(mine, asked, jax.lax.scan(presented, ended, left)[0], part)

        return jax.vmap(thin)(rates, sparsities)

    return jax.vmap(life)(keys)


def at_rate(rule, rate):
    return eqx.tree_at(lambda r: r.rule.rate, rule, rate)


def went_on(rule, problem, life, presentations):
    go = lambda life, _: (pg.envs.step(rule, problem, life)[0], None)  # noqa: E731
    return jax.lax.scan(go, life, length=presentations)[0]


def asking(problem, sparsity):
    return eqx.tree_at(lambda p: p.sparsity, problem, sparsity)


def scored(rule, problem, life, part):
    return examine(rule, problem, life, part=part)[0].score


def told(values):
    """Mean and 95% interval, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}"


def page(dense, scores, begun):
    head = ["weights lost", *(f"{p:.0%}" for p in SPARSITIES)]
    ours = scores["invariant walk"]
    rows = [[name, *map(told, found.T)] for name, found in scores.items()]
    for name in ("one-shot, distilled", "gradual, distilled"):
        rows.append([f"walk - {name}", *map(told, (ours - scores[name]).T)])
    rows.append(["walk - all weights", *map(told, (ours - dense[:, None]).T)])
    lines = [head, ["---"] * len(head), *rows]
    note = (
        f"Balanced accuracy on the test part in percent, mean ± 95% interval (Student's t) "
        f"over {len(SEEDS)} seeds; all weights: {told(dense)}, learned at {begun[1]:g} with "
        f"{begun[0]} deviation. `python benchmarks/paths/sparsify.py`; {machine()}."
    )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", note, ""])


def draw(dense, scores):
    figure = Figure(figsize=(6.4, 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    places = [100 * p for p in SPARSITIES]
    panel.axhline(100 * dense.mean(), color="0.6", lw=1, label="all weights")
    for name, found in scores.items():
        mean, half = 100 * found.mean(0), 100 * half_width(found)
        panel.errorbar(places, mean, half, marker="o", ms=4, capsize=3, label=name)
    panel.set_xlabel("weights lost (%)")
    panel.set_ylabel("test accuracy (%)")
    panel.legend(frameon=False)
    figure.savefig(FOLDER / "sparsify.png")


if __name__ == "__main__":
    main()
