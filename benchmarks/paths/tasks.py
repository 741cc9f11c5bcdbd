"""Problems of several tasks that methods meet, and like ones on which they are tuned."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import plasticgym as pg
from plasticgym.envs._continual import Order


class Trial(NamedTuple):
    """A problem and what methods are tuned on, in an order of tasks; what is not run on it."""

    told: str
    build: Callable[[Order], pg.envs.Continual]
    rehearse: Callable[[Order], pg.envs.Continual]
    without: tuple[str, ...] = ()
    like: str = ""


class Taught(NamedTuple):
    """Which examples the tasks of a problem hold, for each of several seeds."""

    rows: Int[Array, "seeds tasks most"]
    belongs: Float[Array, "seeds tasks classes"]


def split_digits(order: Order) -> pg.envs.Continual:
    return pg.envs.split_digits(hidden=(64, 32), batch=64, presentations=1200, order=order)


def split_mnist(order: Order) -> pg.envs.Continual:
    sizes = {"hidden": (100, 50), "batch": 64, "presentations": 1200}
    return pg.envs.split_mnist(**sizes, side=14, order=order)


def permuted_digits(order: Order, tasks: int = 5) -> pg.envs.Continual:
    sizes = {"hidden": (100, 100), "batch": 64, "presentations": 600 * tasks}
    return pg.envs.permuted_digits(**sizes, tasks=tasks, order=order)


def permuted_mnist(order: Order) -> pg.envs.Continual:
    sizes = {"hidden": (100, 100), "batch": 64, "presentations": 3000}
    return pg.envs.permuted_mnist(**sizes, side=14, tasks=5, order=order)


def fewer_permuted(order: Order) -> pg.envs.Continual:
    return permuted_digits(order, tasks=3)


def own_deviations(order: Order) -> pg.envs.Continual:
    sizes = {"hidden": (100, 100), "batch": 64, "presentations": 3000}
    every = (tuple(range(10)),) * 5
    return pg.envs.Continual(pg.envs.digits(**sizes), every, looks="permuted", order=order)


# The exact form has a matrix whose side is anchors times outputs, 2,000 with four past tasks,
# and solves it at every presentation.
COSTLY = ("path, exact", "path, layer-local")
PROBLEMS = {
    "split-digits": Trial("SplitDigits-v0, 64-64-32-10", split_digits, split_digits),
    "permuted-digits": Trial(
        "PermutedDigits-v0, 64-100-100-10",
        permuted_digits,
        fewer_permuted,
        without=COSTLY,
    ),
    "split-mnist": Trial(
        "SplitMnist-v0 of 14x14 pixels, 196-100-50-10",
        split_mnist,
        split_mnist,
        without=COSTLY,
        like="split-digits",
    ),
    "permuted-mnist": Trial(
        "PermutedMnist-v0 of 14x14 pixels, 196-100-100-10",
        permuted_mnist,
        permuted_mnist,
        without=COSTLY,
        like="permuted-digits",
    ),
    "own-deviations": Trial(
        "PermutedDigits-v0 with pixels scaled as in Digits-v0, 64-100-100-10",
        own_deviations,
        own_deviations,
        without=(*COSTLY, "path, squared", "learning without forgetting"),
        like="permuted-digits",
    ),
}


def here(problem: pg.envs.Continual, seeds: Sequence[int]) -> Taught:
    """The problem's own tasks, for every seed."""
    return Taught(*(jnp.stack([x] * len(seeds)) for x in (problem.rows, problem.belongs)))


def elsewhere(problem: pg.envs.Continual, seeds: Sequence[int]) -> Taught:
    """Other tasks: classes divided otherwise for each seed. Permutations are the seeds' own."""
    if problem.looks == "permuted":
        return here(problem, seeds)
    found = [_divided(problem, seed) for seed in seeds]
    return Taught(*(jnp.stack(x) for x in zip(*found, strict=True)))


def _divided(problem: pg.envs.Continual, seed: int):
    """Tasks of other classes, each cut or repeated to as many rows as the problem's own."""
    rng, classes = np.random.default_rng(seed), np.asarray(problem.problem.train.classes)
    parts = np.array_split(rng.permutation(problem.body.layers[-1]), len(problem.tasks))
    held = [rng.permutation(np.flatnonzero(np.isin(classes, part))) for part in parts]
    rows = np.stack([np.resize(r, problem.rows.shape[1]) for r in held])
    every = np.arange(problem.body.layers[-1])
    belongs = np.stack([np.isin(every, part) for part in parts])
    return jnp.asarray(rows, int), jnp.asarray(belongs, float)
