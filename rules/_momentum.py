from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class Momentum(AbstractRule):
    r"""Backpropagation with heavy-ball momentum: $v \leftarrow \mu v - \nabla_W L,\;
    \Delta W = \eta v$.

    A synapse holds its weight and its velocity $v$. Reads the error; its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `decay`: $\mu$, in (0, 1).
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `decay` is out of its range or the activation is unknown.

    ??? cite "Reference"

        Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Momentum(rate=0.01).decay
        Array(0.9, dtype=float32)

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.02, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.9, converter=real, metadata=gene("logit"))
    activation: str = eqx.field(static=True, default="relu")

    def __check_init__(self):
        slope(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.GRADIENT

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        synapses = tuple({"weight": w, "velocity": jnp.zeros_like(w)} for w in weights)
        return State(body, (), synapses)

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _multilayer.backward(state, feedback.error, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for s, d in zip(state.synapses, _multilayer.descent(state), strict=True):
            velocity = self.decay * s["velocity"] + d
            weight = s["weight"] + self.rate * velocity
            synapses.append({"weight": weight, "velocity": velocity})
        return State(state.body, state.neurons, tuple(synapses), state.memory)
