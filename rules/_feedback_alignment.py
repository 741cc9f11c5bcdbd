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
class FeedbackAlignment(AbstractRule):
    r"""Feedback alignment: $\delta_l = \sigma'_l \odot \delta_{l+1} B_l$,
    $\Delta W_l = \eta\, \langle [h_l, 1]^T \delta_{l+1} \rangle$ with fixed random $B_l$.

    Backpropagation with $B_l$ in the place of $W_l^T$, averaged over rows. While it
    learns, the forward weights turn towards the backward ones, until the errors that $B_l$
    delivers point within 90 degrees of minus the gradient. The last block always follows
    the gradient exactly. Where hidden layers are narrower than the outputs need, or very
    many, alignment stays poor.

    A synapse holds its weight and, above the first block, an entry of the feedback, which
    is drawn at birth and stays. Reads the error, which is fed back by synapses that know no
    other weights, so its tier is error.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `scale`: standard deviation of the entries of $B_l$, in multiples of
      1 / sqrt(neurons that send).
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `scale` is not positive or the activation is unknown.

    ??? cite "Reference"

        Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error
        backpropagation for deep learning", Nature Communications 2016.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.FeedbackAlignment()
        >>> newborn = rule.init(pg.rules.Body((64, 32, 10)), key=jax.random.key(0))
        >>> newborn.synapses[1]["feedback"].shape
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
        first, *others = _multilayer.newborn(body, self.activation, key=key_forward)
        above = tuple(range(2, len(body.layers)))
        matrices = random_feedback(body, above, scale=self.scale, key=key_backward)
        blocks = ({"weight": w, "feedback": b} for w, b in zip(others, matrices, strict=True))
        return State(body, (), ({"weight": first}, *blocks))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        matrices = tuple(block["feedback"] for block in state.synapses[1:])
        return _multilayer.backward(state, feedback.error, self.activation, matrices)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)

    def change(self, view: LocalView) -> Float[Array, ""]:
        return self.rate * view.pre * view.error
