"""Plastic networks against fixed ones: python benchmarks/control/compare.py [BODY...]

On each body every method is evolved by the same strategy with the same budget: population,
lives, generations, worlds and restarts. Worlds have the *seen* changes, drawn anew in each.
A training begins with three searches, of other seeds and other spreads of the first
generation; the one goes on whose champion then does best in seen worlds, of seeds that are
neither trained nor reported on. The last champion lives in worlds that chose nothing:
unchanged ones, those with seen changes, and those that change at presentation 500 in ways that
no training has met.

Stored of each training is the mean over 32 lives, as a share of the range from chance to
best, in the 200 presentations up to the change and in the last 200. Of a method: the mean
over trainings with its 95% interval, and `gain`, what it has more than fixed weights in the
same worlds: training by training, of the same seeds unless `--first-seed` says otherwise.
Seeds begin at 400, other ones than those by which the methods were made.
With `--methods` it measures these alone; if fixed weights are not among them it puts them
beside the others in the file. The file is written after each training.

A homeostat draws all weights about 0. What one *with features* draws its lower weights around
is found first, by evolving fixed weights in its body for most of the generations; of these
the outputs' are forgotten. Its body alone has one neuron before the outputs. *Around a policy*
the same is done with fixed weights of the body of all others: what their outputs say is said
by the one neuron.
Writes docs/control/compare-BODY.json; page.py puts it into docs/control.md.
"""

