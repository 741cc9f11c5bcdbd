import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def unit(values: Float[Array, "*rows width"]) -> Float[Array, "*rows width"]:
    """Rows of length 1; a row of zeros stays one."""
    square = jnp.square(values).sum(-1, keepdims=True)
    return values * jax.lax.rsqrt(jnp.maximum(square, 1e-12))
