from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._adam_step import adam_step
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class Adam(AbstractRule):
    r"""Backpropagation with Adam.

    With $g = \nabla_W L$ the gradient of the mean loss of the batch,

    $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
    v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
    \Delta W = -\eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}.$$

    A synapse holds its weight and the two moments; the clock $t$ is in the memory. Reads
    the error; its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `decay`, `decay_squares`: $\beta_1$ and $\beta_2$, in (0, 1). Their genes are
      logits, so that no genome leaves that range.
    - `epsilon`: $\epsilon$, a positive scalar.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if one of them is out of its range or the activation is unknown.

    ??? cite "Reference"

        Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> state = pg.rules.Adam().init(pg.rules.Body((4, 2)), key=jax.random.key(0))
        >>> sorted(state.synapses[0])
        ['mean', 'square', 'weight']

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.01, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.9, converter=real, metadata=gene("logit"))
    decay_squares: Float[Array, ""] = eqx.field(
        default=0.999, converter=real, metadata=gene("logit")
    )
    epsilon: Float[Array, ""] = eqx.field(default=1e-8, converter=real, metadata=gene("log"))
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
        zero = jnp.zeros_like
        synapses = tuple({"weight": w, "mean": zero(w), "square": zero(w)} for w in weights)
        return State(body, (), synapses, memory={"time": jnp.zeros(())})

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _multilayer.backward(state, feedback.error, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        t = state.memory["time"] + 1.0
        decays = (self.decay, self.decay_squares)
        synapses = tuple(
            adam_step(s, d, t, rate=self.rate, decays=decays, epsilon=self.epsilon)
            for s, d in zip(state.synapses, _multilayer.descent(state), strict=True)
        )
        return State(state.body, state.neurons, synapses, {"time": t})
