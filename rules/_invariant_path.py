from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._direction import AbstractDirection, NewTask
from ._extra_rows import with_errors, with_rows
from ._inner_rule import (
    around,
    check_enough,
    check_reads_error,
    check_room,
    inner_rule,
    within,
)
from ._invariance import AbstractInvariance, Anchored
from ._named_part import named_direction, named_invariance
from ._past import Clock, Past
from ._penalty import Penalty
from ._sample import empty, met
from ._signals import Signal, Tier
from ._weights import check_layered, weights_of, with_weights


@final
class InvariantPath(AbstractRule):
    r"""A functionally invariant path: weights move, outputs on what is known do not.

    $$\Delta W = \arg\min_{\theta}\; \tfrac{1}{2} \theta^T g\, \theta
    + \tfrac{\mu}{2} |\theta - \Delta|^2, \quad g = \langle J^T J \rangle_{\text{anchors}},$$

    where $\Delta$ is the step that the rule within takes for something else, such as the
    loss of a new task, and $J$ the derivative of the outputs at *anchors* by all weights:
    inputs of past tasks, without labels, for which the outputs of the network when their
    task ended are kept. [`Exact`][plasticgym.rules.Exact] takes this very step;
    [`Penalty`][plasticgym.rules.Penalty] lets the rule descend a distance from the kept
    outputs as well, which near them is $\theta^T g\, \theta$ in some metric of outputs.

    While a task lasts, a uniform sample of its inputs is drawn from the stream; when the
    feedback's boundary ends it, they become anchors and their outputs are frozen. They ride
    as further rows of every batch through the rule within, whose own way back from errors to
    weights they use. Until a task ends, it is the rule within.

    Its parts say how invariance is kept (these two, or
    [`LayerLocal`][plasticgym.rules.LayerLocal]) and where the path leads
    ([`NewTask`][plasticgym.rules.NewTask]). Reads what the rule within reads,
    and the boundary; its tier is global, for the anchors are no synapse's own.

    **Arguments:**

    - `rule`: any rule that reads the error, or text such as `"adam(rate=0.001)"`.
    - `invariance`: a part, or text such as `"penalty(weight=10)"`, `"exact(damping=0.1)"`,
      `"layer-local(threshold=0.99)"`.
    - `direction`: a part, or text such as `"sparse-pull(sparsity=0.9)"`.
    - `anchors`: how many of each task.
    - `tasks`: of how many past tasks: all that end before the last one begins.

    **Raises:**

    - `ValueError`: if the rule does not read the error or is not layered, a name is unknown,
      or a number is not positive.

    ??? cite "Reference"

        Raghavan, Tharwat, Hari, Satani, Liu, Thomson, "Engineering flexible machine learning
        systems by traversing functionally invariant paths", Nature Machine Intelligence 2024.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.InvariantPath("sgd(rate=0.1)", anchors=20)
        >>> problem = pg.envs.split_digits()
        >>> record = pg.envs.live(rule, problem, key=jax.random.key(0), tests=problem.ends)
        >>> record.tests.score.shape  # after each task, on each task
        (2, 2)

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    invariance: AbstractInvariance = eqx.field(
        default_factory=Penalty, converter=named_invariance
    )
    direction: AbstractDirection = eqx.field(default_factory=NewTask, converter=named_direction)
    anchors: int = eqx.field(static=True, default=50)
    tasks: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_reads_error(self.rule)
        check_sizes(anchors=self.anchors, tasks=self.tasks)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)
        check_room(past, self.tasks)
        check_enough(past, anchors=self.anchors)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        self.invariance.check_fits(self.rule, inner)
        inputs = jnp.zeros((self.anchors, body.layers[0]))
        outputs = jnp.zeros((self.anchors, body.layers[-1]))
        memory = {
            "rule": inner.memory,
            "sample": empty(inputs),
            "past": Past.empty(self.tasks, (inputs, outputs)),
            "outputs": jnp.zeros((self.tasks * self.anchors, body.layers[-1])),
            "clock": Clock.zero(),
            "invariance": self.invariance.init(body),
            "direction": self.direction.init(weights_of(inner)),
        }
        return State(body, (), inner.synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        inner = self.rule.rest(within(state), batch + self.tasks * self.anchors)
        return around(inner, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        key_rule, key_sample = jax.random.split(key)
        memory, batch = state.memory, len(inputs.values)
        (anchors, _), _ = memory["past"].flat()
        both = with_rows(inputs, anchors)
        inner, outputs = self.rule.predict(within(state), both, key=key_rule)
        sample = met(memory["sample"], inputs.known, key=key_sample)
        memory = memory | {"sample": sample, "outputs": outputs[batch:]}
        return around(inner, memory), outputs[:batch]

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        memory, clock = state.memory, state.memory["clock"]
        (_, frozen), held = memory["past"].flat()
        errors = self.invariance.errors(memory["outputs"], frozen, held, memory["past"].tasks)
        heard = with_errors(feedback, errors)
        inner = self.rule.receive(within(state), heard, key=key)
        return around(inner, memory | {"clock": clock.told(feedback.boundary)})

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        key_rule, key_end = jax.random.split(key)
        memory, inner = state.memory, within(state)
        (inputs, _), held = memory["past"].flat()
        before, adapted = weights_of(inner), self.rule.adapt(inner, key=key_rule)
        after = self.direction.step(
            before,
            weights_of(adapted),
            memory["direction"],
            clock=memory["clock"],
            body=state.body,
        )
        anchored = Anchored(self.rule, inner, inputs, held)
        after = self.invariance.bent(before, after, anchored, memory["invariance"])
        outer = around(with_weights(adapted, after), memory)
        memory = jax.lax.cond(
            memory["clock"].ends,
            lambda: self._ended(outer, key=key_end),
            lambda: outer.memory,
        )
        memory = memory | {"clock": memory["clock"].ticked()}
        return State(state.body, outer.neurons, outer.synapses, memory)

    def _ended(self, state: State, *, key: Key[Array, ""]) -> dict:
        """The memory once a task has ended: its sample become anchors, outputs frozen."""
        key_predict, key_keep, key_direction = jax.random.split(key, 3)
        memory, sample = state.memory, state.memory["sample"]
        rested = self.rule.rest(within(state), self.anchors)
        seen, outputs = self.rule.predict(rested, Clamped.full(sample.rows), key=key_predict)
        kept = self.invariance.remember(memory["invariance"], seen, sample.held, key=key_keep)
        return memory | {
            "sample": empty(sample.rows),
            "past": memory["past"].with_task(memory["clock"], sample, (sample.rows, outputs)),
            "invariance": kept,
            "direction": self.direction.remember(
                memory["direction"], weights_of(state), body=state.body, key=key_direction
            ),
        }
