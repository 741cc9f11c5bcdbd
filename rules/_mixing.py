import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._gene import check_genes
from ._signals import Signal, Tier

# How well networks with these weights, one for each replica, do on the measured rows.
Measure = Callable[[PyTree], Float[Array, " replicas"]]


class AbstractMixing(eqx.Module):
    """How replicas of a network make one another's weights their own.

    Its array leaves are part of the genome of [`Replicas`][plasticgym.rules.Replicas].
    """

    def __check_init__(self):
        check_genes(self)

    @property
    def reads(self) -> frozenset[Signal]:
        """The signals that it needs besides those of the rule."""
        return frozenset()

    @property
    @abc.abstractmethod
    def tier(self) -> Tier:
        """How local it is: `activity` where a synapse meets its own copies and no other."""

    def check(self, replicas: int) -> None:
        """Raises a `ValueError` if there are too few replicas, or too many.

        `Replicas` calls it when it is built, and `mix` may count on it.
        """

    @abc.abstractmethod
    def mix(
        self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]
    ) -> PyTree:
        """What the weights of the replicas become.

        Args:
            agreed: their weights after the last mixing; every leaf leads with `replicas`.
            proposed: what each of them has made of these since, of the same shapes.
            measure: given such weights, the share of measured rows that each replica
                would get right.
            key: a PRNG key.

        Returns:
            Weights of the same shapes.
        """


def combined(matrix: Float[Array, "replicas replicas"], weights: PyTree) -> PyTree:
    r"""$\sum_j A_{kj} W_j$ for each leaf, whose first axis is $j$."""
    return jax.tree.map(lambda w: jnp.tensordot(matrix, w, 1), weights)


def alike(weights: PyTree, like: PyTree) -> PyTree:
    """The weights of one network, given to every replica of `like`."""
    return jax.tree.map(lambda w, x: jnp.broadcast_to(w[None], x.shape), weights, like)


def replicas_of(weights: PyTree) -> int:
    """How many replicas there are."""
    return jax.tree.leaves(weights)[0].shape[0]


def chosen(where: Array, this: PyTree, other: PyTree) -> PyTree:
    """`this` for the replicas where the flag is set, else `other`."""

    def one(a: Array, b: Array) -> Array:
        return jnp.where(where.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(one, this, other)


def rows_as_vectors(weights: PyTree) -> Float[Array, "replicas size"]:
    """Each replica's weights as one vector."""
    leaves = jax.tree.leaves(weights)
    return jnp.concatenate([w.reshape(w.shape[0], -1) for w in leaves], axis=1)
