import dataclasses
import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._inner_rule import around, check_reads_error, inner_rule, within
from ._multilayer import with_bias
from ._past import Clock
from ._signals import Signal, Tier
from ._weights import check_layered, check_plain, weights_of, with_weights

_OWN = ("start", "importance", "running", "outputs", "sampled")


@final
class ElasticWeightConsolidation(AbstractRule):
    r"""Weights are held back by a spring, the stiffer the more past tasks depend on them.

    $$w \leftarrow \frac{w + \Delta w + \lambda F\, w^*}{1 + \lambda F}$$

    with $\Delta w$ the step of the rule within, $w^*$ the weight when the last task ended
    and $F$ its importance. That is the step and then one down the penalty
    $\frac{\lambda}{2} F (w - w^*)^2$, taken implicitly: it cannot overshoot, however stiff
    the spring, and is not rescaled by what moments the rule within has.

    $F$ is the diagonal of the Fisher information, summed over the tasks that have ended: the
    mean square of the derivative of $\log p_c$ by the weight, with the class $c$ of each
    example drawn from the network's own softmax $p$, as an exponential average over the last
    presentations of the task (the online form), divided by $1 - \text{decay}^t$ after the
    $t$ of the task, so that short tasks weigh what long ones do. Until a task ends, it is
    the rule within.

    The derivative is told by the errors that come back through the layers: a rule that
    settles or perturbs has none. Where they come back through other weights, as in feedback
    alignment, $F$ is of these errors and no Fisher information.

    A synapse holds $w^*$, $F$ and the running average, so the memory is local. Reads what
    the rule within reads, and the boundary; its tier is that of the rule within, gradient
    for Adam.

    **Arguments:**

    - `rule`: any layered rule that reads the error, or text such as `"sgd(rate=0.1)"`.
    - `weight`: $\lambda$, a positive scalar.
    - `decay`: of the running average, in (0, 1).

    **Raises:**

    - `ValueError`: if the rule does not read the error, is not layered or sends no errors
      back, or a number is out of its range.

    ??? cite "Reference"

        Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS
        2017. Schwarz et al., "Progress and compress", ICML 2018, for the online form.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.ElasticWeightConsolidation("sgd(rate=0.1)", weight=10).tier)
        'gradient'

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    weight: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.99, converter=real, metadata=gene("logit"))

    def __check_init__(self):
        check_reads_error(self.rule)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return self.rule.tier

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        check_plain(self.rule, inner)
        zeros = [jnp.zeros_like(w) for w in weights_of(inner)]
        synapses = tuple(
            block | {"start": z, "importance": z, "running": z}
            for block, z in zip(inner.synapses, zeros, strict=True)
        )
        memory = {"rule": inner.memory, "clock": Clock.zero()}
        return State(body, (), synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        inner = self.rule.rest(within(state, *_OWN), batch)
        sampled = tuple(jnp.zeros((batch, n)) for n in state.body.layers)
        return _held(inner, state, sampled, sampled[-1])

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        inner, outputs = self.rule.predict(within(state, *_OWN), inputs, key=key)
        sampled = tuple(layer["sampled"] for layer in state.neurons)
        return _held(inner, state, sampled, outputs), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        key_rule, key_class, key_again = jax.random.split(key, 3)
        inner, outputs = within(state, *_OWN), state.neurons[-1]["outputs"]
        drawn = jax.random.categorical(key_class, outputs)
        error = jax.nn.one_hot(drawn, outputs.shape[1]) - jax.nn.softmax(outputs)
        guessed = dataclasses.replace(feedback, error=error)
        sampled = self.rule.receive(inner, guessed, key=key_again)
        errors = tuple(layer["error"] for layer in sampled.neurons)
        after = self.rule.receive(inner, feedback, key=key_rule)
        memory = state.memory | {"clock": state.memory["clock"].told(feedback.boundary)}
        held = State(state.body, state.neurons, state.synapses, memory)
        return _held(after, held, errors, outputs)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        inner, clock = within(state, *_OWN), state.memory["clock"]
        ends, weight = clock.ends, 1.0 - self.decay ** (clock.time + 1).astype(float)
        adapted = self.rule.adapt(inner, key=key)
        weights, synapses = [], []
        squares = _squares(state)
        for block, w, square in zip(state.synapses, weights_of(adapted), squares, strict=True):
            stiff = self.weight * block["importance"]
            w = (w + stiff * block["start"]) / (1.0 + stiff)
            running = self.decay * block["running"] + (1.0 - self.decay) * square
            weights.append(w)
            synapses.append(
                block
                | {
                    "start": jnp.where(ends, w, block["start"]),
                    "importance": block["importance"] + jnp.where(ends, running / weight, 0.0),
                    "running": jnp.where(ends, 0.0, running),
                }
            )
        memory = state.memory | {"clock": clock.ticked()}
        held = State(state.body, state.neurons, tuple(synapses), memory)
        sampled = tuple(layer["sampled"] for layer in state.neurons)
        adapted = with_weights(adapted, tuple(weights))
        return _held(adapted, held, sampled, state.neurons[-1]["outputs"])


def _squares(state: State) -> list[Float[Array, "_pre _post"]]:
    """The mean square of what each weight would get from a class drawn from the outputs."""
    pairs = itertools.pairwise(state.neurons)
    fed = [(with_bias(pre["activity"]), post["sampled"]) for pre, post in pairs]
    return [jnp.square(h).T @ jnp.square(e) / len(e) for h, e in fed]


def _held(inner: State, outer: State, sampled, outputs) -> State:
    """The network within with what synapses and neurons hold besides."""
    neurons = [
        layer | {"sampled": error} for layer, error in zip(inner.neurons, sampled, strict=True)
    ]
    neurons[-1] = neurons[-1] | {"outputs": outputs}
    synapses = tuple(
        block | {name: x for name, x in held.items() if name in _OWN}
        for block, held in zip(inner.synapses, outer.synapses, strict=True)
    )
    return around(State(inner.body, tuple(neurons), synapses, inner.memory), outer.memory)
