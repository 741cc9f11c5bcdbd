"""An LSTM with as many stored floats: python benchmarks/memory/lstm.py [--generations N]

Patterns of 16 bits, of which a population of 16 neurons keeps 240 weights, and an LSTM of 120
units 240 numbers. Its weights, the genome, are trained by gradients through whole lives in
which 4, 8 or 12 patterns are stored; of all rates of training the one that remembers most on
the validation part is taken. The others stand beside it as in random_patterns.py.

Writes docs/memory/lstm.json, with the figures of all trainings, and a table into
docs/memory.md. What that file holds is not measured again: without it, all is.
"""

import argparse
import functools
import sys

import jax
import numpy as np
from contestants import CLASSICAL, contestants
from page import cell, keep, put, stored, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered

BITS, UNITS = 16, 120
STORED, DELAYS = (2, 4, 6, 8, 12, 16), (0, 4)
SETTINGS = [(n, delay) for n in STORED for delay in DELAYS]
RATES, TRAINED_ON = (0.01, 0.03, 0.1, 0.3, 1.0), (4, 8, 12)  # rates in gene units of 0.1
CHOICE, SEEDS = range(8000, 8016), range(9000, 9016)
OTHERS = (*CLASSICAL, "projection, recurrent", "untrained, recurrent")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=1000)
    generations = parser.parse_args().generations
    pg.benchmarks.use_cache()
    everyone, results = contestants(), stored("lstm")
    for name in OTHERS:
        for i in range(len(everyone[name].settings)):
            add(results, name, [i], functools.partial(everyone[name].rule, i))
    for rate in RATES:
        add(results, "lstm", [rate, generations], functools.partial(trained, rate, generations))
    head = ["rule", "genes", "floats", "stored", "bits per float", "after 4 more"]
    put(
        "lstm",
        table(
            [*head, "accuracy, 8 stored", "after 4 more"],
            [row(name, results[name]) for name in (*OTHERS, "lstm")],
        ),
        told=f"{len(SEEDS)} lives of each",
    )


def add(results, name, variant, made):
    """One more variant of a contestant; that with most on the validation part is tested."""
    mine = results.setdefault(name, {"variants": [], "validation": []})
    if variant in mine["variants"]:
        return
    rule = made()
    scores = validated(rule)
    print(name, variant, max(scores), file=sys.stderr, flush=True)
    if max(scores) > max(map(max, mine["validation"]), default=-1.0):
        found = zip(SETTINGS, asked(rule, SEEDS, "test"), strict=True)
        mine["best"] = variant
        mine["genes"] = pg.rules.genome(rule).size
        mine["settings"] = [{"number": n, "delay": d} | told(f) for (n, d), f in found]
    mine["variants"].append(variant)
    mine["validation"].append(scores)
    keep("lstm", results)


def row(name, mine):
    """A contestant in the variant and at the number stored that are best."""
    scores = mine["validation"][mine["variants"].index(mine["best"])]
    number = STORED[int(np.argmax(scores))]
    found = {(f["number"], f["delay"]): f for f in mine["settings"]}
    most = [found[number, delay] for delay in DELAYS]
    cells = [cell(f["density"]) for f in most]
    cells += [cell(found[8, delay]["stored"]) for delay in DELAYS]
    floats = round(float(np.mean(most[0]["floats"])))
    return [f"`{name}`", str(mine["genes"]), str(floats), str(number), *cells]


def trained(rate, generations):
    """An LSTM after so many meta-gradients."""
    agent = pg.agents.MetaGradient(
        lives=32, draws=1, rate=rate, warmup=generations // 20, horizon=generations
    )
    start = pg.rules.LSTM.drawn(BITS, UNITS, key=jax.random.key(0))
    problems = [
        pg.envs.remember(bits=BITS, stored=n, delay=0, hidden=0, presentations=n)
        for n in TRAINED_ON
    ]
    found = pg.agents.train(agent, start, problems, generations=generations, seed=0)
    print("lstm", rate, found.history.mean[-1], file=sys.stderr, flush=True)
    return found.rule


def validated(rule) -> list[float]:
    """Bits per float without a delay, by the number stored."""
    found = zip(SETTINGS, asked(rule, CHOICE, "validation"), strict=True)
    return [float(f.density.mean()) for (_, delay), f in found if delay == 0]


def asked(rule, seeds, part):
    problem = pg.envs.remember(bits=BITS, stored=STORED[-1], delay=DELAYS[-1], hidden=0)
    return remembered(rule, problem, seeds=seeds, part=part, settings=SETTINGS)


if __name__ == "__main__":
    main()
