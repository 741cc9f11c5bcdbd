"""Is remembering a useful start? python benchmarks/memory/sequences.py [--steps N]

The remembering rule is trained to predict the next symbol of a stream in which snippets come
back (`Repeats`), in layers, from ten random genomes: on prediction alone, or on remembering
random patterns (`Remember`) first and on prediction then, by as many meta-steps at the same
two rates. What is told is the score of prediction: of the test part, at the rate that is best
on the validation part.

Writes docs/memory/sequences.json and a table into docs/memory.md.
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
from page import cell, keep, put, table
from trainings import RATES, TRAININGS, begun, best, measured, trained

import plasticgym as pg
from plasticgym.rules import with_genome

SEEDS = {"validation": range(8300, 8316), "test": range(9400, 9416)}
STEPS, HIDDEN, SYMBOLS = 60, (16,), 16
PREDICTED = pg.envs.repeats(
    hidden=HIDDEN, symbols=SYMBOLS, snippets=4, length=4, batch=2, presentations=40
)
REMEMBERED = pg.envs.remember(
    hidden=HIDDEN, bits=SYMBOLS, stored=4, delay=2, presentations=6, place="random"
)
ALONE, FIRST = "prediction", "remembering, then prediction"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    pg.benchmarks.use_cache()
    rules = [pg.rules.make("remembering", "random", seed=seed) for seed in TRAININGS]
    rule, start = rules[0], begun(rules)
    found: dict[str, Any] = {"none": start}
    found["remembering"] = trained(rule, start, (REMEMBERED,), steps)
    found[f"{ALONE}, half as long"] = trained(rule, start, (PREDICTED,), steps)
    found[ALONE] = trained(rule, start, (PREDICTED,), 2 * steps)
    found[FIRST] = trained(rule, found["remembering"], (PREDICTED,), steps)
    of = lambda g, seeds, part: score(with_genome(rule, g), seeds, part)  # noqa: E731
    results = {name: measured(genomes, of, SEEDS) for name, genomes in found.items()}
    keep("sequences", {"steps": steps, "rates": RATES} | results)
    chosen = {name: best(scores) for name, scores in results.items()}
    against = chosen[ALONE][1]
    rows = [
        [name, "-" if name == "none" else str(RATES[at]), cell(scores), cell(scores - against)]
        for name, (at, scores) in chosen.items()
    ]
    head = ["trained on", "rate", "score of prediction", f"more than `{ALONE}`"]
    told = f"{len(TRAININGS)} trainings, {2 * steps} meta-steps"
    put("sequences", table(head, rows), told=told)


def score(rule, seeds, part) -> float:
    """The mean score of lives that predict."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    record = pg.envs.lives(rule, PREDICTED, keys=keys, part=part)
    return float(record.tests.score[:, -1].mean())


if __name__ == "__main__":
    main()