import argparse
import dataclasses
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
LIVES, FIRST_SEED, CHOSEN_ON, REPORTED_ON = 32, 400, 8500, 9200
BUDGET: dict[str, Any] = {
    "strategy": "CMA_ES",
    "population": 64,
    "lives": 2,
    "objective": "loss",
}
SPREADS = (0.1, 0.3, 1.0)  # of the first generation of each of three searches
APART = 1000  # their seeds
GENERATIONS = {"CartPole-v0": (20, 40), "Pendulum-v0": (150, 100)}  # of three, then of one
SECOND = {"CartPole-v0": 20, "Pendulum-v0": 50}  # of these, after features
STARTS = {"CartPole-v0": (20.0, 0.0), "Pendulum-v0": (0.003, -3.0)}  # rate and content
BIRTHS = (0.1, 30.0)  # below, and of the outputs, as large as evolution makes them
STEEP, SECOND_SPREAD = 3.0, 0.1
HIDDEN, NARROW = (8,), (8, 1)
BASELINE = "fixed weights"
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
SEEN_AT = list(SETTINGS).index("seen")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bodies", nargs="*", default=list(GENERATIONS))
    parser.add_argument("--trainings", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of trainings")
    parser.add_argument("--methods", nargs="*", help="these alone; all without")
    given = parser.parse_args()
    for body in given.bodies:
        known = methods(body)
        # Fixed weights come first, for all others are measured against them.
        wanted = [name for name in known if name in (given.methods or known)]
        stored = {} if BASELINE in wanted else read(body)
        for name in wanted:
            begin, hidden = known[name]
            told = []
            for i in range(given.trainings):
                told.append(measured(body, begin, hidden, given.first_seed + i, i))
                stored[name] = entry(
                    told, given.first_seed, None if name == BASELINE else stored[BASELINE]
                )
                write(body, stored)
                after = [
                    f"{setting} {mean:.2f}"
                    for setting, (_, mean) in zip(SETTINGS, told[-1][1], strict=True)
                ]
                print(body, name, f"{i}:", f"spread {told[-1][0]},", *after, flush=True)


def methods(body):
    """How each is trained, `(problem, seed) -> rule, spread`, and its hidden layers."""
    layers = pg.envs.problem(body, hidden=HIDDEN).body.layers
    whole = sum(GENERATIONS[body])

    def plain(make):
        return functools.partial(searched, body, make, whole), HIDDEN

    return {
        BASELINE: plain(lambda seed: pg.rules.FixedWeights(layers, seed=seed)),
        "homeostat with features": (functools.partial(in_two_steps, body), NARROW),
        "homeostat around a policy": (functools.partial(around_policy, body), NARROW),
        "gated policy": plain(lambda seed: pg.rules.GatedPolicy(layers, seed=seed)),
        "homeostat": plain(lambda seed: pg.rules.Homeostat()),
        "abcd": plain(lambda seed: pg.rules.ABCD(layers=layers, rate=0.1, both=0.0)),
        "three-factor": plain(lambda seed: pg.rules.ThreeFactor()),
        "blur": plain(told_rewards),
    }


def told_rewards(seed) -> Any:
    start: Any = pg.rules.make("blur", genome="normalised", seed=seed)
    return dataclasses.replace(start, injects="reward")


def searched(body, make, generations, problem, seed) -> Any:
    """Of three searches the one that soon does best goes on."""
    found = []
    for n, spread in enumerate(SPREADS):
        agent = pg.agents.Evolution(**BUDGET, spread=spread)
        own = seed + APART * n
        begun = pg.agents.train(
            agent, make(own), [problem], generations=GENERATIONS[body][0], seed=own
        )
        share = shares(begun.rule, stacked(body, problem), CHOSEN_ON + seed)[SEEN_AT, 1]
        found.append((share, spread, begun))
    _, spread, best = max(found, key=lambda f: f[0])
    done = pg.agents.train(
        best.agent,
        best.initial,
        [problem],
        generations=generations,
        seed=seed,  # of nothing any more
        start=(best.search, best.history),
    )
    return done.rule, spread


def in_two_steps(body, problem, seed):
    """Features first, then how long to bear what, and how far to draw."""
    make, generations = functools.partial(steep, problem), sum(GENERATIONS[body]) - SECOND[body]
    features, spread = searched(body, make, generations, problem, seed)
    return settled(body, problem, features.weights, seed), spread


def around_policy(body, problem, seed):
    """The same with features from the body of the other methods: all that its outputs say."""
    wide: Any = place(body, HIDDEN, changes=SEEN)
    make = functools.partial(pg.rules.FixedWeights, wide.body.layers)
    generations = sum(GENERATIONS[body]) - SECOND[body]
    fixed, spread = searched(body, lambda s: make(seed=s), generations, wide, seed)
    return settled(body, problem, narrowed(fixed), seed), spread


def settled(body, problem, weights, seed) -> Any:
    """Around these features, how long to bear what, and how far to draw."""
    agent = pg.agents.Evolution(**BUDGET, spread=SECOND_SPREAD)
    rule = around(body, problem, weights)
    generations = SECOND[body]
    return pg.agents.train(agent, rule, [problem], generations=generations, seed=seed).rule


def narrowed(fixed) -> Any:
    """Its weights in the body in which one neuron says what its outputs said."""
    hidden, outputs = fixed.layers[-2:]
    start = -(hidden + 1) * outputs
    below, above = fixed.weights[:start], fixed.weights[start:]
    contrast = jnp.array([1.0, -1.0][:outputs])  # of two outputs the larger acts
    said = above.reshape(-1, outputs) @ contrast
    return jnp.concatenate([below, said, jnp.zeros(2 * outputs)])


def steep(problem, seed) -> Any:
    """Newborn fixed weights of a body with one neuron below the outputs, which it drives."""
    fixed = pg.rules.FixedWeights(problem.body.layers, seed=seed)
    outputs = problem.body.layers[-1]
    top = slice(-2 * outputs, -outputs)  # below them stand the biases
    steeper = STEEP * jnp.sign(fixed.weights[top])
    return eqx.tree_at(lambda r: r.weights, fixed, fixed.weights.at[top].set(steeper))


def around(body, problem, weights) -> Any:
    """The homeostat that draws its lower weights around these, and forgets the outputs'."""
    layers = problem.body.layers
    above = layers[-2] * layers[-1]
    births = np.full(pg.rules.Homeostat(layers=layers).birth.size, BIRTHS[0])
    births[-above:] = BIRTHS[1]
    below = weights[: -above - layers[-1]]
    return pg.rules.Homeostat(*STARTS[body], births, mean=below, layers=layers)


def measured(body, trained, hidden, seed, i):
    """The spread chosen in a training, and shares, `(settings, before and after)`."""
    seen = place(body, hidden, changes=SEEN)
    rule, spread = trained(seen, seed)
    return spread, shares(rule, stacked(body, seen), REPORTED_ON + i)


def stacked(body, problem):
    """The worlds of all settings, for the network of a problem."""
    hidden = problem.body.layers[1:-1]
    stack = [place(body, hidden, **options) for options in SETTINGS.values()]
    return jax.tree.map(lambda *x: jnp.stack(x), *stack)


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
    """Of the range from chance to best, means over lives, `(settings, before and after)`."""
    keys = jax.random.split(jax.random.key(seed), LIVES)
    scores = np.asarray(lived(rule, stack, keys), np.float64).mean(1)
    chance, best = stack.dynamics.chance, stack.dynamics.best
    return (scores - chance) / (best - chance)


@eqx.filter_jit
def lived(rule, stack, keys):
    def life(problem, key):
        scores = pg.envs.live(rule, problem, key=key).scores
        return scores[jnp.array([AT - 1, -1])]

    return jax.vmap(lambda p: jax.vmap(functools.partial(life, p))(keys))(stack)


def entry(told, first_seed, baseline):
    """What is stored of a method, of which so many trainings are done."""
    spreads, found = zip(*told, strict=True)
    before, after = np.moveaxis(np.stack(found), -1, 0)
    entry: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/control/compare.py", *sys.argv[1:]]),
        "seeds": [first_seed + i for i in range(len(told))],
        "chosen on": [CHOSEN_ON + first_seed + i for i in range(len(told))],
        "reported on": [REPORTED_ON + i for i in range(len(told))],
        "spreads": list(spreads),
    }
    entry |= {"before": by_setting(before), "after": by_setting(after)}
    if baseline is not None:
        fixed = np.array([baseline["after"][s]["trainings"] for s in SETTINGS]).T
        paired = min(len(told), len(fixed))
        entry["gain"] = by_setting(after[:paired] - fixed[:paired])
    return entry


