from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._extra_rows import with_errors, with_rows
from ._gene import gene, real
from ._inner_rule import (
    around,
    check_enough,
    check_reads_error,
    check_room,
    inner_rule,
    within,
)
from ._past import Clock, Past, per_row
from ._sample import empty, met
from ._signals import Signal, Tier
from ._weights import check_layered


@final
class Replay(AbstractRule):
    r"""Stored examples of past tasks are learned along with every batch:
    $L + \lambda\, j\, \langle L_\text{stored} \rangle$.

    While a task lasts, a uniform sample of its examples is drawn from the stream, with their
    targets; when the feedback's boundary ends it, they are stored, and ride as further rows
    of every batch through the rule within. Their loss is the cross-entropy of the softmax of
    the outputs; $j$ is of how many tasks some are stored. Until one has ended, it is the rule
    within.

    Reads what the rule within reads, the target and the boundary; its tier is global, for
    what is stored is no synapse's own.

    **Arguments:**

    - `rule`: any layered rule that reads the error, or text such as `"sgd(rate=0.1)"`.
    - `weight`: $\lambda$, a positive scalar.
    - `samples`: how many of each task.
    - `tasks`: of how many past tasks: all that end before the last one begins.

    **Raises:**

    - `ValueError`: if the rule does not read the error or is not layered, or a number is not
      positive.

    ??? cite "Reference"

        Ratcliff, "Connectionist models of recognition memory", Psychological Review 1990.
        Chaudhry et al., "On tiny episodic memories in continual learning", 2019.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> sorted(map(str, pg.rules.Replay("sgd(rate=0.1)").reads))
        ['boundary', 'error', 'target']

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    weight: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    samples: int = eqx.field(static=True, default=50)
    tasks: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_reads_error(self.rule)
        check_sizes(samples=self.samples, tasks=self.tasks)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.TARGET, Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)
        check_room(past, self.tasks)
        check_enough(past, samples=self.samples)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        ends = (body.layers[0], body.layers[-1])
        rows = tuple(jnp.zeros((self.samples, n)) for n in ends)
        memory = {
            "rule": inner.memory,
            "sample": empty(rows),
            "past": Past.empty(self.tasks, rows),
            "outputs": jnp.zeros((self.tasks * self.samples, ends[1])),
            "clock": Clock.zero(),
        }
        return State(body, (), inner.synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        inner = self.rule.rest(within(state), batch + self.tasks * self.samples)
        return around(inner, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        (stored, _), _ = state.memory["past"].flat()
        batch, both = len(inputs.values), with_rows(inputs, stored)
        inner, outputs = self.rule.predict(within(state), both, key=key)
        return around(inner, state.memory | {"outputs": outputs[batch:]}), outputs[:batch]

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        key_rule, key_sample = jax.random.split(key)
        memory, clock = state.memory, state.memory["clock"]
        (_, targets), held = memory["past"].flat()
        weight = self.weight * memory["past"].tasks.astype(float) * per_row(held)
        errors = weight * (targets - jax.nn.softmax(memory["outputs"]))
        inner = self.rule.receive(within(state), with_errors(feedback, errors), key=key_rule)
        inputs = state.neurons[0]["activity"][: len(feedback.error)]
        sample = met(memory["sample"], (inputs, feedback.target.known), key=key_sample)
        told = {"sample": sample, "clock": clock.told(feedback.boundary)}
        return around(inner, memory | told)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        memory, clock = state.memory, state.memory["clock"]
        sample, past = memory["sample"], memory["past"]
        sample, past = jax.lax.cond(
            clock.ends,
            lambda: (empty(sample.rows), past.with_task(clock, sample, sample.rows)),
            lambda: (sample, past),
        )
        told = {"sample": sample, "past": past, "clock": clock.ticked()}
        return around(self.rule.adapt(within(state), key=key), memory | told)
