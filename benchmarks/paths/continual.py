"""Methods that shall not forget, side by side: python benchmarks/paths/continual.py NAME ...

NAME is a problem of `PROBLEMS` below. Every method has 8 settings of one number of its own,
chosen by the mean accuracy on all classes of all tasks at the end, on the *validation* part,
over seeds that choose and do nothing else. What was chosen lives from other seeds and is
tested on the *test* part. The rule within is Adam at 0.001 in each of them; for plain and
for joint training it is its rate that is chosen.

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

import plasticgym as pg
from plasticgym.benchmarks import retention
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs" / "paths" / "continual.json"
FIRST_SEED = 100  # of those that are reported
DECADES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)


class Trial(NamedTuple):
    """A problem as all methods meet it, and how many lives choose and measure."""

    problem: str
    options: dict[str, Any]
    past: int  # tasks that can be remembered
    choosing: int
    seeds: int


class Method(NamedTuple):
    """A rule for so many past tasks, the number of its own, and its settings."""

    build: Callable[[int], pg.rules.AbstractRule]
    where: Callable[[Any], jax.Array]
    values: tuple[float, ...]
    order: str = "sequential"


PROBLEMS = {
    "split-digits": Trial(
        "SplitDigits-v0", {"hidden": (64, 32), "batch": 64, "presentations": 1200}, 1, 2, 10
    ),
    "permuted-digits": Trial(
        "PermutedDigits-v0",
        {"hidden": (100, 100), "batch": 64, "presentations": 3000},
        4,
        1,
        10,
    ),
    "split-mnist": Trial(
        "SplitMnist-v0",
        {"hidden": (100, 50), "batch": 64, "presentations": 1200, "side": 14},
        1,
        2,
        10,
    ),
}


def path(distance: str) -> Callable[[int], pg.rules.AbstractRule]:
    part = pg.rules.Penalty(distance=distance)
    return lambda past: pg.rules.InvariantPath(invariance=part, tasks=past)


def exact(past: int) -> pg.rules.AbstractRule:
    return pg.rules.InvariantPath(invariance=pg.rules.Exact(), tasks=past)


def adam(past: int) -> pg.rules.AbstractRule:
    return pg.rules.Adam(rate=0.001)


RATES = (1e-5, 3e-5, 1e-4, 2e-4, 5e-4, 1e-3, 3e-3, 1e-2)
THRESHOLDS = (0.7, 0.8, 0.9, 0.95, 0.97, 0.99, 0.995, 0.999)
METHODS = {
    "plain": Method(adam, lambda r: r.rate, RATES),
    "elastic weight consolidation": Method(
        lambda past: pg.rules.ElasticWeightConsolidation(), lambda r: r.weight, DECADES
    ),
    "learning without forgetting": Method(
        lambda past: pg.rules.LearningWithoutForgetting(), lambda r: r.weight, DECADES
    ),
    "gradient projection memory": Method(
        lambda past: pg.rules.GradientProjectionMemory(), lambda r: r.threshold, THRESHOLDS
    ),
    "replay of 50 labelled": Method(
        lambda past: pg.rules.Replay(tasks=past), lambda r: r.weight, DECADES
    ),
    "path, Bhattacharyya": Method(
        path("bhattacharyya"),
        lambda r: r.invariance.weight,
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0),
    ),
    "path, squared": Method(
        path("squared"),
        lambda r: r.invariance.weight,
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    ),
    "path, exact": Method(
        exact,
        lambda r: r.invariance.damping,
        (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1.0),
    ),
    "joint": Method(adam, lambda r: r.rate, RATES, order="mixed"),
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("problems", nargs="+", choices=[*PROBLEMS])
    parser.add_argument("--only", nargs="*", default=[*METHODS], choices=[*METHODS])
    arguments = parser.parse_args()
    pg.benchmarks.use_cache()
    for name in arguments.problems:
        for method in arguments.only:
            if name == "permuted-digits" and method == "path, exact":
                continue  # its matrix has a side of 2,000 there, in every presentation
            store(name, method, measured(PROBLEMS[name], METHODS[method]))


def measured(trial: Trial, method: Method) -> dict[str, Any]:
    """What was tried, what was chosen, and how it did on the test part."""
    rule = method.build(trial.past)
    problem = pg.envs.problem(trial.problem, **trial.options, order=method.order)
    values = jnp.asarray(method.values)
    keys = keys_of(range(trial.choosing))
    found = lived(rule, method.where, values, problem, keys, "validation")
    tried = np.asarray(found.overall.score[:, :, -1], float)
    best = int(np.nan_to_num(tried.mean(1), nan=-1.0).argmax())
    seeds = range(FIRST_SEED, FIRST_SEED + trial.seeds)
    chosen = lived(rule, method.where, values[best][None], problem, keys_of(seeds), "test")
    return {
        "tried": {
            f"{v:g}": rounded(s.mean()) for v, s in zip(method.values, tried, strict=True)
        },
        "chosen": method.values[best],
        "chosen_on": f"validation part, seeds 0 to {trial.choosing - 1}",
        **outcome(chosen, seeds),
    }


@eqx.filter_jit
def lived(rule, where, values, problem, keys, part):
    """Lives with each value and each key: records that lead with both axes."""

    def one(value, key):
        mine = eqx.tree_at(where, rule, value)
        return pg.envs.live(mine, problem, key=key, part=part, tests=problem.ends)

    over_keys = jax.vmap(one, in_axes=(None, 0))
    record = jax.vmap(over_keys, in_axes=(0, None))(values, keys)
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
    }


def keys_of(seeds):
    return jax.vmap(jax.random.key)(jnp.asarray(seeds))


def rounded(value) -> float:
    return round(float(value), 5)


def stored() -> dict[str, Any]:
    return json.loads(FILE.read_text()) if FILE.is_file() else {"problems": {}}


def store(name: str, method: str, found: dict[str, Any]):
    print(name, method, found["chosen"], found["accuracy"]["mean"], file=sys.stderr)
    told = stored() | {
        "command": "python benchmarks/paths/continual.py " + " ".join(PROBLEMS),
        "interval": "95%, Student's t over seeds",
        "machine": str(machine()),
    }
    trial = PROBLEMS[name]
    of = told["problems"].setdefault(name, {"methods": {}})
    of |= {"problem": trial.problem, "options": trial.options}
    of["methods"][method] = found
    write_atomically(FILE, (json.dumps(told, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
