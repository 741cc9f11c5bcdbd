import abc
import contextlib
from collections.abc import Callable, Collection, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ..envs import AbstractProblem, Lifetime
from ..rules import AbstractRule, gene_names
from ..rules._check_sizes import check_sizes


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
    - `diverged`: share of the lives that diverged, in themselves or in their gradient.
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


def draw(
    problems: Sequence[AbstractProblem],
    draws: int,
    growth: Float[Array, ""],
    *,
    generation: Int[Array, ""],
    key: Key[Array, ""],
) -> Int[Array, " draws"]:
    """Which problems a generation lives in, drawn with replacement from those allowed.

    Allowed are the problems with the shortest lives and those whose lives are longer by
    no more than `growth * generation` presentations.
    """
    lengths = jnp.asarray([problem.presentations for problem in problems], float)
    # In generation 0 an infinite growth must not become 0 * inf.
    longer = jnp.where(jnp.isinf(growth), growth, growth * generation.astype(growth.dtype))
    allowed = lengths <= lengths.min() + longer
    return jax.random.categorical(key, jnp.where(allowed, 0.0, -jnp.inf), shape=(draws,))


def over_problems(
    function: Callable[[AbstractProblem, Key[Array, ""]], PyTree],
    problems: Sequence[AbstractProblem],
    *,
    keys: Key[Array, "problems lives"],
    drawn: Int[Array, " problems"] | None = None,
) -> PyTree:
    """`function(problem, key)` for lives of several problems.

    Problems of equal structure and shape share one program.

    Args:
        function: of a problem and a key.
        problems: of any kinds.
        keys: a row per problem, or per drawn one.
        drawn: the positions of those to live in, one after the other; `None`: all of
            them, those of equal structure at once.

    Returns:
        What `function` returns, its leaves led by `(problems, lives)`.
    """
    groups: dict[object, list[int]] = {}
    for index, problem in enumerate(problems):
        leaves, structure = jax.tree.flatten(problem)
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        groups.setdefault((structure, shapes), []).append(index)
    members = list(groups.values())
    stacks = [jax.tree.map(lambda *x: jnp.stack(x), *(problems[i] for i in m)) for m in members]
    each = jax.vmap(function, in_axes=(None, 0))
    if drawn is None:
        every = jax.vmap(each)
        results = [
            every(stack, keys[jnp.asarray(m)]) for stack, m in zip(stacks, members, strict=True)
        ]
        order = jnp.argsort(jnp.asarray([i for m in members for i in m]))
        return jax.tree.map(lambda *x: jnp.concatenate(x)[order], *results)
    # Where each problem stands: in which group, and where in it.
    places = sorted((i, group, at) for group, m in enumerate(members) for at, i in enumerate(m))
    group_of, place_of = (jnp.asarray(column) for column in list(zip(*places, strict=True))[1:])

    def live_in(stack):
        return lambda at, keys: each(jax.tree.map(lambda x: x[at], stack), keys)

    branches = [live_in(stack) for stack in stacks]

    def one(index_and_keys):
        index, keys = index_and_keys
        return jax.lax.switch(group_of[index], branches, place_of[index], keys)

    return jax.lax.map(one, (drawn, keys))


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


def check_genome(rule: AbstractRule) -> None:
    """Raises a `ValueError` if a rule has nothing that can be trained."""
    if not gene_names(rule):
        raise ValueError(
            f"{type(rule).__name__} has no genes to train: name a constant, or give `rate=`."
        )


def check_draws(draws: int | None, growth: Float[Array, ""]) -> None:
    """Raises a `ValueError` unless so many problems can be drawn from lives that grow so."""
    if draws is not None:
        check_sizes(draws=draws)
    if not growth > 0:
        raise ValueError(f"`growth` must be positive, got {growth}.")
    if draws is None and jnp.isfinite(growth):
        raise ValueError(f"`growth` needs `draws`, problems to draw, got {growth} without.")
