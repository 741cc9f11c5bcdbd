"""What mixing costs: python benchmarks/speed/replicas.py

One life of ten replicas that average after every 20 presentations, and ten lives of one
network under `vmap`, with as many rows each: 64-64-10, batch 20, 600 presentations of
digits under Adam. The ratios of wall time and of processor time, which other programs on the
machine disturb less: medians over rounds with quartiles, after compilation; the two take
turns. Writes docs/decentralized/speed.json.
"""

import argparse
import json
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules import Adam, Average, Replicas
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs" / "decentralized" / "speed.json"
K, EVERY, BATCH, PRESENTATIONS = 10, 20, 20, 600


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    one = pg.envs.digits(hidden=(64,), batch=BATCH, presentations=PRESENTATIONS)
    rule = Adam(rate=5e-3)
    together = Replicas(rule, Average(), EVERY, replicas=K)
    keys, key = jax.random.split(jax.random.key(0), K), jax.random.key(1)
    alone = lambda: pg.envs.lives(rule, one, keys=keys)  # noqa: E731
    live, sharded = eqx.filter_jit(pg.envs.live), pg.envs.Sharded(one, K)
    mixing = lambda: live(together, sharded, key=key)  # noqa: E731
    runs = (alone, mixing)
    for run in runs:
        clocked(run)
    # Of shape (rounds, runs, clocks).
    times = np.array([[clocked(run) for run in runs] for _ in range(arguments.rounds)])
    ratios = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75], axis=0)
    told = {"command": "python benchmarks/speed/replicas.py", "machine": machine()._asdict()}
    for n, clock in enumerate(("wall", "processor")):
        lives, replicas = np.median(times[:, :, n], axis=0)
        told[clock] = {"ten lives": lives, "replicas": replicas, "ratio": ratios[:, n].tolist()}
        print(clock, told[clock])
    write_atomically(FILE, (json.dumps(told) + "\n").encode())


def clocked(run) -> tuple[float, float]:
    """Seconds that pass, and seconds that processors work."""
    wall, processor = time.perf_counter(), time.process_time()
    jax.block_until_ready(run())
    return time.perf_counter() - wall, time.process_time() - processor


if __name__ == "__main__":
    main()
