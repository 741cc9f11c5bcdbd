from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real, real_or_none
from ._settling import Settling
from ._signals import Signal, Tier

_SPANNED = 1e-5  # of its squared length: less of a pattern is rounding


@final
class PseudoInverse(AbstractRule):
    r"""The projection rule: $\Delta W = r\, r^T / (\lambda + r \cdot x)$ with $r = x - W x$.

    It lives in one recurrent population, whose weights are at any time the projection onto
    what was stored, the pseudo-inverse of the patterns times the patterns, built up one by
    one; there $r \cdot x = |r|^2$. With a ridge they are
    $X^T (X X^T + \lambda)^{-1} X$ of the patterns $X$, and patterns that are nearly alike
    make them less steep. A pattern that the others span adds nothing. It is stored where no
    free neuron is active, that is, where all of it is shown. Recall is that of
    [`Settling`][plasticgym.rules.Settling]: without $w_{ii}$, which is kept all the same,
    for $r$ needs it. Patterns, correlated or not, stay fixed points as long as they are
    independent, fewer than $n$; from a part of their bits about half as many come back.
    Reads no feedback; its tier is layer: $|r|$ is known to all synapses.

    **Arguments:**

    - `gain`: $g$, a positive scalar: how sure outputs can be.
    - `settling`: how free neurons settle; `make` takes its arguments beside the others.
    - `ridge`: $\lambda$, a positive scalar, beside the $n$ that $|x|^2$ is of ±1;
      `None`: 0.

    **Raises:**

    - `ValueError`: if `gain` or `ridge` is not positive; at `init` if the body has several
      layers.

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
    settling: Settling = eqx.field(default_factory=Settling)
    ridge: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        return self.settling.newborn(body)

    def rest(self, state: State, batch: int) -> State:
        return self.settling.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        state = self.settling.settled(state, inputs)
        return state, self.gain * jnp.tanh(state.neurons[0]["field"])

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        w, s = state.synapses[0]["weight"], self.settling.deviation(state)
        whole = jnp.where((state.neurons[0]["clamped"] > 0) | (s == 0), 1.0, 0.0).min(1)

        def store(w: Array, x: Array):
            r = x - w @ x
            new = r @ r if self.ridge is None else self.ridge + r @ x
            free = new > _SPANNED * (x @ x)
            return w + jnp.where(free, jnp.outer(r, r) / jnp.where(free, new, 1.0), 0.0), None

        # Rows are stored one after the other: the mean of their changes is no projection.
        weight, _ = jax.lax.scan(store, w, s * whole[:, None])
        return State(state.body, state.neurons, ({"weight": weight},), state.memory)
