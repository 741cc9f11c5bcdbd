import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._gene import check_genes, gene, real
from ._signals import Tier

_SMALL = 1e-12


class AbstractConstraint(eqx.Module):
    """A map that keeps the weights of a block within bounds."""

    def __check_init__(self):
        check_genes(self)

    @property
    @abc.abstractmethod
    def tier(self) -> Tier:
        """How local it is."""

    @abc.abstractmethod
    def __call__(self, weights: Float[Array, "m pre post"]) -> Float[Array, "m pre post"]:
        """The weights as they should be."""


@final
class UnitColumns(AbstractConstraint):
    r"""Every neuron's incoming weights, bias included, scaled to unit length per state.

    $$W_{ij}^c \leftarrow W_{ij}^c \Big/ \sqrt{\textstyle\sum_r (W_{rj}^c)^2}.$$

    Columns of zeros stay zero.

    !!! example

        ```python
        >>> import jax.numpy as jnp, plasticgym as pg
        >>> pg.rules.UnitColumns()(jnp.array([[[3.0], [4.0]]])).ravel().tolist()
        [0.6000000238418579, 0.800000011920929]

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def __call__(self, weights: Float[Array, "m pre post"]) -> Float[Array, "m pre post"]:
        squares = jnp.square(weights).sum(-2, keepdims=True)
        return weights / jnp.sqrt(jnp.maximum(squares, _SMALL))


@final
class Saturation(AbstractConstraint):
    r"""Weights that saturate: $W \leftarrow \alpha \tanh(W / \alpha)$.

    **Arguments:**

    - `bound`: $\alpha$, the largest size of a weight.

    **Raises:**

    - `ValueError`: if `bound` is not positive.

    !!! example

        ```python
        >>> import jax.numpy as jnp, plasticgym as pg
        >>> float(pg.rules.Saturation(2.0)(jnp.full((1, 1, 1), 1e3))[0, 0, 0])
        2.0

        ```
    """

    bound: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def __call__(self, weights: Float[Array, "m pre post"]) -> Float[Array, "m pre post"]:
        return self.bound * jnp.tanh(weights / self.bound)
