"""Synapses of more than one number: python benchmarks/memory/states.py [--steps N]

Factorised rules with synapses of one number and of two are trained from ten random genomes
each by as many meta-gradients at the same two rates: populations of 16 neurons that store 4
patterns and are shown 4 others. What is told is the share of a missing bit that is
remembered: of the test part, at the rate that is best on the validation part.

Writes docs/memory/states.json and a table into docs/memory.md.
"""

import argparse
import sys
from typing import Any

from page import cell, keep, put, table
from trainings import RATES, TRAININGS, begun, best, measured, trained

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.rules import with_genome

SEEDS = {"validation": range(8400, 8416), "test": range(9600, 9616)}
SIZES: dict[str, Any] = {"bits": 16, "stored": 4, "delay": 4, "hidden": 0}
STEPS, STATES = 100, (1, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    pg.benchmarks.use_cache()
    results, rows = {"steps": steps, "rates": RATES}, []
    for states in STATES:
        rules = [drawn(states, seed) for seed in TRAININGS]
        rule, start = rules[0], begun(rules)
        problem = pg.envs.remember(presentations=8, place="random", **SIZES)
        after = trained(rule, start, (problem,), steps)
        of = lambda g, seeds, part, rule=rule: share(with_genome(rule, g), seeds, part)  # noqa: E731
        before, shares = (measured(genomes, of, SEEDS) for genomes in (start, after))
        results[str(states)] = {"before": before, "after": shares}
        at, reached = best(shares)
        row = [str(states), str(start.shape[1]), str(RATES[at])]
        rows.append([*row, cell(before["test"][at]), cell(reached)])
        print(*rows[-1], file=sys.stderr, flush=True)
    keep("states", results)
    head = ["numbers in a synapse", "genes", "rate", "before", "after training"]
    put("states", table(head, rows), told=f"{len(TRAININGS)} trainings, {steps} meta-steps")


def drawn(states, seed):
    """A random genome in one population."""
    return pg.rules.make(
        "remembering", "random", topology="recurrent", state_size=states, seed=seed
    )


def share(rule, seeds, part) -> float:
    """Of a missing bit, what is remembered after the delay."""
    (found,) = remembered(rule, pg.envs.remember(**SIZES), seeds=seeds, part=part)
    return float(found.share.mean())


if __name__ == "__main__":
    main()
