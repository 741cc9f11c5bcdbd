"""Plastic networks against fixed ones: python benchmarks/control/compare.py [BODY...]

On each body every method is evolved by the same strategy with the same budget: population,
lives, generations and worlds. Worlds have the *seen* changes, drawn anew in each. Then the
champions live in worlds that chose nothing: unchanged ones, those with seen changes, and
those that change at presentation 500 in ways that no training has met.

A row of the table is the mean over three trainings of 32 lives each, as a share of the range
from chance to best, in the 200 presentations up to the change and in the last 200; `gain` is
what a method then has more than the fixed weights of the same training seed in the same
worlds. Intervals of 95% are over all lives, as if those of one champion were independent; the
means of trainings are stored beside them.
The spread of the first generation of the fixed weights is chosen among three, on lives of
seeds that are neither trained nor reported on; all others have the middle one.
With `--methods` it measures the fixed weights and these alone, and puts them beside the
others in the file.

A homeostat draws all weights about 0. What one *with features* draws its lower weights around
is found first, by evolving fixed weights in the same body for most of the generations; of
these the outputs' are forgotten. Its body alone has one neuron before the outputs.
Writes docs/control/compare-BODY.json; page.py puts it into docs/control.md.
"""

import argparse
import functools
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.agents.recipes._control import SEEN
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "control"
LIVES, FIRST_SEED, CHOSEN_ON, REPORTED_ON = 32, 100, 8500, 9000
BUDGET: dict[str, Any] = {
    "strategy": "CMA_ES",
    "population": 64,
    "lives": 2,
    "objective": "loss",
}
GENERATIONS = {"CartPole-v0": 60, "Pendulum-v0": 150}
FIRST = {"CartPole-v0": 40, "Pendulum-v0": 110}  # generations that features are evolved for
STARTS = {"CartPole-v0": (20.0, 0.0), "Pendulum-v0": (0.003, -3.0)}  # rate and content
BIRTHS = (0.1, 30.0)  # below, and of the outputs, as large as evolution makes them
SPREAD = 0.3
HIDDEN, BOTTLENECK = (8,), (8, 1)
AT = 500
NONE = {"gravity": (1, 1), "mass": (1, 1), "length": (1, 1), "delay": (0, 0), "noise": (0, 0)}
SETTINGS = {
    "unchanged": {},
    "seen": {"changes": SEEN},
    # No training meets any of these.
    "heavy": {"changes": {"gravity": (2.0, 2.5), "mass": (2.0, 2.5)}, "at": AT},
    "long": {"changes": {"length": (1.8, 2.2)}, "at": AT},
    "reversed": {"damages": ("reversed",) * 3, "at": AT},
    "permuted": {"damages": ("permuted 0", "permuted 1", "permuted 2"), "at": AT},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bodies", nargs="*", default=list(GENERATIONS))
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--methods", nargs="*", help="besides the fixed weights; all without")
    given = parser.parse_args()
    for body in given.bodies:
        told, spreads = {}, {}
        for name, (trained, hidden, spreads_tried) in methods(body).items():
            if name not in ("fixed weights", *(given.methods or methods(body))):
                continue
            found = measured(body, trained, hidden, spreads_tried, given.trainings)
            told[name], spreads[name] = found
            write(body, told, spreads, given)


def methods(body):
    """How each is trained, `(problem, seed, spread) -> rule`, where, and spreads to try."""
    layers = pg.envs.problem(body, hidden=HIDDEN).body.layers

    def plain(begin):
        return lambda problem, seed, spread: evolved(
            begin(seed), problem, seed, spread, GENERATIONS[body]
        )

    return {
        "fixed weights": (
            plain(lambda seed: pg.rules.FixedWeights(layers, seed=seed)),
            HIDDEN,
            (SPREAD, 0.1, 1.0),  # the first of those that do as well
        ),
        "homeostat with features": (
            lambda problem, seed, spread: in_two_steps(
                problem, seed, spread, FIRST[body], STARTS[body], GENERATIONS[body]
            ),
            BOTTLENECK,
            (SPREAD,),
        ),
        "homeostat": (plain(lambda seed: pg.rules.Homeostat()), HIDDEN, (SPREAD,)),
        "gated policy": (
            plain(lambda seed: pg.rules.GatedPolicy(layers, seed=seed)),
            HIDDEN,
            (SPREAD,),
        ),
        "abcd": (
            plain(lambda seed: pg.rules.ABCD(layers=layers, rate=0.1, both=0.0)),
            HIDDEN,
            (SPREAD,),
        ),
        "three-factor": (plain(lambda seed: pg.rules.ThreeFactor()), HIDDEN, (SPREAD,)),
    }


def evolved(rule, problem, seed, spread, generations) -> Any:
    agent = pg.agents.Evolution(**BUDGET, spread=spread)
    done = pg.agents.train(agent, rule, [problem], generations=generations, seed=seed)
    return done.rule


def in_two_steps(problem, seed, spread, first, start, generations):
    """Features first, then how long to bear what, and how far to draw."""
    layers = problem.body.layers
    fixed = pg.rules.FixedWeights(layers, seed=seed)
    weights = evolved(fixed, problem, seed, spread, first).weights
    above = layers[-2] * layers[-1]
    births = np.full(pg.rules.Homeostat(layers=layers).birth.size, BIRTHS[0])
    births[-above:] = BIRTHS[1]
    below = weights[: -above - layers[-1]]
    rate, content = start
    rule = pg.rules.Homeostat(rate, content, births, mean=below, layers=layers)
    return evolved(rule, problem, seed, 0.3 * spread, generations - first)


def measured(body, trained, hidden, spreads, trainings):
    """Shares of the range by setting, each `(trainings, lives, before and after)`."""
    seen = place(body, hidden, changes=SEEN)
    stack = [place(body, hidden, **options) for options in SETTINGS.values()]
    stack = jax.tree.map(lambda *x: jnp.stack(x), *stack)
    chosen = spreads[0]
    if len(spreads) > 1:
        which, found = list(SETTINGS).index("seen"), {}
        for spread in spreads:
            rule = trained(seen, FIRST_SEED - 1, spread)
            found[spread] = shares(rule, stack, CHOSEN_ON)[which, :, 1].mean()
        chosen = max(found, key=lambda s: found[s])
    rules = [trained(seen, FIRST_SEED + i, chosen) for i in range(trainings)]
    told = np.stack([shares(r, stack, REPORTED_ON + i) for i, r in enumerate(rules)], 1)
    return dict(zip(SETTINGS, told, strict=True)), chosen


def place(body, hidden, changes=None, damages=("intact",) * 3, at=0):
    """A problem of one structure whatever its changes, so that all share one program."""
    whole: Any = pg.envs.problem(
        body, hidden=hidden, changes=SEEN, damages=("permuted 0", "reversed", "intact"), at=at
    )
    ranges = {n: jnp.asarray(r, float) for n, r in (NONE | (changes or {})).items()}
    # Without the first two there might be nothing to multiply sensors and outputs with.
    drawn: Any = pg.envs.Changes(whole.dynamics, damages=("permuted 0", "reversed", *damages))
    parts = lambda p: (p.changes.ranges, p.changes.sensing, p.changes.acting)  # noqa: E731
    return eqx.tree_at(parts, whole, (ranges, drawn.sensing[2:], drawn.acting[2:]))


def shares(rule, stack, seed):
    """Of the range from chance to best, `(settings, lives, before and after the change)`."""
    keys = jax.random.split(jax.random.key(seed), LIVES)
    scores = np.asarray(lived(rule, stack, keys), np.float64)
    chance, best = stack.dynamics.chance, stack.dynamics.best
    return (scores - chance) / (best - chance)


@eqx.filter_jit
def lived(rule, stack, keys):
    def life(problem, key):
        scores = pg.envs.live(rule, problem, key=key).scores
        return scores[jnp.array([AT - 1, -1])]

    return jax.vmap(lambda p: jax.vmap(functools.partial(life, p))(keys))(stack)


def write(body, told, spreads, given):
    path = FOLDER / f"compare-{body.removesuffix('-v0').lower()}.json"
    stored = json.loads(path.read_text()) if given.methods else {"rows": [], "spreads": {}}
    rows = [row for row in stored["rows"] if row["method"] not in told]
    for setting in SETTINGS:
        for name in told:
            before, after = np.moveaxis(told[name][setting], -1, 0)
            gain = after - told["fixed weights"][setting][..., 1]
            row = {"setting": setting, "method": name, "trainings": after.mean(1).tolist()}
            row["trainings_before"] = before.mean(1).tolist()
            row["command"] = shlex.join(
                ["python", "benchmarks/control/compare.py", *sys.argv[1:]]
            )
            for what, values in {"share": after, "before": before, "gain": gain}.items():
                row[what] = float(values.mean())
                row[f"{what}_half_width"] = float(half_width(values.ravel()))
            rows.append(row)
            print(
                f"{body} {setting:10} {name:14} {row['before']:.3f} then {row['share']:.3f} +- "
                f"{row['share_half_width']:.3f}, gain {row['gain']:+.3f} +- "
                f"{row['gain_half_width']:.3f}",
                file=sys.stderr,
            )
    record = {
        "machine": machine()._asdict(),
        "budget": BUDGET | {"generations": GENERATIONS[body]},
        "spreads": stored["spreads"] | spreads,
        "trainings": given.trainings,
        "lives": LIVES,
        "seeds": {
            "trained": [FIRST_SEED + i for i in range(given.trainings)],
            "spread trained": FIRST_SEED - 1,
            "spread chosen on": CHOSEN_ON,
            "reported on": [REPORTED_ON + i for i in range(given.trainings)],
        },
        "hidden": HIDDEN,
        "with features": {
            "hidden": BOTTLENECK,
            "generations of features": FIRST[body],
            "rate and content": STARTS[body],
            "births below and of outputs": BIRTHS,
        },
        "settings": SETTINGS,
        "rows": rows,
    }
    FOLDER.mkdir(exist_ok=True)
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
