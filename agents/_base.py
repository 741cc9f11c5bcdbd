import abc
import contextlib
from collections.abc import Callable, Collection, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ..envs import AbstractProblem, Lifetime
from ..rules import AbstractRule


class Search(eqx.Module):
    """How far a meta-training has come: a pytree that can be stored and resumed.

    **Arguments:**

    - `progress`: what the agent keeps.
    - `key`: generation `n` draws from `fold_in(key, n)`.
    - `generation`: updates done.
    """

    progress: PyTree
    key: Key[Array, ""]
    generation: Int[Array, ""]


class Generation(eqx.Module):
    """The report of one update of the genome.

    **Arguments:**

    - `best`, `mean`: fitness over the population; for agents without one, of the genome.
    - `diverged`: share of the lives that diverged.
    """

    best: Float[Array, "*generations"]
    mean: Float[Array, "*generations"]
    diverged: Float[Array, "*generations"]


class AbstractAgent(eqx.Module):
    """A way of obtaining a rule: it improves a genome on problems.

    Nothing that an agent computes depends on the test part of a problem.
    """

    @abc.abstractmethod
    def init(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], *, key: Key[Array, ""]
    ) -> Search:
        """A search that begins at the genome of `rule`."""

    @abc.abstractmethod
    def update(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], search: Search
    ) -> tuple[Search, Generation]:
        """One generation. Pure; `train` compiles it once."""

    @abc.abstractmethod
    def champion(self, rule: AbstractRule, search: Search) -> AbstractRule:
        """`rule` with the genome that the search would answer with now."""


def over_problems(
    function: Callable[[AbstractProblem, Key[Array, ""]], PyTree],
    problems: Sequence[AbstractProblem],
    *,
    keys: Key[Array, "problems lives"],
) -> PyTree:
    """`function(problem, key)` for lives of several problems.

    Problems of equal structure and shape are stacked into one program.

    Returns:
        What `function` returns, its leaves led by `(problems, lives)`.
    """
    groups: dict[object, list[int]] = {}
    for index, problem in enumerate(problems):
        leaves, structure = jax.tree.flatten(problem)
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        groups.setdefault((structure, shapes), []).append(index)
    each = jax.vmap(jax.vmap(function, in_axes=(None, 0)))
    results = []
    for members in groups.values():
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *(problems[i] for i in members))
        results.append(each(stacked, keys[jnp.asarray(members)]))
    order = jnp.argsort(jnp.asarray([i for members in groups.values() for i in members]))
    return jax.tree.map(lambda *x: jnp.concatenate(x)[order], *results)


def stream_and_held_out(record: Lifetime, values: Float[Array, " presentations"], held_out):
    """Half the weighted mean of a life's own stream, half what it was tested to be."""
    weight = jnp.maximum(record.weights.sum(), 1.0)
    return ((values * record.weights).sum() / weight + held_out) / 2.0


@contextlib.contextmanager
def promoting():
    """For libraries that mix dtypes and ranks, however strict the caller is about them."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def check_problems(problems: Collection) -> None:
    """Raises a `ValueError` if there is nothing to train on."""
    if not problems:
        raise ValueError("`problems` must name at least one problem, got none.")
