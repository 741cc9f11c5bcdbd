import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import State


def slow(state: State, name: str, batch: int) -> tuple[Float[Array, "_batch _n"], ...]:
    """Per layer, what its neurons keep from row to row and when put to rest, for `batch` rows.

    Such a state is the same in all rows; newborn neurons hold 0.
    """
    if not state.neurons:
        return tuple(jnp.zeros((batch, n)) for n in state.body.layers)
    return tuple(
        jnp.broadcast_to(neurons[name][:1], (batch, n))
        for neurons, n in zip(state.neurons, state.body.layers, strict=True)
    )
