import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def signs(
    shapes: list[tuple[int, ...]], *, key: Key[Array, ""]
) -> tuple[Float[Array, "..."], ...]:
    r"""Independent $\xi = \pm 1$ with equal odds, an array for each of `shapes`.

    Of all symmetric noise of variance 1 it has the least fourth moment, hence gives the
    least variance to an estimate $s\, \xi$; and 32 entries cost one random word.
    """
    total = sum(math.prod(shape) for shape in shapes)
    words = jax.random.bits(key, (math.ceil(total / 32),), jnp.uint32)
    bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None]) & jnp.uint32(1)
    flat = 2.0 * bits.ravel()[:total].astype(float) - 1.0
    arrays, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        arrays.append(flat[start:stop].reshape(shape))
        start = stop
    return tuple(arrays)
