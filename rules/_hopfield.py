from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._settling import Settling, without_diagonal
from ._signals import Signal, Tier


@final
class Hopfield(AbstractRule):
    r"""The associative memory of outer products: $\Delta w_{ij} = x_i x_j / n$, $w_{ii} = 0$.

    It lives in one recurrent population of $n$ neurons. A synapse learns where both of its
    neurons are clamped, at $x_i$ and $x_j$; free neurons settle by $s_i \leftarrow
    \mathrm{sign}(h_i)$ with $h_i = \sum_j w_{ij} s_j$, and the outputs are $g \tanh h$. Of
    random patterns of ±1 up to about $0.14\, n$ are fixed points but for a few percent of
    their bits; beyond, all are lost. Correlated patterns disturb each other, and fewer are
    kept.
    Reads no feedback; its tier is activity.

    **Arguments:**

    - `gain`: $g$, a positive scalar: how sure outputs can be.
    - `settling`: how free neurons settle; `make` takes its arguments beside the others.

    **Raises:**

    - `ValueError`: if `gain` is not positive; at `init` if the body has several layers.

    ??? cite "Reference"

        Hopfield, "Neural networks and physical systems with emergent collective
        computational abilities", PNAS 1982; Amit, Gutfreund, Sompolinsky, "Storing infinite
        numbers of patterns in a spin-glass model of neural networks", Physical Review
        Letters 1985.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.remember(bits=64, stored=3, delay=0, hidden=0)
        >>> life = pg.envs.live(pg.rules.Hopfield(), problem, key=jax.random.key(0))
        >>> bool(life.tests.score[-1] > 0.9)
        True

        ```
    """

    gain: Float[Array, ""] = eqx.field(default=4.0, converter=real, metadata=gene("log"))
    settling: Settling = eqx.field(default_factory=Settling)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

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
        w = state.synapses[0]["weight"]
        x = state.neurons[0]["clamped"] * self.settling.deviation(state)
        change = x.T @ (x / x.shape[0]) / state.body.fan_in(0)
        weight = w + without_diagonal(change)
        return State(state.body, state.neurons, ({"weight": weight},), state.memory)
