"""Rows that ride along with the batch of a presentation through the rule within."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import Clamped, Feedback


def with_rows(inputs: Clamped, extra: Float[Array, "extra n"]) -> Clamped:
    """The inputs of a presentation and, after them, rows that begin episodes."""
    more = Clamped.full(extra)
    return Clamped(
        jnp.concatenate([inputs.values, more.values]),
        jnp.concatenate([inputs.mask, more.mask]),
        jnp.concatenate([inputs.starts, more.starts]),
    )


def with_errors(feedback: Feedback, extra: Float[Array, "extra outputs"]) -> Feedback:
    """The feedback of a presentation and, for the rows after it, errors and nothing else.

    A rule takes the mean over all rows. The errors of the batch are scaled so that their
    mean is what it was without the others, and those of the others so that what is added
    to it is their *sum*.
    """
    (batch, outputs), more = feedback.error.shape, extra.shape[0]
    total = batch + more
    zeros, none = jnp.zeros((more, outputs)), jnp.zeros((more, outputs), bool)
    target = feedback.target
    return Feedback(
        target=Clamped(
            jnp.concatenate([target.values, zeros]),
            jnp.concatenate([target.mask, none]),
            jnp.concatenate([target.starts, jnp.ones((more,), bool)]),
        ),
        error=jnp.concatenate([feedback.error * (total / batch), extra * total]),
        reward=jnp.concatenate([feedback.reward * (total / batch), jnp.zeros((more,))]),
        boundary=jnp.concatenate(
            [feedback.boundary, jnp.broadcast_to(feedback.boundary.any(), (more,))]
        ),
    )
