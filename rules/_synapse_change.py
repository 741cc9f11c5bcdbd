import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._affine import Affine
from ._gated import Gated
from ._gene import gene, real

_Synapses = Float[Array, "m pre post"]
_Shown = Float[Array, "shown batch _n"]


class AbstractSynapseChange(eqx.Module):
    """How a synapse changes by its own state and what its two neurons show."""

    @property
    @abc.abstractmethod
    def states(self) -> int:
        """The numbers that a synapse holds."""

    @property
    @abc.abstractmethod
    def shown(self) -> int:
        """The numbers that a neuron shows."""

    @abc.abstractmethod
    def __call__(self, s: _Synapses, pre: _Shown, post: _Shown) -> _Synapses:
        """The mean change over rows."""


@final
class FactorisedChange(AbstractSynapseChange):
    r"""Outer products: $\Delta s_{ij} = \sum_k p_k(x_i)\, q_k(x_j)\, (w_k + v_k s_{ij})$.

    $p$ and $q$ are gated layers of what the two neurons show. The rows of a batch and all
    channels are two matrix products, however many there are.

    **Arguments:**

    - `pre`, `post`: $p$ and $q$, from what a neuron shows to channels.
    - `plain`, `scaled`: $w$ and $v$, shape `(states, channels)`.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> change = pg.rules.FactorisedChange.drawn(1, 9, 3, key=jax.random.key(0))
        >>> change.states, change.shown
        (1, 9)

        ```
    """

    pre: Gated
    post: Gated
    plain: Float[Array, "m channels"] = eqx.field(converter=real, metadata=gene(unit=0.1))
    scaled: Float[Array, "m channels"] = eqx.field(converter=real, metadata=gene(unit=0.01))

    def __check_init__(self):
        shapes = self.pre.value.weight.shape, self.post.value.weight.shape
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"`pre` and `post` must have weights of one shape, got {shapes[0]} and "
                f"{shapes[1]}."
            )
        expected = (self.states, shapes[0][0])
        for name in ("plain", "scaled"):
            shape = jnp.shape(getattr(self, name))
            if shape != expected:
                raise ValueError(
                    f"`{name}` must have shape (states, channels) = {expected}, got {shape}."
                )

    @classmethod
    def drawn(
        cls, states: int, shown: int, channels: int, *, key: Key[Array, ""]
    ) -> "FactorisedChange":
        """Random layers; channels add up to a change of about unit size."""
        keys = jax.random.split(key, 3)
        pre, post = (Gated.drawn(shown, channels, key=k) for k in keys[:2])
        plain = jax.random.normal(keys[2], (states, channels)) / jnp.sqrt(float(channels))
        return cls(pre, post, plain, jnp.zeros((states, channels)))

    @property
    def states(self) -> int:
        return self.plain.shape[0]

    @property
    def shown(self) -> int:
        return self.pre.value.weight.shape[1]

    def __call__(self, s: _Synapses, pre: _Shown, post: _Shown) -> _Synapses:
        p, q = self.pre(pre), self.post(post)

        def outer(w: Float[Array, "m channels"]) -> _Synapses:
            weighted = w[:, :, None, None] * p[None]
            return jnp.einsum("mkbi,kbj->mij", weighted, q) / p.shape[1]

        return outer(self.plain) + outer(self.scaled) * s


@final
class GeneralChange(AbstractSynapseChange):
    r"""A small network of each synapse: $\Delta s_{ij} = R\, h([s_{ij}, x_i, x_j]) + r$.

    $h$ is a gated layer. What all synapses compute apart from their states is computed once
    for every neuron; the rest costs a small network for every synapse and row.

    **Arguments:**

    - `hidden`: $h$, from the states of a synapse and what two neurons show.
    - `top`: $R$ and $r$, from the hidden units to the states.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> change = pg.rules.GeneralChange.drawn(1, 9, 16, key=jax.random.key(0))
        >>> change.states, change.shown
        (1, 9)

        ```
    """

    hidden: Gated
    top: Affine

    def __check_init__(self):
        units, inputs = self.hidden.value.weight.shape
        states = self.top.weight.shape[0]
        if self.top.weight.shape[1] != units or inputs <= states or (inputs - states) % 2:
            raise ValueError(
                f"`hidden` must lead from {states} states and what two neurons show to "
                f"{self.top.weight.shape[1]} units to fit `top`, got weights of shape "
                f"{(units, inputs)}."
            )

    @classmethod
    def drawn(
        cls, states: int, shown: int, units: int, *, key: Key[Array, ""]
    ) -> "GeneralChange":
        """Random layers."""
        hidden, top = jax.random.split(key)
        return cls(
            Gated.drawn(states + 2 * shown, units, key=hidden),
            Affine.drawn(units, states, key=top),
        )

    @property
    def states(self) -> int:
        return self.top.weight.shape[0]

    @property
    def shown(self) -> int:
        return (self.hidden.value.weight.shape[1] - self.states) // 2

    def __call__(self, s: _Synapses, pre: _Shown, post: _Shown) -> _Synapses:
        def summed(layer: Affine) -> Float[Array, "units batch pre post"]:
            of_s, of_pre, of_post = jnp.split(
                layer.weight, [self.states, self.states + self.shown], axis=1
            )
            own = jnp.tensordot(of_s, s, 1)[:, None] + layer.bias[:, None, None, None]
            one, other = jnp.tensordot(of_pre, pre, 1), jnp.tensordot(of_post, post, 1)
            return own + one[..., None] + other[:, :, None]

        value, gate = summed(self.hidden.value), summed(self.hidden.gate)
        return self.top((value * jax.nn.sigmoid(gate)).mean(1))
