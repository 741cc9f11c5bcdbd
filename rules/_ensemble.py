from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._inner_rule import inner_rule
from ._signals import Signal, Tier


@final
class Ensemble(AbstractRule):
    r"""Several networks, each under the same rule, whose outputs are averaged.

    $$y = \frac{1}{M} \sum_m y_m$$

    They are born apart and meet the same inputs and the same feedback, which is about $y$:
    so they learn as one. For members that learned each by itself, put their states together:
    synapses and memory lead with an axis of members. Reads what the rule reads; its tier is
    that of the rule, gradient for Adam.

    **Arguments:**

    - `rule`: any rule, or text such as `"adam(rate=0.001)"`.
    - `members`: $M$.

    **Raises:**

    - `ValueError`: if `members` is not positive or the text names no rule.

    ??? cite "Reference"

        Hansen, Salamon, "Neural network ensembles", IEEE PAMI 1990.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.Ensemble("sgd", members=3)
        >>> rule.init(pg.rules.Body((4, 2)), key=jax.random.key(0)).synapses[0]["weight"].shape
        (3, 5, 2)

        ```
    """

    rule: AbstractRule = eqx.field(default="adam(rate=0.001)", converter=inner_rule)
    members: int = eqx.field(static=True, default=10)

    def __check_init__(self):
        check_sizes(members=self.members)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads

    @property
    def tier(self) -> Tier:
        return self.rule.tier

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        def born(key: Key[Array, ""]):
            state = self.rule.init(body, key=key)
            return state.synapses, state.memory

        synapses, memory = jax.vmap(born)(jax.random.split(key, self.members))
        return State(body, (), synapses, memory)

    def rest(self, state: State, batch: int) -> State:
        return self._each(lambda one, key: (self.rule.rest(one, batch), None), state)[0]

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        predict = lambda one, key: self.rule.predict(one, inputs, key=key)  # noqa: E731
        after, outputs = self._each(predict, state, key=key)
        # The very arrays: a prediction leaves synapses as they are.
        return State(state.body, after.neurons, state.synapses, after.memory), outputs.mean(0)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        receive = lambda one, key: (self.rule.receive(one, feedback, key=key), None)  # noqa: E731
        after, _ = self._each(receive, state, key=key)
        return State(state.body, after.neurons, state.synapses, after.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return self._each(
            lambda one, key: (self.rule.adapt(one, key=key), None), state, key=key
        )[0]

    def _each(
        self, method: Callable, state: State, *, key: Key[Array, ""] | None = None
    ) -> tuple[State, Any]:
        """What a method makes of the state of each member, and what else it returns."""
        keys = None if key is None else jax.random.split(key, self.members)

        def one(own: tuple, key: Key[Array, ""] | None):
            after, told = method(State(state.body, *own), key)
            return (after.neurons, after.synapses, after.memory), told

        own, told = jax.vmap(one)((state.neurons, state.synapses, state.memory), keys)
        return State(state.body, *own), told
