from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._settling import Settling, without_diagonal
from ._signals import Signal, Tier


@final
class Storkey(AbstractRule):
    r"""Storkey's rule: $\Delta w_{ij} = (x_i x_j - x_i h_{ji} - h_{ij} x_j) / n$, $w_{ii} = 0$.

    $h_{ij} = \sum_{k \neq j} w_{ik} x_k$ is the field of a neuron without what the synapse
    itself gives it: what the memory says already is taken off. It lives in one recurrent
    population of $n$ neurons and recalls as [`Hopfield`][plasticgym.rules.Hopfield] does.
    A synapse learns where both of its neurons are clamped, from their values, their fields
    and its weight. It keeps more random patterns than the outer product, about
    $n / \sqrt{2 \ln n}$ where that keeps $n / (2 \ln n)$ without an error, and suffers less
    from correlated ones. Reads no feedback; its tier is activity.

    **Arguments:**

    - `gain`: $g$, a positive scalar: how sure outputs can be.
    - `settling`: how free neurons settle; `make` takes its arguments beside the others.

    **Raises:**

    - `ValueError`: if `gain` is not positive; at `init` if the body has several layers.

    ??? cite "Reference"

        Storkey, "Increasing the capacity of a Hopfield network without sacrificing
        functionality", ICANN 1997.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.Storkey())
        ('gain',)

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
        neurons, w = state.neurons[0], state.synapses[0]["weight"]
        rows, n = neurons["activity"].shape[0], state.body.fan_in(0)
        c = neurons["clamped"]
        x, h = c * self.settling.deviation(state), c * neurons["field"]
        # Fields without what the synapse itself gives them.
        own = w * (jnp.square(x).T @ c + c.T @ jnp.square(x))
        change = x.T @ x - (x.T @ h + h.T @ x - own)
        weight = w + without_diagonal(change / (rows * n))
        return State(state.body, state.neurons, ({"weight": weight},), state.memory)
