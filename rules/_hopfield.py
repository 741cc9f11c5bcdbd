from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _population
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._gene import gene, real
from ._population import Order
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
    - `steps`: rounds in which free neurons settle.
    - `order`: of a round: `"synchronous"`, all at once, which may end in a cycle of two, or
      `"asynchronous"`, one after the other, which is slower and never does.

    **Raises:**

    - `ValueError`: if `gain` or `steps` is not positive or the order is unknown; at `init`
      if the body has several layers.

    ??? cite "Reference"

        Hopfield, "Neural networks and physical systems with emergent collective
        computational abilities", PNAS 1982; Amit, Gutfreund, Sompolinsky, "Storing infinite
        numbers of patterns in a spin-glass model of neural networks", Physical Review
        Letters 1985.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.remember(bits=64, stored=4, hidden=0)
        >>> life = pg.envs.live(pg.rules.Hopfield(), problem, key=jax.random.key(0))
        >>> bool(life.tests.score[-1] > 0.9)
        True

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
        return Tier.ACTIVITY

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
        x = neurons["clamped"] * neurons["activity"]
        change = x.T @ (x / x.shape[0]) / state.body.fan_in(0)
        weight = w + _population.without_diagonal(change)
        return State(state.body, state.neurons, ({"weight": weight},), state.memory)
