from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._activations import activation
from ._base import Body
from ._normalisation import Normalisation


@final
class Transfer(eqx.Module):
    r"""What becomes of the quantities that reach the neurons of a layer: $\sigma_c(\hat z^c)$.

    **Arguments:**

    - `activations`: $\sigma_c$, the name of one per state.
    - `normalisation`: makes $\hat z$ of $z$; `None` leaves it as it is.

    **Raises:**

    - `ValueError`: if an activation is unknown or the normalisation is for another number
      of states.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Transfer(("tanh", "linear")).activations
        ('tanh', 'linear')

        ```
    """

    activations: tuple[str, ...] = eqx.field(static=True, converter=tuple)
    normalisation: Normalisation | None = None

    def __check_init__(self):
        for name in self.activations:
            activation(name)
        unit = self.normalisation
        if unit is not None and len(unit.gain) != len(self.activations):
            raise ValueError(
                f"`normalisation` must have one gain per state ({len(self.activations)}), "
                f"got {len(unit.gain)}."
            )

    def __call__(
        self, z: Float[Array, "k batch n"], body: Body, layer: int
    ) -> Float[Array, "k batch n"]:
        """The states of a layer of a body; those of dead neurons are zero."""
        if self.normalisation is not None:
            z = self.normalisation(z, body, layer)
        names = self.activations
        if len(set(names)) == 1:
            return body.mask(layer, activation(names[0])(z))
        return body.mask(
            layer, jnp.stack([activation(name)(z[c]) for c, name in enumerate(names)])
        )


def transfer(value: "Transfer | tuple[str, ...] | list[str]") -> Transfer:
    """A transfer, also from the names of its activations: the converter of fields."""
    return value if isinstance(value, Transfer) else Transfer(value)
