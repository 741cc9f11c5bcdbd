"""Methods that shall not forget, side by side: python benchmarks/paths/continual.py NAME ...

NAME is a problem of `PROBLEMS` below. The rule within is Adam at 0.001 in every method, and
every method has 8 settings of one number of its own, chosen by the mean accuracy on all
classes of all tasks at the end, on the *validation* part, over 4 seeds that choose and do
nothing else. These seeds live elsewhere: their tasks are other halves of the classes, or
three other permutations instead of five. What was chosen lives from 10 other seeds and is
tested on the *test* part. Naive is Adam at 0.001 with nothing around it; two further rows,
plain and joint, have their rate as the number of their own. The exact form has one setting.

A problem that is `like` another takes the settings that were chosen there.

All of it goes to docs/paths/continual.json, after each method.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tasks import PROBLEMS, Taught, Trial, elsewhere, here

import plasticgym as pg
from plasticgym.benchmarks import retention
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs._continual import Order
from plasticgym.rules._atomic import write_atomically
from plasticgym.rules._distances import Distance

FILE = Path(__file__).resolve().parents[2] / "docs" / "paths" / "continual.json"
CHOOSING, SEEDS = range(4), range(100, 110)


class Method(NamedTuple):
    """A rule for so many past tasks, the number of its own, and its settings."""

    build: Callable[[int], pg.rules.AbstractRule]
    where: Callable[[Any], jax.Array]
    values: tuple[float, ...]
    order: Order = "sequential"


def path(distance: Distance) -> Callable[[int], pg.rules.AbstractRule]:
    part = pg.rules.Penalty(distance=distance)
    return lambda past: pg.rules.InvariantPath(invariance=part, tasks=past)


def bent(part: pg.rules.AbstractInvariance) -> Callable[[int], pg.rules.AbstractRule]:
    return lambda past: pg.rules.InvariantPath(invariance=part, tasks=past)


def adam(past: int) -> pg.rules.AbstractRule:
    return pg.rules.Adam(rate=0.001)


RATES = (1e-5, 3e-5, 1e-4, 2e-4, 5e-4, 1e-3, 3e-3, 1e-2)
WEIGHTS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
LIGHT = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 30.0, 100.0)
HEAVY = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0)
THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.999)
METHODS = {
    "naive": Method(adam, lambda r: r.rate, (0.001,)),
    "plain, rate tuned": Method(adam, lambda r: r.rate, RATES),
    "elastic weight consolidation": Method(
        lambda past: pg.rules.ElasticWeightConsolidation(), lambda r: r.weight, WEIGHTS
    ),
    "learning without forgetting": Method(
        lambda past: pg.rules.LearningWithoutForgetting(), lambda r: r.weight, LIGHT
    ),
    "gradient projection memory": Method(
        lambda past: pg.rules.GradientProjectionMemory(), lambda r: r.threshold, THRESHOLDS
    ),
    "replay of 50 labelled": Method(
        lambda past: pg.rules.Replay(tasks=past), lambda r: r.weight, HEAVY
    ),
    "invariant path": Method(path("bhattacharyya"), lambda r: r.invariance.weight, HEAVY),
    "path, squared": Method(
        path("squared"),
        lambda r: r.invariance.weight,
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    ),
    "path, exact": Method(
        bent(pg.rules.Exact()),
        lambda r: r.invariance.damping,
        (1e-3,),  # untuned: its lives take an order of magnitude longer
    ),
    "path, layer-local": Method(
        bent(pg.rules.LayerLocal()), lambda r: r.invariance.threshold, THRESHOLDS
    ),
    "joint, rate tuned": Method(adam, lambda r: r.rate, RATES, order="mixed"),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problems", nargs="+", choices=[*PROBLEMS])
    parser.add_argument("--only", nargs="*", choices=[*METHODS])
    arguments = parser.parse_args()
    pg.benchmarks.use_cache()
    for name in arguments.problems:
        trial = PROBLEMS[name]
        left_out = () if arguments.only else trial.without
        for method in (m for m in arguments.only or METHODS if m not in left_out):
            store(name, method, measured(trial, METHODS[method], method))


def measured(trial: Trial, method: Method, name: str) -> dict[str, Any]:
    """What was tried, what was chosen, and how it did on the test part."""
    problem = trial.build(method.order)
    told = borrowed(trial, name) if trial.like else chosen(trial, method)
    value = jnp.asarray([told["chosen"]], float)
    rule = method.build(len(problem.past))
    worlds = here(problem, SEEDS)
    record = lived(rule, method.where, value, problem, worlds, keys_of(SEEDS), "test")
    return told | outcome(record, SEEDS)


def chosen(trial: Trial, method: Method) -> dict[str, Any]:
    """The best setting, by the validation part of tasks that are not reported."""
    if len(method.values) == 1:
        return {"chosen": method.values[0], "chosen_on": "set beforehand"}
    problem, values = trial.rehearse(method.order), jnp.asarray(method.values)
    rule = method.build(len(problem.past))
    worlds = elsewhere(problem, CHOOSING)
    found = lived(rule, method.where, values, problem, worlds, keys_of(CHOOSING), "validation")
    tried = np.asarray(found.overall.score[:, :, -1], float)
    best = int(np.nan_to_num(tried.mean(1), nan=-1.0).argmax())
    return {
        "tried": {
            f"{v:g}": rounded(s.mean()) for v, s in zip(method.values, tried, strict=True)
        },
        "chosen": method.values[best],
        "chosen_on": f"validation part, other tasks, seeds {[*CHOOSING]}",
    }


def borrowed(trial: Trial, name: str) -> dict[str, Any]:
    found = stored()["problems"][trial.like]["methods"][name]
    return {"chosen": found["chosen"], "chosen_on": trial.like}


@eqx.filter_jit
def lived(rule, where, values, problem, worlds: Taught, keys, part):
    """Lives with each value and each key: records that lead with both axes."""

    def one(value, key, taught):
        mine = eqx.tree_at(where, rule, value)
        theirs = eqx.tree_at(lambda p: (p.rows, p.belongs), problem, taught)
        return pg.envs.live(mine, theirs, key=key, part=part, tests=problem.ends)

    over_keys = jax.vmap(one, in_axes=(None, 0, 0))
    record = jax.vmap(over_keys, in_axes=(0, None, None))(values, keys, tuple(worlds))
    return eqx.tree_at(lambda r: r.state, record, None)


def outcome(record, seeds) -> dict[str, Any]:
    """Accuracy, forgetting and backward transfer of a record of one value, with intervals."""
    weights = np.asarray(record.tests.weight[0, 0, -1], float)
    kept = retention(np.asarray(record.tests.score[0], float), weights)
    told = {
        name: {
            "mean": rounded(x.mean()),
            "half_width": rounded(half_width(x)),
            "each": [rounded(v) for v in x],
        }
        for name, x in kept._asdict().items()
    }
    return {
        "seeds": list(seeds),
        "part": "test",
        **told,
        "scores": np.asarray(record.tests.score[0], float).mean(0).round(4).tolist(),
        "diverged": int(np.asarray(record.diverged).sum()),
        "machine": str(machine()),
    }


def keys_of(seeds):
    return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def rounded(value) -> float:
    return round(float(value), 5)


def stored() -> dict[str, Any]:
    return json.loads(FILE.read_text()) if FILE.is_file() else {"problems": {}}


def store(name: str, method: str, found: dict[str, Any]):
    print(name, method, found["chosen"], found["accuracy"]["mean"], file=sys.stderr)
    told: dict[str, Any] = stored() | {
        "command": f"python benchmarks/paths/continual.py {' '.join(PROBLEMS)}",
        "interval": "95%, Student's t over seeds",
    }
    of = told["problems"].setdefault(name, {"methods": {}})
    of["problem"] = PROBLEMS[name].told
    of["methods"][method] = found
    text = json.dumps(told, indent=1, allow_nan=False) + "\n"
    write_atomically(FILE, text.encode())


if __name__ == "__main__":
    main()
