from typing import final

import equinox as eqx
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier


@final
class Hebb(AbstractRule):
    r"""Hebb's rule with decay: $\Delta w_{ij} = \eta\, x_i y_j - \lambda\, w_{ij}$.

    Neurons that fire together wire together. Where weights settle they are
    $\eta / \lambda$ times the correlation of pre and post. With $c$ the largest eigenvalue
    of the correlation of the inputs of a layer, bias unit included, there are three cases:

    - $\eta\, c < \lambda$, under activations that are 0 at 0: all weights decay to 0, and
      the network falls silent;
    - $\eta\, c > \lambda$ in a hidden layer under tanh or sigmoid: they settle;
    - $\eta\, c > \lambda$ in the last layer, which is linear: they grow as
      $(1 + \eta\, c - \lambda)^t$, without bound.

    No fixed pair of genes holds the last layer in between for ever: defaults are so small
    that it neither dies nor leaves common ranges within a few hundred presentations.
    Reads no feedback; its tier is activity.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `decay`: $\lambda$, in (0, 1).
    - `activation`: of hidden layers; the last layer is linear.

    **Raises:**

    - `ValueError`: if `rate` or `decay` is out of its range or the activation is unknown.

    ??? cite "Reference"

        Hebb, "The organization of behavior", 1949.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.Hebb())
        ('rate', 'decay')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.001, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.001, converter=real, metadata=gene("logit"))
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        activation(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        return State(body, (), tuple({"weight": w} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def change(self, view: LocalView) -> Float[Array, ""]:
        return self.rate * view.pre * view.post - self.decay * view.weight

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            correlation = _multilayer.with_bias(x).T @ (y / y.shape[0])
            w = block["weight"]
            synapses.append({"weight": w + self.rate * correlation - self.decay * w})
        return State(state.body, state.neurons, tuple(synapses), state.memory)
