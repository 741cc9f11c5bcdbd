"""Networks of few weights: python benchmarks/paths/sparsify.py

A 64-100-50-10 network learns digits for 800 presentations of 64 rows (Adam). Then it meets
inputs alone for 800 more, and loses all but its largest weights. Three rules live so: Adam,
which does nothing more (one-shot magnitude pruning); `FixedMask`, which prunes at the
boundary and is taught what is left by the network as it was (distillation); and `SparsePull`,
the walk. Each gets the same seven rates of Adam, of which one is chosen, at 90% sparsity, by
the mean score on the *validation* part over four seeds. Then ten others live at all
sparsities and are scored on the *test* part.

Writes docs/paths/sparsify.json, sparsify.md and sparsify.png.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

HIDDEN, BATCH, DENSE, WALK = (100, 50), 64, 800, 800
SPARSITIES, CHOSEN_AT = (0.5, 0.7, 0.8, 0.9, 0.95), 0.9
RATES = (0.0003, 0.001, 0.002, 0.004, 0.008, 0.016, 0.03)
TUNED_ON, SEEDS = range(100, 104), range(7100, 7110)
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "paths"
METHODS = {
    "one-shot pruning": lambda rate, sparsity: pg.rules.Adam(rate=rate),
    "one-shot, distilled": lambda rate, sparsity: pg.rules.InvariantWalk(
        pg.rules.Adam(rate=rate), pg.rules.FixedMask(sparsity)
    ),
    "invariant walk": lambda rate, sparsity: pg.rules.InvariantWalk(
        pg.rules.Adam(rate=rate), pg.rules.SparsePull(sparsity, steps=WALK)
    ),
}


def main():
    pg.benchmarks.use_cache()
    tried = {name: validated(name) for name in METHODS}
    rates = {name: max(found, key=found.get) for name, found in tried.items()}
    scores = {name: at_all(name, rate) for name, rate in rates.items()}
    dense = scored(pg.rules.Adam(rate=rates["one-shot pruning"]), learning(), SEEDS, "test")
    report = {
        "command": "python benchmarks/paths/sparsify.py",
        "machine": machine()._asdict(),
        "tuned on": {"part": "validation", "seeds": list(TUNED_ON), "sparsity": CHOSEN_AT},
        "tried": tried,
        "rates": rates,
        "seeds": list(SEEDS),
        "sparsities": list(SPARSITIES),
        "dense": dense.tolist(),
        "scores": {name: found.tolist() for name, found in scores.items()},
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "sparsify.json", text.encode())
    write_atomically(FOLDER / "sparsify.md", page(dense, scores, rates).encode())
    draw(dense, scores)


def learning(presentations=DENSE):
    return pg.envs.digits(hidden=HIDDEN, batch=BATCH, presentations=presentations)


def thinning(sparsity):
    return pg.envs.Sparsify(learning(DENSE + WALK), sparsity, dense=DENSE)


def scored(rule, problem, seeds, part):
    """The score at the end of each life."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    return np.asarray(pg.envs.lives(rule, problem, keys=keys, part=part).tests.score[:, -1])


def validated(name):
    """Mean validation scores by rate."""
    found = {}
    for rate in RATES:
        rule, problem = METHODS[name](rate, CHOSEN_AT), thinning(CHOSEN_AT)
        found[rate] = float(scored(rule, problem, TUNED_ON, "validation").mean())
        print(f"{name}, rate {rate}: {found[rate]:.4f}", flush=True)
    return found


def at_all(name, rate):
    """Test scores, shape `(seeds, sparsities)`."""
    columns = []
    for sparsity in SPARSITIES:
        rule = METHODS[name](rate, sparsity)
        columns.append(scored(rule, thinning(sparsity), SEEDS, "test"))
        print(f"{name}, {sparsity:.0%}: {told(columns[-1])}", flush=True)
    return np.stack(columns, 1)


def told(values):
    """Mean and 95% interval, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}"


def page(dense, scores, rates):
    head = ["weights lost", *(f"{p:.0%}" for p in SPARSITIES)]
    ours, control = scores["invariant walk"], scores["one-shot, distilled"]
    rows = [[name, *map(told, found.T)] for name, found in scores.items()]
    rows.append(["walk - distilled", *map(told, (ours - control).T)])
    lines = [head, ["---"] * len(head), *rows]
    found = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    note = (
        f"Balanced accuracy on the test part in percent, mean ± 95% interval (Student's t) "
        f"over {len(SEEDS)} seeds; all weights: {told(dense)}. Rates chosen: {found}. "
        f"`python benchmarks/paths/sparsify.py`; {machine()}."
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
