"""Ensembles under attack: python benchmarks/paths/robust.py

Networks of 64-64-32-10 learn digits for 600 presentations of 64 rows (Adam) and meet inputs
alone for 600 more. Compared are one network; ten that learned apart, their outputs averaged;
and ten that an invariant path makes of one, each led away from it in a direction of its own
(`AwayFromStart`): the one network of that seed, whose rate the paths keep.

PGD of 20 steps knows the averaged outputs and moves pixels by at most a tenth of their range.
Each gets six settings (rates of Adam, or lengths of the steps away), of which one is chosen
by the mean score under PGD on the *validation* part over four seeds; ten others are scored on
the *test* part.

Writes docs/paths/robust.json and robust.md.
"""

import functools
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

HIDDEN, BATCH, DENSE, WALK, MEMBERS = (64, 32), 64, 600, 600, 10
EPSILON, NOTHING = 0.1, 1e-6  # of pixels' range, of weights
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)
LENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
TUNED_ON, SEEDS = range(200, 204), range(7200, 7210)
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "paths"
ATTACKS = {"none": None, "FGSM": pg.envs.FGSM(), "PGD": pg.envs.PGD(20)}


def main():
    pg.benchmarks.use_cache()
    tried, settings = {}, {}
    for name in METHODS:
        values = RATES if name != "ten, by paths" else LENGTHS
        found = {s: validated(name, s, method(name, s, settings)) for s in values}
        tried[name], settings[name] = found, best(found)
    scores = {
        name: scored(
            name, settings[name], method(name, settings[name], settings), SEEDS, "test"
        )
        for name in METHODS
    }
    report = {
        "command": "python benchmarks/paths/robust.py",
        "machine": machine()._asdict(),
        "tuned on": {"part": "validation", "seeds": list(TUNED_ON), "attack": "PGD"},
        "tried": tried,
        "settings": settings,
        "seeds": list(SEEDS),
        "epsilon": EPSILON,
        "attacks": list(ATTACKS),
        "scores": {name: found.tolist() for name, found in scores.items()},
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "robust.json", text.encode())
    write_atomically(FOLDER / "robust.md", page(scores, settings).encode())


def best(found: dict[float, float]) -> float:
    return max(found, key=lambda setting: found[setting])


def one(rate, seed):
    """The state of a network that learned by itself."""
    return learned(pg.rules.Adam(rate=rate), jnp.asarray([seed]))


def apart(rate, seed):
    """Those of networks that were born and learned apart."""
    return learned(pg.rules.Adam(rate=rate), 1000 * seed + jnp.arange(MEMBERS))


def path(length, seed, rate):
    """Those of networks at the ends of paths from one that learned at this rate."""
    rule = pg.rules.InvariantWalk(pg.rules.Adam(rate=rate), pg.rules.AwayFromStart(length))
    states = led(rule, jnp.arange(MEMBERS), jax.random.key(seed), thinning())
    # Without what the walk remembers they are networks of Adam.
    return eqx.tree_at(lambda s: s.memory, states, states.memory["rule"])


METHODS = {"one network": one, "ten, by paths": path, "ten, apart": apart}


def method(name, setting, settings):
    """Builds networks from a seed; paths begin where one network was best."""
    told = {"rate": settings["one network"]} if name == "ten, by paths" else {}
    return functools.partial(METHODS[name], setting, **told)


def thinning():
    """Lives that go on without feedback; so few weights are lost that none is."""
    return pg.envs.Sparsify(plain(), NOTHING, dense=DENSE)


def plain():
    """Digits, pixels divided by one deviation."""
    sizes = {"hidden": HIDDEN, "batch": BATCH, "presentations": DENSE + WALK}
    return pg.envs.robust("digits", **sizes, epsilon=EPSILON).problem


def learned(rule, seeds):
    keys = jax.vmap(jax.random.key)(seeds)
    return bare(pg.envs.lives(rule, thinning(), keys=keys).state)


@eqx.filter_jit
def led(rule, directions, key, problem):
    """One life, but for the direction in which it is led."""

    def life(seed):
        mine = eqx.tree_at(lambda r: r.direction.seed, rule, seed)
        return bare(pg.envs.live(mine, problem, key=key).state)

    return jax.vmap(life)(directions)


def bare(state):
    """Without neurons, which have a batch."""
    return eqx.tree_at(lambda s: s.neurons, state, ())


def scored(name, setting, build, seeds, part):
    """Scores, shape `(seeds, attacks)`."""
    rows, problems = [], [under(attack) for attack in ATTACKS.values()]
    for seed in seeds:
        states = build(seed)
        rows.append([float(tested(states, problem, part)) for problem in problems])
    found = np.asarray(rows)
    print(f"{name}, {setting}, {part}:", *map(told, found.T), flush=True)
    return found


def validated(name, setting, build):
    return float(scored(name, setting, build, TUNED_ON, "validation")[:, -1].mean())


def under(attack):
    """Digits, to be told apart when they are attacked so."""
    return plain() if attack is None else pg.envs.Robust(plain(), attack, EPSILON)


@eqx.filter_jit
def tested(states, problem, part):
    """The score of the networks together."""
    key, members = jax.random.key(0), jax.tree.leaves(states.synapses)[0].shape[0]
    network = pg.envs.Frozen(pg.rules.Ensemble(pg.rules.Adam(), members), states)
    world = problem.reset(key=key)
    return problem.test(world, network, part=part, key=key).score


def told(values):
    """Mean and 95% interval, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}"


def page(scores, settings):
    head = ["attack", *ATTACKS]
    rows = [[name, *map(told, found.T)] for name, found in scores.items()]
    gained = scores["ten, by paths"] - scores["one network"]
    rows.append(["by paths - one network", *map(told, gained.T)])
    lines = [head, ["---"] * len(head), *rows]
    found = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    note = (
        f"Balanced accuracy on the test part in percent, mean ± 95% interval (Student's t) "
        f"over {len(SEEDS)} seeds; pixels moved by at most {EPSILON:g} of their range; "
        f"settings chosen: {found}. `python benchmarks/paths/robust.py`; {machine()}."
    )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", note, ""])


if __name__ == "__main__":
    main()
