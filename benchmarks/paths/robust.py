"""Ensembles under attack: python benchmarks/paths/robust.py

Networks of 64-64-32-10 learn digits for 600 presentations of 64 rows (Adam) and meet inputs
alone for 600 more. Compared are one network; ten that learned apart, their outputs averaged;
and ten that an invariant path makes of one, each led away from it in a direction of its own
(`AwayFromStart`): the one network of that seed, whose rate the paths keep.

Each attack moves pixels by at most a tenth of their range, so that margins of the averaged
outputs shrink: FGSM and PGD of 20 steps up their gradient; PGD up that of ten other networks;
and a search of 300 random patches, each kept where it lowers the margin, which needs no
gradient and begins where PGD ended. What withstands all of them counts in the last column.

Each gets four settings (rates of Adam, or lengths of the steps away), of which one is chosen
by the mean of this last score on the *validation* part over four seeds; ten others are scored
on the *test* part.

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
from plasticgym.envs._supervised import margins
from plasticgym.rules._atomic import write_atomically

HIDDEN, BATCH, DENSE, WALK, MEMBERS = (64, 32), 64, 600, 600, 10
EPSILON, NOTHING = 0.1, 1e-6  # of pixels' range, of weights
RATES = (0.0003, 0.001, 0.003, 0.01)
LENGTHS = (0.1, 0.3, 1.0, 3.0)
TUNED_ON, SEEDS = range(200, 204), range(7200, 7210)
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "paths"
ATTACKS = ("none", "FGSM", "PGD", "PGD of others", "search", "all")
PATCHES, SIDE, WIDTH = 300, 8, 3  # of the search; images of 8 by 8 pixels
OTHERS, RATE_OF_OTHERS = 90, 0.001


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
        "tuned on": {"part": "validation", "seeds": list(TUNED_ON), "attack": "all"},
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


@functools.cache
def others():
    """Those of ten networks that have no part in what is compared."""
    return apart(RATE_OF_OTHERS, OTHERS)


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
    found = []
    for seed in seeds:
        found.append(np.asarray(tested(build(seed), others(), plain(), part)))
    found = np.asarray(found, float)
    print(f"{name}, {setting}, {part}:", *map(told, found.T), flush=True)
    return found


def validated(name, setting, build):
    return float(scored(name, setting, build, TUNED_ON, "validation")[:, -1].mean())


@eqx.filter_jit
def tested(states, others, problem, part):
    """Balanced accuracy of the networks together under each attack, and under all."""
    examples, key = problem.part(part), jax.random.key(0)
    classes = examples.classes.astype(int)
    raw, range_of = (x.astype(float) for x in (examples.inputs, problem.train.inputs))
    radius = EPSILON * (range_of.max() - range_of.min())
    low = jnp.maximum(raw - radius, range_of.min())
    high = jnp.minimum(raw + radius, range_of.max())
    ours, theirs = (margin_of(s, problem, classes) for s in (states, others))
    pgd, ends = pg.envs.PGD(20), {"low": low, "high": high, "key": key}
    climbed = pgd(lambda x: -ours(x).mean(), raw, **ends)
    moved = [
        raw,
        pg.envs.FGSM()(lambda x: -ours(x).mean(), raw, **ends),
        climbed,
        pgd(lambda x: -theirs(x).mean(), raw, **ends),
        searched(ours, climbed, **ends),
    ]
    right = jnp.stack([ours(x) > 0 for x in moved])
    right = jnp.concatenate([right, right.all(0, keepdims=True)]).astype(float)
    target = jax.nn.one_hot(classes, 10)
    return ((right @ target) / target.sum(0)[None]).mean(1)


def margin_of(states, problem, classes):
    """The margins of the averaged outputs as a function of raw inputs."""
    members = jax.tree.leaves(states.synapses)[0].shape[0]
    network = pg.envs.Frozen(pg.rules.Ensemble(pg.rules.Adam(), members), states)
    world, target = problem.reset(key=jax.random.key(0)), jax.nn.one_hot(classes, 10)

    def margin(raw):
        outputs = network(problem.shown(world, raw), key=jax.random.key(0))
        return margins(outputs, target)

    return margin


def searched(margin, begun, *, low, high, key):
    """Where random patches of the darkest or brightest that is allowed lead downhill."""
    rows, place = len(begun), jnp.arange(SIDE)

    def proposed(carry, key):
        best, lowest = carry
        where, which = jax.random.split(key)
        corner = jax.random.randint(where, (rows, 2), 1 - WIDTH, SIDE)
        inside = (place >= corner[..., None]) & (place < corner[..., None] + WIDTH)
        patch = (inside[:, 0, :, None] & inside[:, 1, None, :]).reshape(rows, -1)
        end = jnp.where(jax.random.bernoulli(which, 0.5, (rows, 1)), high, low)
        tried = jnp.where(patch, end, best)
        found = margin(tried)
        better = found < lowest
        return (jnp.where(better[:, None], tried, best), jnp.minimum(found, lowest)), None

    keys = jax.random.split(key, PATCHES)
    return jax.lax.scan(proposed, (begun, margin(begun)), keys)[0][0]


def told(values):
    """Mean and 95% interval, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}"


def page(scores, settings):
    head = ["attack", *ATTACKS]
    rows = [[name, *map(told, found.T)] for name, found in scores.items()]
    for name in ("one network", "ten, apart"):
        gained = scores["ten, by paths"] - scores[name]
        rows.append([f"by paths - {name}", *map(told, gained.T)])
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
