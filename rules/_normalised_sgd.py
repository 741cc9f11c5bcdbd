from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _normalised
from ._activations import activation
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._multilayer import descent
from ._normalisation import Normalisation
from ._signals import Signal, Tier


@final
class NormalisedSGD(AbstractRule):
    r"""SGD with a decaying rate in a tanh network with normalised layers.

    $\Delta W = -\frac{\eta}{1 + d t} \nabla_W L$ at presentation $t$, the exact gradient,
    through the normalisation of hidden layers. What meta-trained rules are to be compared
    with: it has the freedoms of theirs that do not change what is learned. Reads the error;
    a layer is normalised as a whole, so its tier is layer.

    **Arguments:**

    - `rate`, `decay`: $\eta$ and $d$.
    - `birth`, `bias_birth`: standard deviation of newborn weights, in multiples of
      1 / sqrt(inputs), and of newborn biases.
    - `gain`: scales the outputs.
    - `norm`: the normalisation of hidden layers, of one state.
    - `top`: `"linear"` or `"tanh"` outputs.

    **Raises:**

    - `ValueError`: if a gene is out of its range or the top is unknown.

    ??? cite "Reference"

        Ba, Kiros, Hinton, "Layer normalization", 2016.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.NormalisedSGD().tier)
        'layer'

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.3, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.03, converter=real, metadata=gene("log"))
    birth: Float[Array, ""] = eqx.field(default=0.65, converter=real, metadata=gene("log"))
    bias_birth: Float[Array, ""] = eqx.field(default=0.15, converter=real, metadata=gene("log"))
    gain: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    norm: Normalisation = eqx.field(default_factory=lambda: Normalisation([1.5], [0.7]))
    top: str = eqx.field(static=True, default="linear")

    def __check_init__(self):
        activation(self.top)
        _normalised.check(self.norm)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _normalised.newborn(body, self.birth, self.bias_birth, key=key)
        synapses = tuple({"weight": w} for w in weights)
        return State(body, (), synapses, memory={"time": jnp.zeros(())})

    def rest(self, state: State, batch: int) -> State:
        return _normalised.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _normalised.forward(state, inputs, self.norm, self.gain, self.top)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _normalised.backward(state, feedback.error, self.norm, self.gain, self.top)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        t = state.memory["time"]
        rate = self.rate / (1.0 + self.decay * t)
        synapses = tuple(
            {"weight": s["weight"] + rate * d}
            for s, d in zip(state.synapses, descent(state), strict=True)
        )
        return State(state.body, state.neurons, synapses, {"time": t + 1.0})