def by_setting(values) -> dict[str, dict[str, Any]]:
    return {
        setting: {
            "mean": float(row.mean()),
            "half_width": float(half_width(row)),
            "trainings": row.tolist(),
        }
        for setting, row in zip(SETTINGS, values.T, strict=True)
    }


def file_of(body):
    return FOLDER / f"compare-{body.removesuffix('-v0').lower()}.json"


def read(body) -> dict[str, Any]:
    """The methods in the file, which must have been measured as this script would.

    Raises:
        SystemExit: if they were not.
    """
    stored = json.loads(file_of(body).read_text())
    ours = json.loads(json.dumps(protocol(body)))
    if {k: stored.get(k) for k in ours} != ours:
        raise SystemExit(f"{file_of(body)} is of another protocol; run without --methods.")
    return stored["methods"]


def protocol(body) -> dict[str, Any]:
    return {
        "budget": BUDGET | {"generations of three, then of one": GENERATIONS[body]},
        "spreads": SPREADS,
        "lives": LIVES,
        "hidden": HIDDEN,
        "with features": {
            "hidden": NARROW,
            "generations after features": SECOND[body],
            "spread after features": SECOND_SPREAD,
            "output weights of first features": STEEP,
            "rate and content": STARTS[body],
            "births below and of outputs": BIRTHS,
        },
        "settings": SETTINGS,
    }


def write(body, methods):
    record = {"machine": machine()._asdict(), **protocol(body), "methods": methods}
    FOLDER.mkdir(exist_ok=True)
    write_atomically(file_of(body), (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
