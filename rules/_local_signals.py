"""The layered network whose neurons hold all the signals that a local rule reads.

As in `_multilayer`, and besides: errors are fed back through fixed random matrices, a leaf
`"feedback"` of every block but the first; neurons hold the `"reward"` that is broadcast, and
the `"target"`, zero below the outputs. What a rule does not read is not there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from . import _multilayer
from ._base import Body, Clamped, Feedback, State
from ._local_view import LocalView
from ._random_feedback import random_feedback
from ._signals import Signal, Tier


def tier(reads: frozenset[Signal]) -> Tier:
    """How local a rule is that reads these signals in this network."""
    if reads & {Signal.ERROR, Signal.TARGET}:
        return Tier.ERROR
    return Tier.REWARD if Signal.REWARD in reads else Tier.ACTIVITY


def newborn(
    body: Body, activation: str, reads: frozenset[Signal], *, key: Key[Array, ""]
) -> State:
    """Weights, and matrices of feedback if errors are read."""
    key_weights, key_feedback = jax.random.split(key)
    blocks = [{"weight": w} for w in _multilayer.newborn(body, activation, key=key_weights)]
    if Signal.ERROR in reads:
        above = tuple(range(2, len(body.layers)))
        drawn = random_feedback(body, above, key=key_feedback)
        for block, matrix in zip(blocks[1:], drawn, strict=True):
            block["feedback"] = matrix
    return State(body, (), tuple(blocks))


def rest(state: State, batch: int, reads: frozenset[Signal]) -> State:
    """All signals zero."""
    return _with_told(_multilayer.rest(state, batch), reads)


def forward(
    state: State, inputs: Clamped, activation: str, reads: frozenset[Signal]
) -> tuple[State, Float[Array, "batch outputs"]]:
    """Activities from the inputs upwards; nothing has been told yet."""
    state, outputs = _multilayer.forward(state, inputs, activation)
    return _with_told(state, reads), outputs


def receive(
    state: State, feedback: Feedback, activation: str, reads: frozenset[Signal]
) -> State:
    """Every neuron is told what the rule reads."""
    told = [dict(neuron) for neuron in state.neurons]
    if Signal.ERROR in reads:
        matrices = tuple(block["feedback"] for block in state.synapses[1:])
        reached = _multilayer.backward(state, feedback.error, activation, matrices)
        for neuron, by_error in zip(told, reached.neurons, strict=True):
            neuron["error"] = by_error["error"]
    if Signal.REWARD in reads:
        for neuron in told:
            reward = feedback.reward[:, None]
            neuron["reward"] = jnp.broadcast_to(reward, neuron["activity"].shape)
    if Signal.TARGET in reads:
        told[-1]["target"] = state.body.mask(len(told) - 1, feedback.target.known)
    return State(state.body, tuple(told), state.synapses, state.memory)


def seen(state: State, layer: int) -> LocalView:
    """What the synapses of a block see, by rows: `(batch, pre + 1)` and `(batch, post)`."""
    pre, post = state.neurons[layer], state.neurons[layer + 1]
    nothing = jnp.zeros_like(post["activity"])
    return LocalView(
        pre=_multilayer.with_bias(pre["activity"]),
        post=post["activity"],
        weight=state.synapses[layer]["weight"],
        error=post["error"],
        reward=post.get("reward", nothing),
        target=post.get("target", nothing),
    )


def living(body: Body, layer: int) -> Bool[Array, "_pre _post"] | None:
    """Which synapses of a block join living neurons; `None` if all do."""
    if body.alive is None:
        return None
    pre = _multilayer.with_bias(body.alive[layer][None])[0]
    return (pre[:, None] > 0) & (body.alive[layer + 1][None] > 0)


def changed(
    weight: Float[Array, "pre post"], change: Array, body: Body, layer: int
) -> Float[Array, "pre post"]:
    """Weights after a change; those of dead neurons stay, as nothing must come of them."""
    alive = living(body, layer)
    after = weight + change.astype(weight.dtype)
    return after if alive is None else jnp.where(alive, after, weight)


def _with_told(state: State, reads: frozenset[Signal]) -> State:
    told = [str(signal) for signal in (Signal.REWARD, Signal.TARGET) if signal in reads]
    neurons = tuple(
        neuron | {name: jnp.zeros_like(neuron["activity"]) for name in told}
        for neuron in state.neurons
    )
    return State(state.body, neurons, state.synapses, state.memory)
