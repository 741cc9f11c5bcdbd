import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import Body


def random_feedback(
    body: Body,
    sources: tuple[int, ...],
    *,
    scale: Float[Array, ""] | float = 1.0,
    key: Key[Array, ""],
) -> tuple[Float[Array, "_source _n"], ...]:
    """A fixed matrix for each hidden layer: from the layer `sources` names for it, to it.

    Entries have variance `scale` squared / living neurons of the source, so that at scale
    1 an error arrives as large as it left. They are one draw, cut up, which compiles
    faster than several.

    Args:
        body: the sizes of the network.
        sources: for each hidden layer, from below, the index of the layer whose errors
            reach it: `(2, 3)` hands them down layer by layer in a body of four layers,
            `(3, 3)` brings those of the outputs to both hidden ones.
        scale: the factor above.
        key: a PRNG key.

    Returns:
        For each hidden layer, a matrix of shape `(source, n)`.

    !!! example

        ```python
        >>> import jax
        >>> from plasticgym.rules import Body, multilayer
        >>> body, key = Body((5, 4, 3, 2)), jax.random.key(0)
        >>> drawn = multilayer.random_feedback(body, (2, 3), key=key)
        >>> [matrix.shape for matrix in drawn]
        [(3, 4), (2, 3)]

        ```
    """
    shapes = [(body.layers[s], n) for s, n in zip(sources, body.layers[1:-1], strict=True)]
    draws = jax.random.normal(key, (sum(a * b for a, b in shapes),), float)
    matrices, start = [], 0
    for source, (above, n) in zip(sources, shapes, strict=True):
        drawn = draws[start : start + above * n].reshape(above, n)
        matrices.append(drawn * (scale / jnp.sqrt(body.fan_in(source))))
        start += above * n
    return tuple(matrices)
