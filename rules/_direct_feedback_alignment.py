from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._random_feedback import random_feedback
from ._signals import Signal, Tier


@final
class DirectFeedbackAlignment(AbstractRule):
    r"""Direct feedback alignment: $\delta_l = \sigma'_l \odot e B_l$,
    $\Delta W_l = \eta\, \langle [h_l, 1]^T \delta_{l+1} \rangle$ with fixed random $B_l$.

    The error $e$ of the outputs goes to every hidden layer by a matrix of its own, past all
    layers in between. With one hidden layer it is
    [`FeedbackAlignment`][plasticgym.rules.FeedbackAlignment]; with several, no layer waits
    for another. Changes are averaged over rows.

    A synapse holds its weight; a block below the last also holds the feedback to the layer
    above it, shape `(outputs, n)`, which is drawn at birth and stays. Reads the error;
    its tier is error.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `scale`: standard deviation of the entries of $B_l$, in multiples of
      1 / sqrt(outputs).
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `scale` is not positive or the activation is unknown.

    ??? cite "Reference"

        Nokland, "Direct feedback alignment provides learning in deep neural networks",
        NeurIPS 2016.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.DirectFeedbackAlignment()
        >>> newborn = rule.init(pg.rules.Body((64, 32, 16, 10)), key=jax.random.key(0))
        >>> newborn.synapses[0]["feedback"].shape
        (10, 32)

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        slope(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.ERROR

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        key_forward, key_backward = jax.random.split(key)
        *others, last = _multilayer.newborn(body, self.activation, key=key_forward)
        outputs = (len(body.layers) - 1,) * len(others)
        matrices = random_feedback(body, outputs, scale=self.scale, key=key_backward)
        blocks = ({"weight": w, "feedback": b} for w, b in zip(others, matrices, strict=True))
        return State(body, (), (*blocks, {"weight": last}))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        body, neurons = state.body, list(state.neurons)
        e = body.mask(len(state.synapses), feedback.error)
        neurons[-1] = neurons[-1] | {"error": e}
        for layer, block in enumerate(state.synapses[:-1], start=1):
            h = neurons[layer]["activity"]
            error = slope(self.activation)(h) * (e @ block["feedback"])
            neurons[layer] = {"activity": h, "error": body.mask(layer, error)}
        return State(body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)

    def change(self, view: LocalView) -> Float[Array, ""]:
        return self.rate * view.pre * view.error
