"""Many replicas: python benchmarks/decentralized/replicas.py

Digits in shards; every replica is a 64-64-10 network under Adam of rate 0.005, which mixes
after every 20 presentations of 20 rows. All settings are those of the system's description
and none was tuned. Scores are of the *test* part, the mean over replicas, from 12 seeds.

Skewed: ten shards, each 80 of a class and 20 others, so that 20 presentations are four
passes. `central` is one network that learns from the rows of all shards.

Stressed: five even shards, 100 rows measured; two shards are spoiled (all labels moved by
one, all pixels shuffled), or two replicas tell the opposite of what they learned.

Writes docs/decentralized/replicas.json; page.py makes tables and a picture of it.
"""

import json
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs._base import Part
from plasticgym.envs._lifetime import keys_of, present
from plasticgym.rules import AbstractMixing, Adam, Alone, GatedAverage, Poisoned, Replicas
from plasticgym.rules._atomic import write_atomically
from plasticgym.rules._named_mixing import named_mixing
from plasticgym.rules._replicas import travelling

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decentralized"
SEEDS, EVERY, ROUNDS = tuple(range(8200, 8212)), 20, (1, 5, 10, 15, 20, 30)
LIFE: dict[str, Any] = {"presentations": EVERY * ROUNDS[-1]}
RULE = Adam(rate=5e-3)
SKEWED = ("average", "ring", "partial(share=0.5)", "alone")
STRESSED = ("average", "gated", "segmented", "median", "trimmed-mean(cut=1)", "krum(bad=1)")
SPOILED: dict[str, Any] = {"k": 5, "batch": 100, "measured": 100, "skew": "even"}
BAD, HONEST, LYING = 2, -1.0, 1.0
# What goes wrong: with which shards, in how many, and what a liar's updates are scaled by.
WRONG = {
    "nothing": ("label-shift", 0, HONEST),
    "labels moved": ("label-shift", BAD, HONEST),
    "lies told": ("label-shift", 0, LYING),
    "pixels shuffled": ("pixel-shuffle", BAD, HONEST),
}


@final
class OneOf(AbstractMixing):
    """Several mixings, of which a number says which one mixes: one program for all."""

    mixings: tuple[AbstractMixing, ...]
    number: Int[Array, ""] = eqx.field(converter=jnp.asarray)

    @property
    def reads(self):
        return frozenset().union(*(m.reads for m in self.mixings))

    @property
    def tier(self):
        return max(m.tier for m in self.mixings)

    def check(self, replicas):
        for mixing in self.mixings:
            mixing.check(replicas)

    def mix(self, agreed, proposed, measure, *, key):
        ways = [lambda m=m: m.mix(agreed, proposed, measure, key=key) for m in self.mixings]
        return jax.lax.switch(self.number, ways)


def main():
    pg.benchmarks.use_cache()
    skewed = pg.envs.sharded_digits(**LIFE)
    one = lambda key, number: scored(RULE, skewed, key, ())  # noqa: E731
    curves = {"central": over_seeds(one, [("central", 0)])["central"]}
    rule = mixed_by(SKEWED, 10)
    curves |= over_seeds(
        lambda key, number, rule: scored(numbered(rule, number), skewed, key, ()),
        [(name, n) for n, name in enumerate(SKEWED)],
        rule,
    )
    stressed = under_stress({name: name for name in STRESSED})
    report = {
        "command": "python benchmarks/decentralized/replicas.py",
        "machine": machine()._asdict(),
        "seeds": SEEDS,
        "rounds": ROUNDS,
        "skewed": {name: found[0].round(5).tolist() for name, found in curves.items()},
        **stressed,
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "replicas.json", text.encode())


def mixed_by(mixings, replicas, measured=0) -> Replicas:
    """A network of replicas that mix by one of these; some of them may lie."""
    mixing = OneOf(tuple(named_mixing(m) for m in mixings), 0)
    mixing = Poisoned(mixing, bad=BAD) if measured else mixing
    return Replicas(RULE, mixing, EVERY, replicas=replicas, measured=measured)


def numbered(rule, number) -> Replicas:
    """The network under the mixing of this number."""
    number = number.astype(int)
    return eqx.tree_at(lambda r: getattr(r.mixing, "mixing", r.mixing).number, rule, number)


