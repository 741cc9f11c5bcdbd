"""What combinators for several tasks keep of those that have ended: samples, and a clock."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._sample import Sample


class Clock(eqx.Module):
    """Where a network stands between tasks.

    **Arguments:**

    - `ended`: how many tasks have ended.
    - `time`: presentations since then.
    - `ends`: whether a task ends with this presentation.
    """

    ended: Int[Array, ""]
    time: Int[Array, ""]
    ends: Bool[Array, ""]

    @classmethod
    def zero(cls) -> "Clock":
        """At birth."""
        return cls(jnp.zeros((), int), jnp.zeros((), int), jnp.zeros((), bool))

    def told(self, boundary: Bool[Array, " batch"]) -> "Clock":
        """Having heard the feedback of a presentation."""
        return Clock(self.ended, self.time, boundary.any())

    def ticked(self) -> "Clock":
        """After the presentation."""
        time = jnp.where(self.ends, 0, self.time + 1)
        return Clock(self.ended + self.ends.astype(int), time, self.ends)


class Past(eqx.Module):
    """Rows of the last tasks that ended.

    **Arguments:**

    - `rows`: a pytree of leaves that lead with `(tasks, size)`.
    - `held`: where there is a row: a task may have been shorter.
    """

    rows: PyTree
    held: Bool[Array, "tasks size"]

    @classmethod
    def empty(cls, tasks: int, rows: PyTree) -> "Past":
        """Nothing yet; `rows` of one task give the shapes."""
        size = jax.tree.leaves(rows)[0].shape[0]
        zeros = jax.tree.map(lambda x: jnp.zeros((tasks, *x.shape), x.dtype), rows)
        return cls(zeros, jnp.zeros((tasks, size), bool))

    def flat(self) -> tuple[PyTree, Bool[Array, " rows"]]:
        """All rows, without the axis of tasks, and where there are any."""
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (self.rows, self.held))

    @property
    def tasks(self) -> Int[Array, ""]:
        """Of how many tasks there are rows."""
        return self.held.any(1).astype(int).sum()

    def with_task(self, clock: Clock, sample: Sample, rows: PyTree) -> "Past":
        """With the rows of the task that ends, in the place of the oldest."""
        slot = clock.ended % len(self.held)
        put = lambda old, new: old.at[slot].set(new)  # noqa: E731
        return Past(jax.tree.map(put, self.rows, rows), put(self.held, sample.held))


def per_row(held: Bool[Array, " rows"]) -> Float[Array, "rows 1"]:
    """What each row counts in a mean over those that are held; 0 for the others."""
    counted = held.astype(float)
    return (counted / jnp.maximum(counted.sum(), 1.0))[:, None]
