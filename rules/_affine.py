from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._gene import gene, real


@final
class Affine(eqx.Module):
    r"""A layer of a small network that all synapses share: $x \mapsto A x + b$.

    **Arguments:**

    - `weight`, `bias`: $A$, shape `(outputs, inputs)`, and $b$, shape `(outputs,)`.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> layer = pg.rules.Affine.drawn(3, 2, key=jax.random.key(0))
        >>> layer(jnp.ones((3, 5, 4))).shape  # numbers first, then any axes
        (2, 5, 4)

        ```
    """

    weight: Float[Array, "outputs inputs"] = eqx.field(converter=real, metadata=gene(unit=0.1))
    bias: Float[Array, " outputs"] = eqx.field(converter=real, metadata=gene(unit=0.1))

    def __check_init__(self):
        if jnp.ndim(self.weight) != 2 or jnp.shape(self.bias) != jnp.shape(self.weight)[:1]:
            raise ValueError(
                "`weight` and `bias` must have shapes (outputs, inputs) and (outputs,), got "
                f"{jnp.shape(self.weight)} and {jnp.shape(self.bias)}."
            )

    @classmethod
    def drawn(cls, inputs: int, outputs: int, *, key: Key[Array, ""]) -> "Affine":
        """Weights of variance 1 / inputs, biases 0."""
        weight = jax.random.normal(key, (outputs, inputs), float)
        return cls(weight / jnp.sqrt(float(inputs)), jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "inputs ..."]) -> Float[Array, "outputs ..."]:
        bias = self.bias.reshape(-1, *(1,) * (x.ndim - 1))
        return jnp.tensordot(self.weight, x, 1) + bias