def over_seeds(function, settings, *given, seeds=SEEDS) -> dict:
    """What a function makes of each key, setting and what is given, by name of the setting."""
    names, values = zip(*settings, strict=True)
    pairs = [(seed, *np.atleast_1d(value)) for value in values for seed in seeds]
    columns = [np.asarray(column) for column in zip(*pairs, strict=True)]

    @eqx.filter_jit
    def run(columns, *given):
        one = lambda x: function(jax.random.key(x[0]), *x[1:], *given)  # noqa: E731
        return jax.lax.map(one, columns)

    found = jax.tree.map(
        lambda x: np.asarray(x).reshape(len(names), len(seeds), *x.shape[1:]),
        run(columns, *given),
    )
    told = {name: jax.tree.map(lambda x, n=n: x[n], found) for n, name in enumerate(names)}
    for name, of in told.items():
        scores, diverged, *_ = of
        print(
            f"{name!s:40}",
            *scores.mean(0).round(3),
            half_width(scores)[-1].round(3),
            f"{diverged.sum()} diverged" if diverged.any() else "",
            flush=True,
        )
    return told


def scored(rule, problem, key, probes, part: Part = "test"):
    """Of one life: the scores after each of the rounds, whether it diverged, and probes."""
    times = tuple(EVERY * r for r in ROUNDS[:-1])
    record = pg.envs.live(rule, problem, key=key, part=part, tests=times, probes=probes)
    return (record.tests.score, record.diverged, *record.probes)


def under_stress(mixings, *, wrongs=WRONG, seeds=SEEDS, part: Part = "test") -> dict:
    """Scores by mixing and by what goes wrong, and whom the gate shuts out, if it is one.

    A life that diverges scores chance from then on.
    """
    names, found = list(mixings), {}
    rule = mixed_by(mixings.values(), SPOILED["k"], SPOILED["measured"])
    for stressor in dict.fromkeys(which for which, _, _ in wrongs.values()):
        spoiled = pg.envs.sharded_digits(**SPOILED, **LIFE, stressor=stressor)

        def life(key, number, bad, scale, spoiled, rule):
            problem = eqx.tree_at(lambda p: p.bad, spoiled, bad.astype(int))
            mine = eqx.tree_at(lambda r: r.mixing.scale, numbered(rule, number), scale)
            return scored(mine, problem, key, (gate,), part)

        settings = [
            ((name, wrong), (float(n), float(bad), scale))
            for n, name in enumerate(names)
            for wrong, (which, bad, scale) in wrongs.items()
            if which == stressor
        ]
        found |= over_seeds(life, settings, spoiled, rule, seeds=seeds)
    pick = lambda of: {name: {w: of(*found[name, w]) for w in wrongs} for name in names}  # noqa: E731
    told = {
        "stressed": pick(lambda scores, diverged, _: scores.round(5).tolist()),
        "diverged": pick(lambda scores, diverged, _: int(diverged.sum())),
    }
    seen = [w for w, (_, _, scale) in wrongs.items() if scale == HONEST and "gated" in names]
    return told | {"rejected": {w: rejected(*found["gated", w][2]) for w in seen}}


def gate(rule, problem, before, after):
    """A probe: whom a gate accepts at a mixing, and who is spoiled."""

    def accepted():
        met, _ = present(rule, problem, before)
        alone = eqx.tree_at(lambda r: r.mixing, rule, Alone())
        learned = travelling(alone.adapt(met.state, key=keys_of(before)[2]).synapses)
        measure = lambda w: rule.accuracy(met.state, w, key=before.key)  # noqa: E731
        agreed = before.state.memory["agreed"]
        return GatedAverage().accepted(agreed, learned, measure).mean(0)

    due = after.time % EVERY == 0
    taken = jax.lax.cond(due, accepted, lambda: jnp.zeros(rule.replicas))
    return taken, before.world.stressed


def rejected(taken, bad) -> dict:
    """The shares of spoiled and of sound replicas that a gate shuts out, of each seed."""
    taken, bad = taken[:, EVERY - 1 :: EVERY], bad[:, EVERY - 1 :: EVERY]
    return {
        kind: [float((1 - taken[n])[of[n]].mean()) for n in range(len(taken))]
        for kind, of in {"spoiled": bad, "sound": ~bad}.items()
        if of.any()
    }


if __name__ == "__main__":
    main()
