"""A life on an invariant path against a loop written by hand: python benchmarks/speed/paths.py

16 seeds of a 64-64-32-10 network, batch 64, 100 presentations of the digits 0 to 4 and 100
of 5 to 9, Adam with 50 anchors. Both sides draw the same numbers and must give the same
losses; the library tests its networks at the end besides. They are timed in alternating
pairs after compilation; the last line is the speed of the library as a multiple of the
hand-written loop's. `--json FILE` keeps it.
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from handwritten_path import Data, path

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules._atomic import write_atomically

LAYERS, BATCH, PRESENTATIONS, ANCHORS = (64, 64, 32, 10), 64, 200, 50


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    keys = jax.random.split(jax.random.key(0), arguments.seeds)
    sizes = {"hidden": LAYERS[1:-1], "batch": BATCH, "presentations": PRESENTATIONS}
    problem, rule = pg.envs.split_digits(**sizes), pg.rules.InvariantPath(anchors=ANCHORS)
    data = of(problem)
    within: Any = rule.rule
    held: Any = rule.invariance
    rate, weight = within.rate, held.weight

    def library():
        return pg.envs.lives(rule, problem, keys=keys).losses

    def by_hand():
        return path(data, rate, weight, keys, LAYERS, PRESENTATIONS, BATCH, ANCHORS)[0]

    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {platform.machine()}")
    # Rounding differs and grows over a life.
    np.testing.assert_allclose(library(), by_hand(), rtol=0.02, atol=0.02)
    times = np.array([[clock(library), clock(by_hand)] for _ in range(arguments.pairs)])
    for who, column in zip(("plasticgym", "hand-written"), times.T, strict=True):
        rate = len(keys) * PRESENTATIONS / np.median(column)
        print(f"{who:13} {np.median(column):.4f} s {rate:12,.0f} presentations/s")
    low, median, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    print(f"ratio {median:.3f} (quartiles {low:.3f} to {high:.3f})")
    if arguments.json:
        told = {
            "command": f"python benchmarks/speed/paths.py --pairs {arguments.pairs}",
            "machine": machine()._asdict(),
            "seconds": {"plasticgym": times[:, 0].tolist(), "by hand": times[:, 1].tolist()},
            "ratio": {"low": low, "median": median, "high": high},
        }
        text = json.dumps(told, indent=1, allow_nan=False) + "\n"
        write_atomically(arguments.json, text.encode())


def of(problem) -> Data:
    """The data of a problem, as plain arrays."""
    base = problem.problem
    world = problem.reset(key=jax.random.key(0))
    inputs = base.shown(world.stream, base.train.inputs)
    return Data(
        inputs, base.train.classes.astype(int), problem.rows, jnp.asarray(problem.counts, float)
    )


def clock(function):
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
