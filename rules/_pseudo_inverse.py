from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _population
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._gene import gene, real
from ._population import Order
from ._signals import Signal, Tier

_SPANNED = 1e-5  # of its squared length: less of a pattern is rounding


@final
class PseudoInverse(AbstractRule):
    r"""The projection rule: $\Delta W = r\, r^T / |r|^2$ with $r = x - W x$.

    It lives in one recurrent population, whose weights are at any time the projection onto
    what was stored, the pseudo-inverse of the patterns times the patterns, built up one by
    one. A pattern that the others span adds nothing. It is stored where no free neuron is
    active, that is, where all of it is shown. Recall is that of
    [`Hopfield`][plasticgym.rules.Hopfield]: without $w_{ii}$, which is kept all the same,
    for $r$ needs it. Patterns, correlated or not, stay fixed points as long as they are
    independent, fewer than $n$; from a part of their bits about half as many come back.
    Reads no feedback; its tier is layer: $|r|$ is known to all synapses.

    **Arguments:**

    - `gain`: $g$, a positive scalar: how sure outputs can be.
    - `steps`: rounds in which free neurons settle.
    - `order`: of a round: `"synchronous"`, all at once, or `"asynchronous"`.

    **Raises:**

    - `ValueError`: if `gain` or `steps` is not positive or the order is unknown; at `init`
      if the body has several layers.

    ??? cite "Reference"

        Personnaz, Guyon, Dreyfus, "Collective computational properties of neural networks:
        new learning mechanisms", Physical Review A 1986; Greville, "Some applications of
        the pseudoinverse of a matrix", SIAM Review 1960.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.PseudoInverse().tier)
        'layer'

        ```
    """

    gain: Float[Array, ""] = eqx.field(default=4.0, converter=real, metadata=gene("log"))
    steps: int = eqx.field(static=True, default=10)
    order: Order = eqx.field(static=True, default="synchronous")

    def __check_init__(self):
        check_sizes(steps=self.steps)
        _population.check_order(self.order)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        return _population.newborn(body, type(self).__name__)

    def rest(self, state: State, batch: int) -> State:
        return _population.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        state = _population.settled(state, inputs, steps=self.steps, order=self.order)
        return state, self.gain * jnp.tanh(state.neurons[0]["field"])

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        neurons, w = state.neurons[0], state.synapses[0]["weight"]
        s, clamped = neurons["activity"], neurons["clamped"]
        whole = jnp.where((clamped > 0) | (s == 0), 1.0, 0.0).min(1)

        def store(w: Array, x: Array):
            r = x - w @ x
            new = r @ r > _SPANNED * (x @ x)
            return w + jnp.where(new, jnp.outer(r, r) / jnp.where(new, r @ r, 1.0), 0.0), None

        # Rows are stored one after the other: the mean of their changes is no projection.
        weight, _ = jax.lax.scan(store, w, s * whole[:, None])
        return State(state.body, state.neurons, ({"weight": weight},), state.memory)
