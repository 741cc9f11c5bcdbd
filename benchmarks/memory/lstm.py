"""An LSTM with as many stored floats: python benchmarks/memory/lstm.py [--generations N]

Patterns of 16 bits, of which a population of 16 neurons keeps 240 weights, and an LSTM of 120
units 240 numbers. Its weights, the genome, are trained by gradients through whole lives in
which 4, 8 or 12 patterns are stored; of three rates of training the one that remembers most
on the validation part is taken. The others stand beside it as in random_patterns.py.

Writes docs/memory/lstm.json, with the figures of all rates, and a table into docs/memory.md.
"""

import argparse
import sys

import jax
import numpy as np
from contestants import CLASSICAL, contestants
from page import cell, keep, put, room, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered

BITS, UNITS = 16, 120
STORED, DELAYS = (2, 4, 6, 8, 12, 16), (0, 4)
SETTINGS = [(n, delay) for n in STORED for delay in DELAYS]
RATES, TRAINED_ON = (0.01, 0.03, 0.1), (4, 8, 12)  # rates in gene units of 0.1
CHOICE, SEEDS = range(8000, 8016), range(9000, 9016)
OTHERS = (*CLASSICAL, "projection, recurrent", "untrained, recurrent")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=1000)
    generations = parser.parse_args().generations
    pg.benchmarks.use_cache()
    everyone = contestants()
    variants = {
        name: [everyone[name].rule(i) for i in range(len(everyone[name].settings))]
        for name in OTHERS
    }
    variants["lstm"] = [trained(rate, generations) for rate in RATES]
    results, rows = {}, []
    for name, rules in variants.items():
        scores = [validated(rule) for rule in rules]
        i, best = np.unravel_index(np.argmax(scores), np.shape(scores))
        found = dict(zip(SETTINGS, asked(rules[i], SEEDS, "test"), strict=True))
        results[name] = {
            "variant": int(i),
            "validation": scores,
            "settings": [{"number": n, "delay": d} | told(f) for (n, d), f in found.items()],
        }
        stored = STORED[best]
        most = [found[stored, delay] for delay in DELAYS]
        cells = [cell(f.density) for f in most]
        cells += [cell(found[8, delay].stored) for delay in DELAYS]
        genes = str(pg.rules.genome(rules[i]).size)
        rows.append([f"`{name}`", genes, room(most[0]), str(stored), *cells])
        print(*rows[-1], file=sys.stderr, flush=True)
    keep("lstm", results)
    head = ["rule", "genes", "floats", "stored", "bits per float", "after 4 more"]
    put(
        "lstm",
        table([*head, "accuracy, 8 stored", "after 4 more"], rows),
        told=f"{len(SEEDS)} lives of each",
    )


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
