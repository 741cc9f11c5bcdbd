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
class AntiHebb(AbstractRule):
    r"""The anti-Hebbian rule: $\Delta w_{ij} = -\eta\, x_i y_j$: a novelty filter.

    It decorrelates outputs from inputs. Where $y$ is 0 at 0 and rises, as in linear and
    tanh neurons, weights lose all that lies in the span of the inputs and keep the rest of
    what they were born with: $W \to P\, W_0$, with $P$ the projection orthogonal to the
    inputs. Neurons then answer only to what is new. There are no biases. Diverges where
    $\eta$ times the largest eigenvalue of the correlation of the inputs exceeds 2. Reads
    no feedback; its tier is activity.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `activation`: of hidden layers; the last layer is linear.

    **Raises:**

    - `ValueError`: if `rate` is not positive or the activation is unknown.

    ??? cite "Reference"

        Kohonen, Oja, "Fast adaptive formation of orthogonalizing filters and associative
        memory in recurrent networks of neuron-like elements", Biological Cybernetics 1976.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.make("anti-hebb", rate=0.1).rate
        Array(0.1, dtype=float32)

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.01, converter=real, metadata=gene("log"))
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
        return State(body, (), tuple({"weight": w[:-1]} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def change(self, view: LocalView) -> Float[Array, ""]:
        return -self.rate * view.pre * view.post

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            correlation = x.T @ (y / y.shape[0])
            synapses.append({"weight": block["weight"] - self.rate * correlation})
        return State(state.body, state.neurons, tuple(synapses), state.memory)
