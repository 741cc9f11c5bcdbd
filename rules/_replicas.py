from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from . import _blocks
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._inner_rule import inner_rule
from ._mixing import AbstractMixing
from ._named_mixing import named_mixing
from ._signals import Signal, Tier


@final
class Replicas(AbstractRule):
    r"""Many networks that learn by one rule, each from its own rows, and mix their weights:

    $$W_k \leftarrow \sum_j A_{kj}\, (W_j + D_j)$$

    after every `every` presentations, with $D_j$ what the rule has changed in replica $j$
    since, and $A$ what the mixing says. All are born alike. Rows are cut into as many equal
    blocks as there are replicas, one for each, when it lives and when it is tested, on any
    problem; [`Sharded`][plasticgym.envs.Sharded] is the one whose blocks differ. Where
    they cannot be equal, neighbouring blocks overlap, and outputs of a row in several are
    averaged. So a score is the mean of what the replicas score.

    The last `measured` rows of a batch belong to no block: all replicas predict them (their
    outputs are averaged), nobody learns from them, and mixings measure accuracy on them,
    with weights as they are when they are mixed.

    Only weights travel: of a synapse that holds a `"weight"` nothing else does, so that
    moments, traces and random feedback stay with their replica; of other synapses, such as
    those of [`Blur`][plasticgym.rules.Blur], all states do.

    Reads what the rule and the mixing read; its tier is the less local of theirs: reward,
    error or gradient, as it is without replicas, where the tier of the mixing is activity.

    **Arguments:**

    - `rule`: how each network learns: a rule, or text such as `"adam(rate=0.001)"`.
    - `mixing`: what they make of one another's weights: a part, or text such as
      `"average"`, `"gated(tolerance=0.03)"`.
    - `every`: how many presentations are between two mixings.
    - `replicas`: how many networks there are.
    - `measured`: how many of the last rows of a batch are measured.

    **Raises:**

    - `ValueError`: if a name is unknown, a size is not positive, the mixing measures and
      there is nothing to be measured, or it does not fit so many replicas.

    ??? cite "Reference"

        Sun, "Meta learning in decentralized neural networks: towards more general AI",
        arXiv 2302.01020, 2023.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.Replicas(pg.rules.SGD(), pg.rules.Average(), every=5, replicas=4)
        >>> life = pg.envs.live(rule, pg.envs.digits(), key=jax.random.key(0))
        >>> life.state.synapses[0]["weight"].shape
        (4, 65, 32)

        ```
    """

    rule: AbstractRule = eqx.field(default="sgd", converter=inner_rule)
    mixing: AbstractMixing = eqx.field(default="average", converter=named_mixing)
    every: int = eqx.field(static=True, default=1)
    replicas: int = eqx.field(static=True, default=4, kw_only=True)
    measured: int = eqx.field(static=True, default=0, kw_only=True)

    def __check_init__(self):
        check_sizes(every=self.every, replicas=self.replicas)
        if self.measured != 0:
            check_sizes(measured=self.measured)
        elif Signal.TARGET in self.mixing.reads:
            raise ValueError(
                f"`measured` must be positive, for {type(self.mixing).__name__} mixes by "
                "accuracy on measured rows, got 0."
            )
        self.mixing.check(self.replicas)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads | self.mixing.reads

    @property
    def tier(self) -> Tier:
        return max(self.rule.tier, self.mixing.tier)

    def check_tasks(self, past: tuple[int, ...]) -> None:
        self.rule.check_tasks(past)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        one = self.rule.init(body, key=key)
        synapses, memory = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (self.replicas, *jnp.shape(x))),
            (one.synapses, one.memory),
        )
        held = {
            "rule": memory,
            "time": jnp.zeros((), int),
            "agreed": travelling(synapses),
            "shown": _blank(self.measured, body.layers[0]),
            "target": _blank(self.measured, body.layers[-1]),
        }
        return State(body, (), synapses, held)

    def rest(self, state: State, batch: int) -> State:
        own = batch - self.measured
        if own < 1:
            raise ValueError(
                f"a batch must have more than the {self.measured} rows that are measured, "
                f"got {batch}."
            )
        rows = _blocks.size(own, self.replicas)
        return self._each(lambda one: (self.rule.rest(one, rows), None), state)[0]

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        rows = inputs.values.shape[0] - self.measured
        own, shown = _parted(inputs, rows)
        keys = jax.random.split(key, self.replicas)
        predict = lambda one, key, x: self.rule.predict(one, x, key=key)  # noqa: E731
        after, outputs = self._each(predict, state, keys, _blocks.cut(own, self.replicas))
        outputs = _blocks.joined(outputs, rows)
        if self.measured:
            told = self._shown(state, state.synapses, shown, keys).mean(0)
            outputs = jnp.concatenate([outputs, told])
        memory = after.memory | {"shown": shown}
        return State(state.body, after.neurons, state.synapses, memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        own, told = _parted(feedback, feedback.reward.shape[0] - self.measured)
        keys = jax.random.split(key, self.replicas)
        receive = lambda one, key, x: (self.rule.receive(one, x, key=key), None)  # noqa: E731
        own = _blocks.cut(own.only(self.rule.reads), self.replicas)
        after, _ = self._each(receive, state, keys, own)
        memory = after.memory | {"target": told.target}
        return State(state.body, after.neurons, state.synapses, memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        key_adapt, key_mix = jax.random.split(key)
        keys = jax.random.split(key_adapt, self.replicas)
        adapt = lambda one, key: (self.rule.adapt(one, key=key), None)  # noqa: E731
        after, _ = self._each(adapt, state, keys)
        time, proposed = state.memory["time"] + 1, travelling(after.synapses)
        agreed = state.memory["agreed"]

        def mixed():
            keys = jax.random.split(key_mix)
            measure = lambda w: self.accuracy(after, w, key=keys[1])  # noqa: E731
            weights = self.mixing.mix(agreed, proposed, measure, key=keys[0])
            return weights, weights

        due = time % self.every == 0
        weights, agreed = jax.lax.cond(due, mixed, lambda: (proposed, agreed))
        memory = after.memory | {"time": time, "agreed": agreed}
        synapses = with_travelling(after.synapses, weights)
        return State(state.body, after.neurons, synapses, memory)

    def _each(self, function: Callable, state: State, *given: Any) -> tuple[State, Any]:
        """What a function makes of every replica; the body is one for all."""

        def one(neurons, synapses, memory, *given):
            return function(State(state.body, neurons, synapses, memory), *given)

        held = state.memory
        after, result = jax.vmap(one)(state.neurons, state.synapses, held["rule"], *given)
        memory = held | {"rule": after.memory}
        return State(state.body, after.neurons, after.synapses, memory), result

    def _shown(
        self, state: State, synapses: PyTree, inputs: Clamped, keys: Key[Array, " replicas"]
    ) -> Float[Array, "replicas rows outputs"]:
        """What replicas at rest, with these synapses, make of the same rows."""

        def one(network: State, key: Key[Array, ""]):
            rested = self.rule.rest(network, inputs.values.shape[0])
            return network, self.rule.predict(rested, inputs, key=key)[1]

        state = State(state.body, (), synapses, state.memory)
        return self._each(one, state, keys)[1]

    def accuracy(
        self, state: State, weights: PyTree, *, key: Key[Array, ""]
    ) -> Float[Array, " replicas"]:
        """The share of the measured rows that replicas with these weights get right.

        Args:
            state: of a network that has met the rows and been told their targets.
            weights: what travels, leading with `replicas`.
            key: a PRNG key.
        """
        synapses, keys = state.synapses, jax.random.split(key, self.replicas)
        synapses = with_travelling(synapses, weights)
        outputs = self._shown(state, synapses, state.memory["shown"], keys)
        classes = state.memory["target"].values.argmax(-1)
        return (outputs.argmax(-1) == classes[None]).mean(1, dtype=outputs.dtype)


def travelling(synapses: PyTree) -> PyTree:
    """What travels of synapses: their weights, or all they hold if none is called so."""
    # Towers of `CrossModal` have synapses of their own in each block.
    return tuple(
        travelling(b) if isinstance(b, tuple) else b.get("weight", b) for b in synapses
    )


def with_travelling(synapses: PyTree, weights: PyTree) -> PyTree:
    """The synapses with others in the place of what travels."""

    def one(block: PyTree, w: PyTree) -> PyTree:
        if isinstance(block, tuple):
            return with_travelling(block, w)
        return block | {"weight": w} if "weight" in block else w

    return tuple(map(one, synapses, weights))


def _parted(tree: Any, rows: int) -> tuple[Any, Any]:
    """The first so many rows of every leaf, and the others."""
    return tuple(
        jax.tree.map(lambda x, s=s: x[s], tree) for s in (slice(rows), slice(rows, None))
    )


def _blank(rows: int, n: int) -> Clamped:
    """No value, and nothing known."""
    zeros = jnp.zeros((rows, n))
    return Clamped(zeros, jnp.zeros(zeros.shape, bool), jnp.zeros(rows, bool))
