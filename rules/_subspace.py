"""Subspaces of the activities that layers were fed by past tasks, as projections to them."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._base import Body, State
from ._multilayer import with_bias
from ._weights import Weights

Subspaces = tuple[Float[Array, "_pre _pre"], ...]


def nothing(body: Body) -> Subspaces:
    """No subspace of any block."""
    return tuple(jnp.zeros((n + 1, n + 1)) for n in body.layers[:-1])


def avoided(before: Weights, after: Weights, subspaces: Subspaces) -> Weights:
    """The weights after a step without what it changes for activities in the subspaces."""
    return tuple(
        new - inside @ (new - old)
        for old, new, inside in zip(before, after, subspaces, strict=True)
    )


def extended(
    subspaces: Subspaces,
    state: State,
    held: Bool[Array, " rows"],
    threshold: Float[Array, ""],
) -> Subspaces:
    """The subspaces, extended until they hold a share of the squared length of activities."""
    found = []
    for inside, layer in zip(subspaces, state.neurons[:-1], strict=True):
        fed = with_bias(layer["activity"]) * held.astype(float)[:, None]
        found.append(_extended(inside, fed, threshold))
    return tuple(found)


def _extended(
    inside: Float[Array, "pre pre"],
    fed: Float[Array, "rows pre"],
    threshold: Float[Array, ""],
) -> Float[Array, "pre pre"]:
    known = fed @ inside
    _, lengths, axes = jnp.linalg.svd(fed - known, full_matrices=False)
    total, squares = jnp.square(fed).sum(), jnp.square(lengths)
    # What is held before each axis: the axis is needed if that is too little.
    without = jnp.square(known).sum() + jnp.cumsum(squares) - squares
    needed = (without < threshold * total) & (lengths > 1e-5 * jnp.sqrt(total))
    chosen = axes * needed.astype(float)[:, None]
    return inside + chosen.T @ chosen
