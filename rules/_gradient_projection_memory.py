from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._gene import gene, real
from ._inner_rule import around, check_enough, check_reads_error, inner_rule, within
from ._past import Clock
from ._sample import empty, met
from ._signals import Signal, Tier
from ._subspace import avoided, extended, nothing
from ._weights import check_layered, weights_of, with_weights


@final
class GradientProjectionMemory(AbstractRule):
    r"""Steps avoid what layers were fed by past tasks: $\Delta W_l \leftarrow
    (I - U_l U_l^T)\, \Delta W_l$.

    When a task ends, the network meets a uniform sample of its inputs once more; of the
    activities $[h_l, 1]$ that each block is fed by them, the part outside the basis $U_l$ is
    decomposed into singular vectors, and as many are added to the basis as it takes to hold
    a share of the squared length of all. What is projected is the step of the rule within,
    whatever its moments are. Inputs need no label and are not kept; the bases are. Until a
    task ends, it is the rule within.

    Reads what the rule within reads, and the boundary; the bases are layers' own, but no
    synapse's, so its tier is global.

    **Arguments:**

    - `rule`: any layered rule that reads the error, or text such as `"sgd(rate=0.1)"`.
    - `threshold`: in (0, 1): the share that the bases must hold.
    - `samples`: how many inputs of each task.

    **Raises:**

    - `ValueError`: if the rule does not read the error or is not layered, `threshold` is not
      in (0, 1), or `samples` is not positive.

    ??? cite "Reference"

        Saha, Garg, Roy, "Gradient projection memory for continual learning", ICLR 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.GradientProjectionMemory("sgd(rate=0.1)", threshold=0.95)
        >>> sorted(map(str, rule.reads))
        ['boundary', 'error']

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    threshold: Float[Array, ""] = eqx.field(
        default=0.99, converter=real, metadata=gene("logit")
    )
    samples: int = eqx.field(static=True, default=50)

    def __check_init__(self):
        check_reads_error(self.rule)
        check_sizes(samples=self.samples)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)
        check_enough(past, samples=self.samples)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        memory = {
            "rule": inner.memory,
            "sample": empty(jnp.zeros((self.samples, body.layers[0]))),
            "clock": Clock.zero(),
            "subspaces": nothing(body),
        }
        return State(body, (), inner.synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        return around(self.rule.rest(within(state), batch), state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        key_rule, key_sample = jax.random.split(key)
        inner, outputs = self.rule.predict(within(state), inputs, key=key_rule)
        sample = met(state.memory["sample"], inputs.known, key=key_sample)
        return around(inner, state.memory | {"sample": sample}), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        inner = self.rule.receive(within(state), feedback, key=key)
        clock = state.memory["clock"].told(feedback.boundary)
        return around(inner, state.memory | {"clock": clock})

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        key_rule, key_end = jax.random.split(key)
        inner, memory = within(state), state.memory
        adapted = self.rule.adapt(inner, key=key_rule)
        after = avoided(weights_of(inner), weights_of(adapted), memory["subspaces"])
        adapted = with_weights(adapted, after)
        kept = jax.lax.cond(
            memory["clock"].ends,
            lambda: self._ended(adapted, memory, key=key_end),
            lambda: (memory["sample"], memory["subspaces"]),
        )
        told = {"sample": kept[0], "subspaces": kept[1], "clock": memory["clock"].ticked()}
        return around(adapted, memory | told)

    def _ended(self, inner: State, memory: dict, *, key: Key[Array, ""]):
        """A new sample, and subspaces that hold the activities under the old one."""
        sample = memory["sample"]
        rested = self.rule.rest(inner, self.samples)
        seen, _ = self.rule.predict(rested, Clamped.full(sample.rows), key=key)
        return empty(sample.rows), extended(
            memory["subspaces"], seen, sample.held, self.threshold
        )
