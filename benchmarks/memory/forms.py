"""Forms of the change and larger states: python benchmarks/memory/forms.py [--steps N]

Factorised rules with synapses of one number and of two, and a rule of the general form with as
many units, are trained from ten random genomes each by as many meta-gradients at the same two
rates: populations of 16 neurons that store 4 patterns and are shown 4 others. What is told is
the share of a missing bit that is remembered: of the test part, at the rate that is best on
the validation part.

Writes docs/memory/forms.json and a table into docs/memory.md. What that file holds is not
measured again: without it, all is.
"""

import argparse
from typing import Any

import numpy as np
from page import cell, keep, put, stored, table
from trainings import RATES, TRAININGS, begun, best, measured, trained

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.rules import with_genome

SEEDS = {"validation": range(8400, 8416), "test": range(9600, 9616)}
SIZES: dict[str, Any] = {"bits": 16, "stored": 4, "delay": 4, "hidden": 0}
FORMS = [("factorised", 1), ("factorised", 2), ("general", 1)]
STEPS = 100


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    pg.benchmarks.use_cache()
    results, rows = stored("forms") or {"steps": steps, "rates": RATES}, []
    if results["steps"] != steps:
        raise SystemExit(f"The stored figures are of {results['steps']} steps, not {steps}.")
    for form, states in FORMS:
        rules = [drawn(form, states, seed) for seed in TRAININGS]
        name = f"{form}, {states}"
        if name not in results:
            results[name] = found(rules, steps)
            keep("forms", results)
        before, after = (
            {part: np.array(shares) for part, shares in results[name][when].items()}
            for when in ("before", "after")
        )
        at, reached = best(after)
        genes = str(pg.rules.genome(rules[0]).size)
        rows.append([form, str(states), genes, str(RATES[at])])
        rows[-1] += [cell(before["test"][at]), cell(reached)]
    head = ["form", "numbers in a synapse", "genes", "rate", "before", "after training"]
    put("forms", table(head, rows), told=f"{len(TRAININGS)} trainings, {steps} meta-steps")


def found(rules, steps):
    """What the genomes of some rules remember before and after training."""
    rule, start = rules[0], begun(rules)
    problem = pg.envs.remember(presentations=8, place="random", **SIZES)
    after = trained(rule, start, (problem,), steps)
    of = lambda g, seeds, part: share(with_genome(rule, g), seeds, part)  # noqa: E731
    return {"before": measured(start, of, SEEDS), "after": measured(after, of, SEEDS)}


def drawn(form, states, seed):
    """A random genome in one population."""
    return pg.rules.make(
        "remembering", "random", topology="recurrent", form=form, state_size=states, seed=seed
    )


def share(rule, seeds, part) -> float:
    """Of a missing bit, what is remembered after the delay."""
    (found,) = remembered(rule, pg.envs.remember(**SIZES), seeds=seeds, part=part)
    return float(found.share.mean())


if __name__ == "__main__":
    main()
