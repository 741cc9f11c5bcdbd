"""Short lives of one small network in which something is kicked: what locality is judged by.

Every trial lives the same presentations up to the one where its kicks fall; then, with its
synapses and memory put back, one more, so that what a rule hides at neurons for later shows.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._accepts import accepts
from ._base import AbstractRule, Body, Clamped, Feedback, State

# The first that a rule accepts; in the layered one the shape of a leaf tells what its axes are.
BODIES = (Body((5, 4, 6, 3)), Body((7,)))
PAST = 3  # presentations before the kicks
# Each network has kicks of one size: small ones for what saturates, large ones for what is a
# maximum or a sign. The first half is kicked upwards only: roots may be taken of a state.
SIZES = (0.01, 0.5, 4.0, 0.01, 0.5, 4.0)
# The program is small and runs once: compiling it is nearly all the work.
_COMPILED = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class Trial(NamedTuple):
    """Where to kick, and when: every field but the last a mask shaped like what it kicks.

    `cut` synapses are at zero throughout; `feedback` is what is added to the signals.
    """

    cut: PyTree
    synapses_before_predict: PyTree
    inputs: Any
    synapses_before_receive: PyTree
    neurons_before_receive: PyTree
    synapses_before_adapt: PyTree
    neurons_before_adapt: PyTree
    memory: PyTree
    feedback: Any


class Seen(NamedTuple):
    """What became of networks and trials, every leaf leading with these two axes."""

    predicted: PyTree  # neurons after `predict`, in the presentation in which the kicks fall
    outputs: Any  # of it
    memory: PyTree  # after it
    before: PyTree  # the synapses when it began
    after: PyTree  # the synapses when it ended
    later: PyTree  # those after the presentation that follows


class World(NamedTuple):
    """What a network meets, with a leading axis of presentations."""

    inputs: Any
    feedback: Any
    starts: Any
    keys: Any
    kicks: Any


def signals_of(body: Body) -> int:
    """The entries of a feedback: errors, targets, reward, boundary."""
    return 2 * body.layers[-1] + 2


def template(rule: AbstractRule) -> State:
    """The shapes of a network that lives under a rule, one row at a time."""
    body = next((b for b in BODIES if accepts(rule, b)), BODIES[0])
    key = jax.random.key(0)
    return eqx.filter_eval_shape(lambda r: r.rest(r.init(body, key=key), 1), rule)


def nothing(shapes: State) -> Trial:
    """The trial without a kick."""
    synapses, neurons, memory = (
        jax.tree.map(lambda x: np.zeros(x.shape, bool), part)
        for part in (shapes.synapses, shapes.neurons, shapes.memory)
    )
    inputs = np.zeros((1, shapes.body.layers[0]), bool)
    return Trial(
        cut=synapses,
        synapses_before_predict=synapses,
        inputs=inputs,
        synapses_before_receive=synapses,
        neurons_before_receive=neurons,
        synapses_before_adapt=synapses,
        neurons_before_adapt=neurons,
        memory=memory,
        feedback=np.zeros(signals_of(shapes.body)),
    )


def run(rule: AbstractRule, shapes: State, trials: list[Trial]) -> Seen:
    """What became of every trial in every network, in double precision."""
    rng = np.random.default_rng(0)
    networks, times, body = len(SIZES), PAST + 2, shapes.body
    outputs = body.layers[-1]
    kicks = jax.tree.map(
        lambda x: _kicks(x, rng), (shapes.synapses, shapes.neurons, shapes.memory)
    )
    signals = rng.normal(size=(networks, times, 1, signals_of(body)))
    classes = rng.integers(0, outputs, (networks, times, 1))
    signals[..., outputs : 2 * outputs] = np.eye(outputs)[classes]
    # Doubles, on the processor: accelerators round them, and would not be faster.
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        keys = jax.random.split(jax.random.key(0), (networks, times, 4))
        world = World(
            inputs=rng.normal(size=(networks, times, 1, body.layers[0])),
            feedback=signals,
            starts=rng.random((networks, times, 1)) < 0.5,
            keys=keys,
            kicks=np.broadcast_to(np.arange(times) == PAST, (networks, times)),
        )
        genes, structure = eqx.partition(rule, eqx.is_inexact_array)
        wide = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), float), genes)
        rule = eqx.combine(wide, structure)
        newborn = _stacked([rule.init(body, key=key) for key in keys[:, 0, 3]])
        return jax.tree.map(np.asarray, _all(rule, newborn, world, kicks, _stacked(trials)))


def _stacked(trees: Sequence[PyTree]) -> PyTree:
    return jax.tree.map(lambda *x: np.stack(x), *trees)


def _kicks(leaf: jax.ShapeDtypeStruct, rng: np.random.Generator) -> np.ndarray:
    """What is added to a leaf where it is kicked, in each of the networks."""
    drawn = rng.normal(size=(len(SIZES), *leaf.shape))
    drawn[: len(SIZES) // 2] = np.abs(drawn[: len(SIZES) // 2])
    if not jnp.issubdtype(leaf.dtype, jnp.inexact):
        return np.ones(drawn.shape)
    return drawn * np.reshape(SIZES, (-1, *[1] * len(leaf.shape)))


@eqx.filter_jit(compiler_options=_COMPILED)  # pyright: ignore[reportCallIssue]
def _all(
    rule: AbstractRule, newborn: State, world: World, kicks: PyTree, trials: Trial
) -> Seen:
    one = functools.partial(_lived, rule)
    each_trial = jax.vmap(one, in_axes=(None, None, None, 0))
    return jax.vmap(each_trial, in_axes=(0, 0, 0, None))(newborn, world, kicks, trials)


def _lived(
    rule: AbstractRule, newborn: State, world: World, kicks: PyTree, trial: Trial
) -> Seen:
    """One network in one trial."""
    state = rule.rest(newborn, 1)

    def presentation(state: State, now: World):
        after, *predicted = _presented(rule, state, now, kicks, trial)
        synapses, memory = jax.tree.map(
            lambda old, new: jnp.where(now.kicks, old, new),
            (state.synapses, state.memory),
            (after.synapses, after.memory),
        )
        seen = *predicted, after.memory, state.synapses, after.synapses
        return State(state.body, after.neurons, synapses, memory), seen

    _, seen = jax.lax.scan(presentation, state, world)
    then, later = (jax.tree.map(lambda x, t=t: x[t], seen) for t in (PAST, -1))
    return Seen(*then, later=later[-1])


def _presented(rule: AbstractRule, state: State, now: World, kicks: PyTree, trial: Trial):
    """One presentation, and the kicks of a trial if now is their time."""
    kick = functools.partial(_kicked, now=now.kicks)
    of_synapses, of_neurons, of_memory = kicks
    synapses = jax.tree.map(
        lambda x, cut: jnp.where(cut, jnp.zeros_like(x), x), state.synapses, trial.cut
    )
    synapses = kick(synapses, trial.synapses_before_predict, of_synapses)
    memory = kick(state.memory, trial.memory, of_memory)
    values = now.inputs + jnp.where(trial.inputs & now.kicks, 1.0, 0.0)
    inputs = Clamped(values, jnp.ones(values.shape, bool), now.starts)
    body = state.body
    state = State(body, state.neurons, synapses, memory)
    state, outputs = rule.predict(state, inputs, key=now.keys[0])

    predicted = state.neurons
    synapses = kick(synapses, trial.synapses_before_receive, of_synapses)
    neurons = kick(state.neurons, trial.neurons_before_receive, of_neurons)
    memory = kick(state.memory, trial.memory, of_memory)
    feedback = _heard(now.feedback + jnp.where(now.kicks, trial.feedback, 0.0)[None])
    state = State(body, neurons, synapses, memory)
    state = rule.receive(state, feedback.only(rule.reads), key=now.keys[1])

    synapses = kick(synapses, trial.synapses_before_adapt, of_synapses)
    neurons = kick(state.neurons, trial.neurons_before_adapt, of_neurons)
    memory = kick(state.memory, trial.memory, of_memory)
    state = State(body, neurons, synapses, memory)
    return rule.adapt(state, key=now.keys[2]), predicted, outputs


def _heard(signals: Any) -> Feedback:
    """The feedback whose entries these are."""
    outputs = (signals.shape[1] - 2) // 2
    return Feedback(
        target=Clamped.full(signals[:, outputs : 2 * outputs]),
        error=signals[:, :outputs],
        reward=signals[:, -2],
        boundary=signals[:, -1] > 0,
    )


def _kicked(tree: PyTree, where: PyTree, kicks: PyTree, *, now: Any) -> PyTree:
    """A tree with kicks added where a mask says so, if now is the time."""

    def one(x, mask, kick):
        if x.dtype == bool:
            return x ^ (mask & now)
        return jnp.where(mask & now, x + kick.astype(x.dtype), x)

    return jax.tree.map(one, tree, where, kicks)
