import dataclasses
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._inner_rule import around, check_reads_error, inner_rule, within
from ._signals import Signal, Tier
from ._weights import check_layered, weights_of, with_weights

_OWN = ("old", "seen", "known", "outputs", "recalled", "target")


@final
class LearningWithoutForgetting(AbstractRule):
    r"""The network of the last task answers the new inputs, too, and is imitated.

    $$L + \lambda\, T^2 \sum_{c \in K} q_c \log \frac{q_c}{p_c}$$

    with $p$ and $q$ the softmax, at temperature $T$, of the outputs of the network and of
    the network as it was when the last task ended, over the outputs $K$ that have been
    targets in tasks that ended. Nothing of past tasks is stored but the weights. Until a
    task ends, it is the rule within.

    A synapse holds its old weight, and synapses of outputs how often these were targets. Reads
    what the rule within reads, the target and the boundary; its tier is that of the rule
    within, gradient for Adam.

    **Arguments:**

    - `rule`: any layered rule that reads the error, or text such as `"sgd(rate=0.1)"`.
    - `weight`: $\lambda$, a positive scalar.
    - `temperature`: $T$, a positive scalar.

    **Raises:**

    - `ValueError`: if the rule does not read the error or is not layered, or a number is not
      positive.

    ??? cite "Reference"

        Li, Hoiem, "Learning without forgetting", ECCV 2016.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.LearningWithoutForgetting("sgd(rate=0.1)", weight=3)
        >>> sorted(map(str, rule.reads))
        ['boundary', 'error', 'target']

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    weight: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    temperature: Float[Array, ""] = eqx.field(default=2.0, converter=real, metadata=gene("log"))

    def __check_init__(self):
        check_reads_error(self.rule)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | {Signal.TARGET, Signal.BOUNDARY}

    @property
    def tier(self) -> Tier:
        return self.rule.tier

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        inner = self.rule.init(body, key=key)
        check_layered(inner, self.rule)
        zeros = [jnp.zeros_like(w) for w in weights_of(inner)]
        synapses = [b | {"old": z} for b, z in zip(inner.synapses, zeros, strict=True)]
        synapses[-1] = synapses[-1] | {"seen": zeros[-1], "known": zeros[-1]}
        memory = {"rule": inner.memory, "ends": jnp.zeros((), bool)}
        return State(body, (), tuple(synapses), memory)

    def rest(self, state: State, batch: int) -> State:
        inner = self.rule.rest(within(state, *_OWN), batch)
        zeros = jnp.zeros((batch, state.body.layers[-1]))
        told = {"outputs": zeros, "recalled": zeros, "target": zeros}
        return _held(inner, state, state.memory, told)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        inner, batch = within(state, *_OWN), len(inputs.values)
        after, outputs = self.rule.predict(inner, inputs, key=key)
        old = tuple(block["old"] for block in state.synapses)
        resting = self.rule.rest(with_weights(inner, old), batch)
        _, recalled = self.rule.predict(resting, inputs, key=key)
        told = {"outputs": outputs, "recalled": recalled, "target": jnp.zeros_like(outputs)}
        return _held(after, state, state.memory, told), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        top, known = state.neurons[-1], state.synapses[-1]["known"][-1] > 0
        p, q = (
            jax.nn.softmax(jnp.where(known[None], y / self.temperature, -jnp.inf))
            for y in (top["outputs"], top["recalled"])
        )
        imitated = jnp.where(known[None], self.weight * self.temperature * (q - p), 0.0)
        heard = dataclasses.replace(feedback, error=feedback.error + imitated)
        inner = self.rule.receive(within(state, *_OWN), heard, key=key)
        memory = state.memory | {"ends": feedback.boundary.any()}
        told = {n: top[n] for n in ("outputs", "recalled")} | {"target": feedback.target.known}
        return _held(inner, state, memory, told)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        ends, top = state.memory["ends"], state.neurons[-1]
        adapted = self.rule.adapt(within(state, *_OWN), key=key)
        synapses = [
            block | {"old": jnp.where(ends, w, block["old"])}
            for block, w in zip(state.synapses, weights_of(adapted), strict=True)
        ]
        last = synapses[-1]
        seen = last["seen"] + top["target"].mean(0)[None]
        known = jnp.where(ends, jnp.sign(seen), last["known"])
        synapses[-1] = last | {"seen": seen, "known": known}
        held = State(state.body, state.neurons, tuple(synapses), state.memory)
        told = {name: top[name] for name in ("outputs", "recalled", "target")}
        return _held(adapted, held, state.memory, told)


def _held(inner: State, outer: State, memory: dict, told: dict) -> State:
    """The network within with what synapses hold besides, and the neurons of the outputs."""
    neurons = (*inner.neurons[:-1], inner.neurons[-1] | told)
    synapses = tuple(
        block | {name: x for name, x in held.items() if name in _OWN}
        for block, held in zip(inner.synapses, outer.synapses, strict=True)
    )
    return around(State(inner.body, neurons, synapses, inner.memory), memory)
