import dataclasses
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._direction import AbstractDirection
from ._distances import ERRORS
from ._gene import gene, real
from ._inner_rule import around, check_reads_error, inner_rule, within
from ._named_part import named_direction
from ._past import Clock
from ._signals import Signal, Tier
from ._sparse_pull import SparsePull
from ._weights import check_layered, weights_of, with_weights


@final
class InvariantWalk(AbstractRule):
    r"""An invariant path on inputs alone: what comes after a boundary are its anchors.

    $$e \leftarrow e + \lambda\, (q - p)$$

    are the errors that the rule within is told, with $p$ the softmax of the outputs and $q$
    that of the network as it was when the last task ended, for the same inputs: minus the
    derivative of their divergence $\sum_c q_c \log (q_c / p_c)$. Where the path leads
    is a part. Until a task ends, it is the rule within.

    Beside [`InvariantPath`][plasticgym.rules.InvariantPath], which stores some inputs and
    their outputs, this stores the weights as they were and is told more: all that is shown.
    It is for lives that go on without feedback, such as those of
    [`Sparsify`][plasticgym.envs.Sparsify]; in a new task of other inputs it would hold fast
    to what the old network says of these. Reads what the rule within reads, and the
    boundary; its tier is global, as directions look at all weights.

    **Arguments:**

    - `rule`: any layered rule that reads the error, or text such as `"adam(rate=0.001)"`.
    - `direction`: a part, or text such as `"sparse-pull(sparsity=0.9)"`: where the path
      leads.
    - `weight`: $\lambda$, a positive scalar.

    **Raises:**

    - `ValueError`: if the rule does not read the error or is not layered, or a number is out
      of its range.

    ??? cite "Reference"

        Raghavan, Tharwat, Hari, Satani, Liu, Thomson, "Engineering flexible machine learning
        systems by traversing functionally invariant paths", Nature Machine Intelligence 2024.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.Sparsify(pg.envs.digits(presentations=200), 0.8, dense=100)
        >>> pull = pg.rules.SparsePull(sparsity=0.8, steps=100)
        >>> keys = jax.random.split(jax.random.key(0), 2)
        >>> pruned = pg.envs.lives(pg.rules.Adam(), problem, keys=keys)
        >>> walked = pg.envs.lives(pg.rules.InvariantWalk("adam", pull), problem, keys=keys)
        >>> bool((walked.tests.score > pruned.tests.score).all())
        True

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    direction: AbstractDirection = eqx.field(
        default_factory=SparsePull, converter=named_direction
    )
    weight: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))

    def __check_init__(self):
        check_reads_error(self.rule)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        weights = weights_of(inner)
        memory = {
            "rule": inner.memory,
            "start": weights,
            "clock": Clock.zero(),
            "direction": self.direction.init(weights),
        }
        return State(body, (), inner.synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        inner = self.rule.rest(within(state, "missed"), batch)
        return _outer(inner, jnp.zeros((batch, state.body.layers[-1])), state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        inner, rows = within(state, "missed"), len(inputs.values)
        start = self.rule.rest(with_weights(inner, state.memory["start"]), rows)
        _, frozen = self.rule.predict(start, inputs, key=key)
        predicted, outputs = self.rule.predict(inner, inputs, key=key)
        missed = ERRORS["divergence"](outputs, frozen)
        return _outer(predicted, missed, state.memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        memory, clock, missed = state.memory, state.memory["clock"], state.neurons[-1]["missed"]
        imitated = jnp.where(clock.ended > 0, self.weight * missed, 0.0)
        heard = dataclasses.replace(feedback, error=feedback.error + imitated)
        inner = self.rule.receive(within(state, "missed"), heard, key=key)
        return _outer(inner, missed, memory | {"clock": clock.told(feedback.boundary)})

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        memory, clock, inner = state.memory, state.memory["clock"], within(state, "missed")
        key_rule, key_end = jax.random.split(key)
        adapted, kept = self.rule.adapt(inner, key=key_rule), memory["direction"]
        weights = self.direction.step(
            weights_of(inner), weights_of(adapted), kept, clock=clock, body=state.body
        )
        begun = (
            weights,
            self.direction.remember(kept, weights, body=state.body, key=key_end),
        )
        start, kept = jax.tree.map(
            lambda new, old: jnp.where(clock.ends, new, old),
            begun,
            (memory["start"], kept),
        )
        memory = memory | {"start": start, "direction": kept, "clock": clock.ticked()}
        missed = state.neurons[-1]["missed"]
        return _outer(with_weights(adapted, weights), missed, memory)


def _outer(inner: State, missed: Float[Array, "batch outputs"], memory: dict) -> State:
    """The network with all that is kept besides."""
    neurons = (*inner.neurons[:-1], inner.neurons[-1] | {"missed": missed})
    return around(State(inner.body, neurons, inner.synapses, inner.memory), memory)
