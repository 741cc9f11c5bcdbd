from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier


@final
class SignSymmetric(AbstractRule):
    r"""Sign-symmetric feedback: $\delta_l = \sigma'_l \odot \delta_{l+1} B_l$,
    $B_l = s\, \mathrm{sign}(W_l^T) / \sqrt{n_l}$,
    $\Delta W_l = \eta\, \langle [h_l, 1]^T \delta_{l+1} \rangle$.

    Backpropagation, averaged over rows, in which a weight is fed back by its sign alone.
    For normal weights the cosine between $B_l$ and $W_l^T$ is $\sqrt{2 / \pi} \approx
    0.8$, at birth and with no learning of an alignment. The signs are transported, so it
    is as far from local as backpropagation; what it shows is how little of the weights is
    needed.

    A synapse holds its weight. Reads the error; its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `scale`: $s$, a positive scalar; $n_l$ are the neurons that the feedback reaches.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `scale` is not positive or the activation is unknown.

    ??? cite "Reference"

        Liao, Leibo, Poggio, "How important is weight symmetry in backpropagation?",
        AAAI 2016.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.SignSymmetric().tier)
        'gradient'

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
        return Tier.GRADIENT

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        return State(body, (), tuple({"weight": w} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        matrices = tuple(
            jnp.sign(block["weight"][:-1].T) * (self.scale / jnp.sqrt(state.body.fan_in(layer)))
            for layer, block in enumerate(state.synapses[1:], start=1)
        )
        return _multilayer.backward(state, feedback.error, self.activation, matrices)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)

    def change(self, view: LocalView) -> Float[Array, ""]:
        return self.rate * view.pre * view.error
