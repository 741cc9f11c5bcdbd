"""What mixing costs: python benchmarks/speed/replicas.py

One life of ten replicas that average after every 20 presentations, and ten lives of one
network under `vmap`, with the same rows each: 64-64-10, batch 20, 600 presentations of
digits under Adam. The ratio of times, the median over rounds with quartiles, after
compilation; the two take turns.
"""

import argparse
import time

import equinox as eqx
import jax
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules import Adam, Average, Replicas

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
        clock(run)
    times = np.array([[clock(run) for run in runs] for _ in range(arguments.rounds)])
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    print(machine())
    print(f"ten lives {np.median(times[:, 0]):.3f} s, replicas {np.median(times[:, 1]):.3f} s")
    print(f"ratio {middle:.2f} ({low:.2f} to {high:.2f})")


def clock(run):
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
