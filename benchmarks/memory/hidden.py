"""Bodies with hidden neurons: python benchmarks/memory/hidden.py

The trained and the written genome as they are: 64 random bits, one presentation each.

Writes docs/memory/hidden.json and a table into docs/memory.md.
"""

import sys

from contestants import TRAINED
from page import cell, keep, put, room, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered

SEEDS, STORED = range(9500, 9516), (8, 16, 32, 48)
BODIES = (
    ("recurrent", 0),
    ("recurrent", 32),
    ("recurrent", 64),
    ("feed-forward", ()),
    ("feed-forward", (64,)),
    ("bidirectional", (64,)),
)
GENOMES = {"trained": str(TRAINED), "projection": "projection"}


def main():
    pg.benchmarks.use_cache()
    results, rows = {}, []
    for topology, hidden in BODIES:
        problem = pg.envs.remember(bits=64, stored=STORED[-1], delay=0, hidden=hidden)
        among = problem.body.hidden + sum(problem.body.layers[1:-1])
        for name, genome in GENOMES.items():
            rule = pg.rules.make("remembering", genome, topology=topology)
            found = remembered(rule, problem, seeds=SEEDS, settings=[(n, 0) for n in STORED])
            results[f"{name}, {topology}, {among} hidden"] = [
                {"number": n} | told(each) for n, each in zip(STORED, found, strict=True)
            ]
            row = [f"`{name}, {topology}`", str(among), room(found[0]), cell(found[0].stored)]
            rows.append([*row, *(cell(each.density) for each in found)])
            print(*rows[-1], file=sys.stderr, flush=True)
    keep("hidden", results)
    head = ["genome", "hidden", "floats", "accuracy, 8 stored"]
    head += [f"bits per float, {n} stored" for n in STORED]
    put("hidden", table(head, rows), told=f"{len(SEEDS)} lives of each")


if __name__ == "__main__":
    main()
