from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from ._affine import Affine


@final
class Gated(eqx.Module):
    r"""A gated layer that all neurons share: $x \mapsto (A x + a) \odot \sigma(B x + b)$.

    A gate multiplies, so that two such layers contain products of their inputs.

    **Arguments:**

    - `value`, `gate`: the two affine layers, of one shape.

    **Raises:**

    - `ValueError`: if their shapes differ.

    ??? cite "Reference"

        Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks",
        ICML 2017.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> layer = pg.rules.Gated.drawn(3, 2, key=jax.random.key(0))
        >>> layer(jnp.ones((3, 5, 4))).shape
        (2, 5, 4)

        ```
    """

    value: Affine
    gate: Affine

    def __check_init__(self):
        shapes = self.value.weight.shape, self.gate.weight.shape
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"`value` and `gate` must have weights of one shape, got {shapes[0]} and "
                f"{shapes[1]}."
            )

    @classmethod
    def drawn(cls, inputs: int, outputs: int, *, key: Key[Array, ""]) -> "Gated":
        """Weights of variance 1 / inputs, biases 0."""
        value, gate = jax.random.split(key)
        return cls(
            Affine.drawn(inputs, outputs, key=value), Affine.drawn(inputs, outputs, key=gate)
        )

    def __call__(self, x: Float[Array, "inputs ..."]) -> Float[Array, "outputs ..."]:
        return self.value(x) * jax.nn.sigmoid(self.gate(x))
