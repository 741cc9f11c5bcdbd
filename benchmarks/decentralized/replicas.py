"""Many replicas: python benchmarks/decentralized/replicas.py

Digits in shards; every replica is a 64-64-10 network under Adam of rate 0.005, which mixes
after every 20 presentations of 20 rows. Scores are of the *test* part, from 16 seeds that
chose nothing; settings are those of the system's description, and none was tuned.

Skewed: ten shards, each 80 of a class and 20 others, so that 20 presentations are four
passes. Stressed: five even shards, two of which are spoiled, or their updates turned round;
100 rows are measured. Writes docs/decentralized/replicas.json.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules import Adam, Poisoned, Replicas
from plasticgym.rules._atomic import write_atomically
from plasticgym.rules._named_mixing import named_mixing

FILE = Path(__file__).parents[2] / "docs" / "decentralized" / "replicas.json"
SEEDS = tuple(range(8100, 8116))
EVERY, ROUNDS = 20, (1, 5, 10, 20, 30)
RULE = Adam(rate=5e-3)
SKEWED = ("average", "ring", "partial(share=0.5)", "alone")
STRESSED = ("average", "gated", "segmented", "median", "trimmed-mean(cut=1)", "krum(bad=2)")
SPOILED = {"k": 5, "batch": 100, "measured": 100, "skew": "even"}
BAD = 2


def main():
    pg.benchmarks.use_cache()
    life = {"presentations": EVERY * ROUNDS[-1]}
    skewed = pg.envs.sharded_digits(**life)
    found = {"central": curve("skewed", "central", RULE, skewed)}
    for name in SKEWED:
        rule = Replicas(RULE, named_mixing(name), EVERY, replicas=10)
        found[name] = curve("skewed", name, rule, skewed)
    told = {"machine": str(machine()), "seeds": SEEDS, "rounds": ROUNDS, "skewed": found}
    told["stressed"] = {name: stressed(name, life) for name in STRESSED}
    write_atomically(FILE, (json.dumps(told, indent=1) + "\n").encode())


def stressed(name, life) -> dict:
    """The curves of one mixing under everything that goes wrong."""
    clean = pg.envs.sharded_digits(**SPOILED, **life, stressor="label-shift", bad=0)
    shifted = pg.envs.sharded_digits(**SPOILED, **life, stressor="label-shift", bad=BAD)
    shuffled = pg.envs.sharded_digits(**SPOILED, **life, stressor="pixel-shuffle", bad=BAD)
    mixing = named_mixing(name)
    plain = replicas_of(mixing)
    lying = replicas_of(Poisoned(mixing, bad=BAD))
    return {
        "none": curve("none", name, plain, clean),
        "label shift": curve("label shift", name, plain, shifted),
        "pixel shuffle": curve("pixel shuffle", name, plain, shuffled),
        "poisoned updates": curve("poisoned updates", name, lying, clean),
    }


def replicas_of(mixing) -> Replicas:
    options = {"replicas": SPOILED["k"], "measured": SPOILED["measured"]}
    return Replicas(RULE, mixing, EVERY, **options)


def curve(setting, name, rule, problem) -> dict:
    """The mean test score after each of the rounds, with half its 95% interval."""
    keys = jax.vmap(jax.random.key)(np.asarray(SEEDS))
    times = tuple(EVERY * r for r in ROUNDS[:-1])
    record = pg.envs.lives(rule, problem, keys=keys, part="test", tests=times)
    scores = np.asarray(record.tests.score)
    told = {
        "mean": scores.mean(0).round(4).tolist(),
        "half": half_width(scores).round(4).tolist(),
        "last": scores[:, -1].round(4).tolist(),
        "diverged": int(np.asarray(record.diverged).sum()),
    }
    print(f"{setting:18} {name:20}", *told["mean"], "+-", told["half"][-1], file=sys.stderr)
    return told


if __name__ == "__main__":
    main()
