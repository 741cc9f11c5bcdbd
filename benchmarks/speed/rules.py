"""What a presentation costs under each rule: python benchmarks/speed/rules.py [NAME...]

64 seeds of a 64-32-10 network, batch 32, 100 presentations of digits, by `lives`, its one
test at the end included. All rules are timed one after the other, again and again, after
compilation; ratios to SGD are taken within a round. The last column is their median, with
quartiles. Given names, it times SGD and these rules alone, and puts the ratios beside the
others in the file.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import jax
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._standing_alone import standing_alone

LAYERS, BATCH, PRESENTATIONS = (64, 32, 10), 32, 100


def contestants() -> dict[str, pg.rules.AbstractRule]:
    """By name; SGD, which the others are measured by, comes first."""
    plain = pg.rules.make("blur", states=2)
    symmetric = dataclasses.replace(plain, wiring="symmetric", synapse_states=1)
    return {
        **{name: plain_or_trained(name) for name in standing_alone()},
        "expression, feedback alignment": pg.rules.Expression("rate * pre * error"),
        "blur, k = 2, symmetric, one weight": symmetric,
        "blur, k = 2, asymmetric": plain,
    }


def plain_or_trained(name: str) -> pg.rules.AbstractRule:
    """A rule as it is by default; one without a rate, which must be trained, as shipped."""
    rule = pg.rules.make(name)
    return pg.rules.shipped(name) if getattr(rule, "rate", None) is None else rule


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--json", type=Path, help="write the ratios there, too")
    arguments = parser.parse_args()
    keys = jax.random.split(jax.random.key(0), arguments.seeds)
    problem = pg.envs.digits(hidden=LAYERS[1:-1], batch=BATCH, presentations=PRESENTATIONS)
    rules = contestants()
    if arguments.names:
        rules = {name: rules[name] for name in ("sgd", *arguments.names)}
    for name, rule in rules.items():
        record = pg.envs.lives(rule, problem, keys=keys)
        if record.diverged.any():
            raise SystemExit(f"{name} diverged: its time would not be that of learning.")
    rounds = range(arguments.rounds)
    times = np.array([[clock(r, problem, keys) for r in rules.values()] for _ in rounds])
    print(machine())
    print(f"{'rule':36} {'us/presentation':>15}   ratio to sgd (quartiles)")
    ratios = np.percentile(times / times[:, :1], [25, 50, 75], axis=0).T
    for name, column, (low, median, high) in zip(rules, times.T, ratios, strict=True):
        each = np.median(column) / (len(keys) * PRESENTATIONS) * 1e6
        print(f"{name:36} {each:15.2f}   {median:.2f} ({low:.2f} to {high:.2f})")
    if arguments.json:
        told = {
            name: ratio.round(4).tolist() for name, ratio in zip(rules, ratios, strict=True)
        }
        if arguments.names:
            told = json.loads(arguments.json.read_text())["ratios"] | told
        told = {"machine": str(machine()), "rounds": arguments.rounds, "ratios": told}
        arguments.json.write_text(json.dumps(told, indent=1) + "\n")


def clock(rule, problem, keys):
    start = time.perf_counter()
    jax.block_until_ready(pg.envs.lives(rule, problem, keys=keys))
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
