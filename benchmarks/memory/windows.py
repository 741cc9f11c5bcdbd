"""Short windows or whole lives: python benchmarks/memory/windows.py [--steps N]

The remembering rule is trained by `Windowed`, which back-propagates through the write of one
snippet and its recall, and by the full unroll, for as many meta-steps at the same three rates,
on populations of 32 neurons that store 8 patterns and are shown 8 others. Trainings begin at
random genomes and at the written one, `projection`, disturbed by them: ten of each, with
seeds of their own. What is told is the share of a missing bit that the trained genomes
remember after the delay: of the test part, at the rate that is best on the validation part.

Writes docs/memory/windows.json and a table into docs/memory.md.
"""

import argparse
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from page import cell, keep, put, table

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.rules import with_genome

CHOICE, SEEDS = range(8200, 8216), range(9300, 9316)
TRAININGS, STEPS = range(10), 150
SIZES: dict[str, Any] = {"bits": 32, "stored": 8, "delay": 8, "hidden": 0}
STARTS = {"random": {}, "projection": {"spread": 0.1}}
RATES = (0.03, 0.1, 0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    steps = parser.parse_args().steps
    pg.benchmarks.use_cache()
    begun = [begin(start, seed) for start in STARTS for seed in TRAININGS]
    found = {("none", 0.0): np.stack([np.asarray(pg.rules.genome(rule)) for rule in begun])}
    for rate in RATES:
        whole = pg.agents.MetaGradient(rate=rate, lives=8, warmup=steps // 20, horizon=steps)
        for name, agent in (("windows", pg.agents.Windowed(whole)), ("full unroll", whole)):
            found[name, rate] = trained(agent, begun, steps)
            print(name, rate, file=sys.stderr, flush=True)
    results, rows = {"steps": steps}, []
    for (name, rate), genomes in found.items():
        kinds = dict(zip(STARTS, np.split(genomes, len(STARTS)), strict=True))
        shares = {start: shared(begun[0], kind) for start, kind in kinds.items()}
        results[f"{name}, rate {rate}"] = shares
    keep("windows", results)
    for name in ("none", "windows", "full unroll"):
        rates = [rate for who, rate in found if who == name]
        cells = []
        for start in STARTS:
            tried = [results[f"{name}, rate {rate}"][start] for rate in rates]
            best = int(np.argmax([each["validation"].mean() for each in tried]))
            cells += [str(rates[best] or "-"), cell(tried[best]["test"])]
        rows.append([name, *cells])
    head = ["back-propagation"]
    for start in STARTS:
        head += ["rate", f"from `{start}`"]
    put("windows", table(head, rows), told=f"{len(TRAININGS)} trainings, {steps} meta-steps")


def begin(start, seed):
    """A genome at which a training begins."""
    return pg.rules.make("remembering", start, topology="recurrent", seed=seed, **STARTS[start])


def trained(agent, begun, steps):
    """The genomes of all trainings, side by side."""
    problems = (pg.envs.remember(presentations=16, place="random", **SIZES),)
    searches = [
        agent.init(rule, problems, key=jax.random.key(seed)) for seed, rule in enumerate(begun)
    ]
    search = jax.tree.map(lambda *leaves: jnp.stack(leaves), *searches)
    for _ in range(steps):
        search = updated(agent, begun[0], problems, search)
    return np.asarray(search.progress["genome"])


@eqx.filter_jit
def updated(agent, rule, problems, search):
    """All searches, one meta-step later."""
    return jax.vmap(lambda one: agent.update(rule, problems, one)[0])(search)


def shared(rule, genomes) -> dict[str, np.ndarray]:
    """Of a missing bit, what each genome remembers after the delay, in the mean of lives."""
    told = {}
    of: dict[pg.envs.Part, range] = {"validation": CHOICE, "test": SEEDS}
    for part, seeds in of.items():
        lived = (with_genome(rule, jnp.asarray(genome)) for genome in genomes)
        problem = pg.envs.remember(**SIZES)
        found = [remembered(one, problem, seeds=seeds, part=part)[0] for one in lived]
        told[part] = np.array([float(each.share.mean()) for each in found])
    return told


if __name__ == "__main__":
    main()
