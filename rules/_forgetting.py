import abc
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._gene import check_genes, gene, real
from ._signals import Tier


class AbstractForgetting(eqx.Module):
    r"""An Oja-like term that takes $|m|\, W_{ij}\, S_j$ off the Hebbian change.

    **Arguments:**

    - `multiplier`: $m$.
    """

    multiplier: eqx.AbstractVar[Float[Array, ""]]

    def __check_init__(self):
        check_genes(self)

    @property
    @abc.abstractmethod
    def tier(self) -> Tier:
        """How local it is."""

    @abc.abstractmethod
    def strength(
        self, weights: Float[Array, "m pre post"], post: Float[Array, "m batch post"]
    ) -> Float[Array, "m 1 post"]:
        """$S_j$ of every neuron, from its incoming weights and what its synapses see of it."""

    def __call__(
        self, weights: Float[Array, "m pre post"], post: Float[Array, "m batch post"]
    ) -> Float[Array, "m pre post"]:
        """What is to be taken off."""
        return jnp.abs(self.multiplier) * weights * self.strength(weights, post)


@final
class ByWeights(AbstractForgetting):
    r"""Forgetting by how long a neuron's incoming weights are: $S_j = \sum_r W_{rj}^2$.

    With a steady growth, a synaptic keep of $1 + \tilde\eta m$, columns tend to length 1;
    by itself it shrinks them.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.rules.ByWeights(0.5).multiplier)
        0.5

        ```
    """

    multiplier: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene())

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def strength(self, weights: Float[Array, "m pre post"], post: Float[Array, "m batch post"]):
        return jnp.square(weights).sum(-2, keepdims=True)


@final
class ByActivity(AbstractForgetting):
    r"""Forgetting by how active a neuron is, as Oja (1982): $S_j = \langle y_j^2 \rangle$.

    $y_j$ is what synapses correlate of the neuron they lead to. With one linear neuron and
    $y$ its activity, weights tend to the first principal component of the inputs.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.rules.ByActivity().multiplier)
        1.0

        ```
    """

    multiplier: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene())

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def strength(self, weights: Float[Array, "m pre post"], post: Float[Array, "m batch post"]):
        return jnp.square(post).mean(-2, keepdims=True)
