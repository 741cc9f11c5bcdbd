from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class Sanger(AbstractRule):
    r"""Sanger's generalised Hebbian algorithm: Oja's rule, one neuron after the other.

    $$\Delta w_{ij} = \eta\, y_j \big(x_i - \textstyle\sum_{k \le j} y_k w_{ik}\big)$$

    Neurons are linear, without biases. Each learns from what those before it leave
    unexplained, so neuron $j$ of a layer converges to the unit-norm $j$-th principal
    component of its inputs; those for which no component is left fall silent. Diverges
    where $\eta\, y^2$ exceeds about 1. Reads no feedback; a synapse needs the weights of
    its siblings, so its tier is layer.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.

    **Raises:**

    - `ValueError`: if `rate` is not positive.

    ??? cite "Reference"

        Sanger, "Optimal unsupervised learning in a single-layer linear feedforward neural
        network", Neural Networks 1989.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Sanger(rate=0.01).tier)
        'layer'

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.003, converter=real, metadata=gene("log"))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, "linear", key=key)
        return State(body, (), tuple({"weight": w[:-1]} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, "linear")

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            w, mean_y = block["weight"], y / y.shape[0]
            explained = w @ jnp.triu(y.T @ mean_y)  # by neurons k <= j
            synapses.append({"weight": w + self.rate * (x.T @ mean_y - explained)})
        return State(state.body, state.neurons, tuple(synapses), state.memory)
