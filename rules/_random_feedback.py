import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import Body


def random_feedback(
    body: Body,
    sources: tuple[int, ...],
    *,
    scale: Float[Array, ""],
    key: Key[Array, ""],
) -> tuple[Float[Array, "_source _n"], ...]:
    """A fixed matrix for each hidden layer: from the layer `sources` names for it, to it.

    Entries have variance `scale` squared / living neurons of the source, so that at scale
    1 an error arrives as large as it left. They are one draw, cut up, which compiles
    faster than several.
    """
    shapes = [(body.layers[s], n) for s, n in zip(sources, body.layers[1:-1], strict=True)]
    draws = jax.random.normal(key, (sum(a * b for a, b in shapes),), float)
    matrices, start = [], 0
    for source, (above, n) in zip(sources, shapes, strict=True):
        drawn = draws[start : start + above * n].reshape(above, n)
        matrices.append(drawn * (scale / jnp.sqrt(body.fan_in(source))))
        start += above * n
    return tuple(matrices)
