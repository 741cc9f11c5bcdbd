"""A uniform sample of all rows that came by, kept up to date with every batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree


class Sample(eqx.Module):
    """Up to so many rows of a stream, each as likely to be among them as any other.

    **Arguments:**

    - `rows`: a pytree of leaves that lead with the size of the sample.
    - `rank`: shape `(size,)`, a uniform number that each row drew; -1 where there is none.
    """

    rows: PyTree
    rank: Float[Array, " size"]

    @property
    def held(self) -> Bool[Array, " size"]:
        """Where there is a row."""
        return self.rank >= 0.0


def empty(rows: PyTree) -> Sample:
    """A sample of nothing yet, with room for as many as `rows`, which give the shapes."""
    size = jax.tree.leaves(rows)[0].shape[0]
    return Sample(jax.tree.map(jnp.zeros_like, rows), jnp.full((size,), -1.0))


def met(sample: Sample, rows: PyTree, *, key: Key[Array, ""]) -> Sample:
    """The sample after a batch of rows: those that drew the highest numbers of all."""
    batch = jax.tree.leaves(rows)[0].shape[0]
    rank = jnp.concatenate([sample.rank, jax.random.uniform(key, (batch,))])
    rank, chosen = jax.lax.top_k(rank, len(sample.rank))
    both = jax.tree.map(lambda old, new: jnp.concatenate([old, new])[chosen], sample.rows, rows)
    return Sample(both, rank)
