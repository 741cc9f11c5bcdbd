from typing import final

import equinox as eqx
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier


@final
class Oja(AbstractRule):
    r"""Oja's rule: $\Delta w_{ij} = \eta\, y_j (x_i - y_j w_{ij})$, neurons linear.

    With one output the weights converge to the unit-norm first principal component of the
    inputs; several outputs all find that same one. There are no biases. Diverges where
    $\eta\, y^2$ exceeds about 1. Reads no feedback; its tier is activity.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.

    **Raises:**

    - `ValueError`: if `rate` is not positive.

    ??? cite "Reference"

        Oja, "A simplified neuron model as a principal component analyzer", Journal of
        Mathematical Biology 1982.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Oja(rate=0.01).tier)
        'activity'

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.0005, converter=real, metadata=gene("log"))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, "linear", key=key)
        return State(body, (), tuple({"weight": w[:-1]} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, "linear")

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def change(self, view: LocalView) -> Float[Array, ""]:
        return self.rate * view.post * (view.pre - view.post * view.weight)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            w = block["weight"]
            correlation = x.T @ (y / y.shape[0])
            synapses.append(
                {"weight": w + self.rate * (correlation - w * (y**2).mean(0)[None])}
            )
        return State(state.body, state.neurons, tuple(synapses), state.memory)
