"""How many anchors it takes: python benchmarks/paths/anchors.py

Split digits as in `continual.py`, with 5 to 200 unlabelled anchors for the invariant path and
as many labelled samples for replay, each at the setting that was chosen there for 50; from
the seeds that are reported there, on the *test* part. Goes to docs/paths/anchors.json.
"""

import argparse
import dataclasses
import json
import sys

import jax.numpy as jnp
from continual import FILE, METHODS, SEEDS, keys_of, lived, outcome, stored
from tasks import PROBLEMS, here

import plasticgym as pg
from plasticgym.rules._atomic import write_atomically

NUMBERS = (5, 20, 50, 200)
KEPT = {"invariant path": "anchors", "replay of 50 labelled": "samples"}
CALLED = {"invariant path": "invariant path", "replay of 50 labelled": "replay, labelled"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--numbers", type=int, nargs="+", default=NUMBERS)
    numbers = parser.parse_args().numbers
    pg.benchmarks.use_cache()
    told = {
        "command": "python benchmarks/paths/anchors.py --numbers "
        + " ".join(map(str, numbers)),
        "interval": "95%, Student's t over seeds",
        "methods": {
            CALLED[name]: {str(n): measured(name, n) for n in numbers} for name in KEPT
        },
    }
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    write_atomically(FILE.with_name("anchors.json"), text.encode())


def measured(name: str, number: int):
    problem, method = PROBLEMS["split-digits"].build("sequential"), METHODS[name]
    chosen = stored()["problems"]["split-digits"]["methods"][name]["chosen"]
    rule = dataclasses.replace(method.build(len(problem.past)), **{KEPT[name]: number})
    value = jnp.asarray([chosen], float)
    worlds = here(problem, SEEDS)
    record = lived(rule, method.where, value, problem, worlds, keys_of(SEEDS), "test")
    found = {"chosen": chosen, **outcome(record, SEEDS)}
    print(number, name, found["accuracy"]["mean"], file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    main()
