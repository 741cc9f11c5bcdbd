"""That recipes for an accelerator run at all: python benchmarks/control/tiny.py [RECIPE...]

Two generations of four members, of one life of 20 presentations each. What evolves in them is
nothing; what is told is that bodies, rule and strategy fit, how fit the members were, and the
seconds, most of which go into compiling. Needs brax. Writes docs/control/tiny.json.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs" / "control" / "tiny.json"
SMALL = {"population": 4, "lives": 1}
GENERATIONS, PRESENTATIONS = 2, 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["half-cheetah-abcd", "ant-abcd"])
    told = {}
    for name in parser.parse_args().recipes:
        start = time.perf_counter()
        done = pg.agents.train(*small(name).build(), generations=GENERATIONS, seed=0)
        seconds = round(time.perf_counter() - start)
        told[name] = {"mean fitness": done.history.mean.tolist(), "seconds": seconds}
        print(name, told[name], flush=True)
        record = {"machine": machine()._asdict(), **SMALL, "presentations": PRESENTATIONS}
        write_atomically(
            FILE, (json.dumps(record | {"recipes": told}, indent=1) + "\n").encode()
        )


def small(name):
    """The recipe with a small population and short lives."""
    run = pg.agents.recipe(name, generations=GENERATIONS)
    problems = {
        body: (problem, {**options, "presentations": PRESENTATIONS})
        for body, (problem, options) in run.problems.items()
    }
    options = {**run.agent_options, **SMALL}
    return dataclasses.replace(run, problems=problems, agent_options=options)


if __name__ == "__main__":
    main()
