"""What problems share in which a stream of examples is answered and the answer is told."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..rules import Clamped, Feedback
from ..rules._registry import near
from ._base import Part

PARTS: tuple[Part, ...] = ("train", "validation", "test")


def drawn_rows(
    rows: int, size: tuple[int, int], *, key: Key[Array, ""]
) -> Int[Array, "presentations batch"]:
    """Which of `rows` examples come when, uniformly and with replacement."""
    # One plain draw: `randint` takes twice the random bits and time to compile.
    return (jax.random.uniform(key, size) * rows).astype(int)


def rows_at(
    order: Int[Array, "presentations batch"], time: Int[Array, ""]
) -> Int[Array, " batch"]:
    """The rows of one presentation."""
    return jax.lax.dynamic_index_in_dim(order, time, keepdims=False)


def position_of(part: str) -> int:
    """Where the part of this name stands among train, validation and test.

    Raises:
        ValueError: if there is no part of this name.
    """
    if part not in PARTS:
        raise ValueError(f"unknown `part` {part!r}; {near(part, list(PARTS))}")
    return PARTS.index(part)


def cross_entropy(
    outputs: Float[Array, "rows classes"], target: Float[Array, "rows classes"]
) -> tuple[Float[Array, " rows"], Float[Array, "rows classes"]]:
    r"""Losses $-\log p_t$ with $p$ the softmax of the outputs, and errors $t - p$."""
    log_p = jax.nn.log_softmax(outputs)
    return -(log_p * target).sum(1), target - jnp.exp(log_p)


def margins(
    outputs: Float[Array, "rows classes"], target: Float[Array, "rows classes"]
) -> Float[Array, " rows"]:
    """By how much the output of each row's class exceeds the largest other one."""
    others = jnp.where(target > 0, -jnp.inf, outputs)
    return (outputs * target).sum(1) - others.max(1)


def share_right(
    outputs: Float[Array, "rows classes"], classes: Int[Array, " rows"]
) -> Float[Array, " rows"]:
    """1.0 for each row whose largest output is that of its class."""
    return (outputs.argmax(1) == classes).astype(outputs.dtype)


def teaching(
    target: Float[Array, "batch outputs"],
    error: Float[Array, "batch outputs"],
    losses: Float[Array, " batch"],
) -> Feedback:
    """Feedback that tells all there is, in a task that does not end."""
    return Feedback(
        target=Clamped.full(target),
        error=error,
        reward=-losses,
        boundary=jnp.zeros(losses.shape, bool),
    )
