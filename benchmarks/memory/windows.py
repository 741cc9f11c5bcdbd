"""Short windows or whole lives: python benchmarks/memory/windows.py [--steps N]

The remembering rule is trained by `Windowed`, which back-propagates through the write of one
snippet and its recall, and by the full unroll, for as many meta-steps at the same two rates,
on populations of 32 neurons that store 8 patterns and are shown 8 others. Trainings begin at
random genomes and at the written one, `projection`, disturbed by them: six of each, with
seeds of their own. What is reported is a share of missing bits on the validation part.

Writes docs/memory/windows.json and a table into docs/memory.md.
"""

import argparse
import sys
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from page import cell, keep, put, table

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.rules import with_genome

SEEDS, TRAININGS, STEPS = range(8200, 8216), range(6), 400
SIZES: dict[str, Any] = {"bits": 32, "stored": 8, "delay": 8, "hidden": 0}
STARTS = {"random": {}, "projection": {"spread": 0.1}}
RATES = (0.1, 0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    pg.benchmarks.use_cache()
    begun = [begin(start, seed) for start in STARTS for seed in TRAININGS]
    found = {("none", 0.0): (np.stack([np.asarray(pg.rules.genome(r)) for r in begun]), 0.0)}
    for rate in RATES:
        whole = pg.agents.MetaGradient(rate=rate, lives=8, warmup=steps // 20, horizon=steps)
        for name, agent in (("windows", pg.agents.Windowed(whole)), ("full unroll", whole)):
            found[name, rate] = trained(agent, begun, steps)
            print(name, rate, found[name, rate][1], file=sys.stderr, flush=True)
    results, rows = {}, []
    for (name, rate), (genomes, seconds) in found.items():
        shares = np.array([share(with_genome(begun[0], jnp.asarray(g))) for g in genomes])
        shares = dict(zip(STARTS, shares.reshape(len(STARTS), len(TRAININGS)), strict=True))
        results[f"{name}, rate {rate}"] = {"milliseconds": 1e3 * seconds / steps} | shares
        cells = (cell(shares[start]) for start in STARTS)
        rows.append([name, str(rate), *cells, f"{1e3 * seconds / steps:.0f}"])
    keep("windows", {"steps": steps} | results)
    head = ["back-propagation", "rate", *(f"from `{start}`" for start in STARTS)]
    head.append("milliseconds of a meta-step of all twelve")
    put("windows", table(head, rows), told=f"{len(TRAININGS)} trainings")


def begin(start, seed):
    """A genome at which a training begins."""
    return pg.rules.make("remembering", start, topology="recurrent", seed=seed, **STARTS[start])


def trained(agent, begun, steps):
    """The genomes of all trainings, side by side, and the seconds that all of them took."""
    problems = (pg.envs.remember(presentations=16, place="random", **SIZES),)
    searches = [
        agent.init(rule, problems, key=jax.random.key(seed)) for seed, rule in enumerate(begun)
    ]
    search = jax.tree.map(lambda *leaves: jnp.stack(leaves), *searches)
    update = eqx.filter_jit(
        lambda search: jax.vmap(lambda one: agent.update(begun[0], problems, one)[0])(search)
    )
    search = update(search)
    clock = time.perf_counter()
    for _ in range(steps - 1):
        search = update(search)
    return np.asarray(search.progress["genome"]), time.perf_counter() - clock


def share(rule) -> float:
    """Of a missing bit, what is remembered after the delay."""
    (found,) = remembered(rule, pg.envs.remember(**SIZES), seeds=SEEDS, part="validation")
    return float(found.share.mean())


if __name__ == "__main__":
    main()
