from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _normalised
from ._activations import activation
from ._adam_step import adam_step
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._multilayer import descent
from ._normalisation import Normalisation
from ._signals import Signal, Tier


@final
class NormalisedAdam(AbstractRule):
    r"""Adam with a decaying rate in a tanh network with normalised layers.

    The steps of [`Adam`][plasticgym.rules.Adam] with the rate $\eta / (1 + d t)$ at
    presentation $t$; the network and the other arguments are those of
    [`NormalisedSGD`][plasticgym.rules.NormalisedSGD]. Reads the error; its tier is layer.

    **Arguments:**

    - `rate`, `decay`, `birth`, `bias_birth`, `gain`, `norm`, `top`: as there.
    - `momentum`, `momentum_squares`, `epsilon`: $\beta_1$, $\beta_2$ and $\epsilon$.

    **Raises:**

    - `ValueError`: if a gene is out of its range or the top is unknown.

    ??? cite "Reference"

        Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.NormalisedAdam().tier)
        'layer'

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.03, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.03, converter=real, metadata=gene("log"))
    birth: Float[Array, ""] = eqx.field(default=0.65, converter=real, metadata=gene("log"))
    bias_birth: Float[Array, ""] = eqx.field(default=0.15, converter=real, metadata=gene("log"))
    gain: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    momentum: Float[Array, ""] = eqx.field(default=0.9, converter=real, metadata=gene("logit"))
    momentum_squares: Float[Array, ""] = eqx.field(
        default=0.999, converter=real, metadata=gene("logit")
    )
    epsilon: Float[Array, ""] = eqx.field(default=1e-8, converter=real, metadata=gene("log"))
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
        zero = jnp.zeros_like
        synapses = tuple({"weight": w, "mean": zero(w), "square": zero(w)} for w in weights)
        return State(body, (), synapses, memory={"time": jnp.zeros(())})

    def rest(self, state: State, batch: int) -> State:
        return _normalised.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _normalised.forward(state, inputs, self.norm, self.gain, self.top)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _normalised.backward(state, feedback.error, self.norm, self.gain, self.top)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        t = state.memory["time"] + 1.0
        rate = self.rate / (1.0 + self.decay * (t - 1.0))
        decays = (self.momentum, self.momentum_squares)
        synapses = tuple(
            adam_step(s, d, t, rate=rate, decays=decays, epsilon=self.epsilon)
            for s, d in zip(state.synapses, descent(state), strict=True)
        )
        return State(state.body, state.neurons, synapses, {"time": t})
