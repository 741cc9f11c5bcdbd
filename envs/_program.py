import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from gymnasium.vector import AutoresetMode
from jaxtyping import Array, Bool, Float, PyTree

from ._functions import begun, renewed, verdict_if
from ._lifetime import select
from ._role import AbstractRole, Episode, Verdict, judge, observe, transition


class Stepped(NamedTuple):
    """What a step returns.

    `observation` is that of this step, whatever follows it. `verdict` means nothing unless
    the episode is `over`. `began`: whether a new one took its place.
    """

    observation: Array
    reward: Array
    over: Array
    verdict: Verdict
    began: Array


class Held(eqx.Module):
    """What an environment of a vector holds between steps.

    **Arguments:**

    - `episode`, `shown`: its episode, and what was shown of it last.
    - `waiting`: whether the episode is over and was not followed by another one.
    """

    episode: Episode
    shown: Float[Array, "..."]
    waiting: Bool[Array, "*envs"]


class Program:
    """A role, compiled: all roles of equal structure and shapes share one compilation.

    The arrays of the role, among them the data, are arguments of the compiled functions
    and so are held once, however many environments there are.
    """

    def __init__(self, role: AbstractRole, compiled: Callable[..., Sequence[Callable]]):
        arrays, static = eqx.partition(role, eqx.is_array)
        self.leaves = tuple(jax.tree.leaves(arrays))
        functions = compiled(static, jax.tree.structure(arrays))
        self.functions = tuple(functools.partial(f, self.leaves) for f in functions)


@functools.lru_cache(maxsize=128)
def single(static: PyTree, structure: Any) -> Sequence[Callable]:
    """One environment, which ends with its episode.

    Returns:
        `reset(key) -> (episode, observation)`, from a raw key;
        `step(episode, action) -> (episode, observation, (reward, over))`, the last two in
        one array, as every array that is fetched costs time; and
        `judge(episode, action) -> verdict`: in the program of a step it would cost each one.
    """

    def reset(leaves, key):
        return begun(_join(static, structure, leaves), key=key)

    def step(leaves, episode, action):
        role = _join(static, structure, leaves)
        episode, reward, over = transition(role, episode, action)
        return episode, observe(role, episode), jnp.stack([reward, over.astype(reward.dtype)])

    def judged(leaves, episode, action):
        return judge(_join(static, structure, leaves), episode, action)

    return jax.jit(reset), jax.jit(step), jax.jit(judged)


@functools.lru_cache(maxsize=128)
def vector(static: PyTree, structure: Any) -> Sequence[Callable]:
    """Many environments.

    Returns:
        `reset(keys, where, held) -> held`, from raw keys; before there is anything to hold,
        `held` is `None` and `where` all of them;
        `step(held, actions) -> (held, rewards, over)`, which uses up what was held; and
        `judge(episodes, actions) -> verdicts`. New lives and verdicts stay out of the
        program of a step: the memory that they might need would cost each one.
    """

    def reset(leaves, keys, where, held):
        role = _join(static, structure, leaves)
        if held is None:
            new = jax.eval_shape(jax.vmap(lambda key: begun(role, key=key)), keys)
            episode, shown = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), new)
            return Held(episode, shown, where)
        return jax.vmap(functools.partial(_followed, role))(held, where, keys)

    def step(leaves, held, actions):
        return jax.vmap(functools.partial(_acted, _join(static, structure, leaves)))(
            held, actions
        )

    def judged(leaves, episodes, actions):
        role = _join(static, structure, leaves)
        return jax.vmap(functools.partial(judge, role))(episodes, actions)

    return jax.jit(reset), jax.jit(step, donate_argnums=1), jax.jit(judged)


def _acted(role: AbstractRole, held: Held, action: Array) -> tuple[Held, Array, Array]:
    """After an action; what waits earns nothing and does not end again."""
    episode, reward, over = transition(role, held.episode, action)
    over &= ~held.waiting
    reward = jnp.where(held.waiting, 0.0, reward)
    return Held(episode, observe(role, episode), held.waiting | over), reward, over


def _stepped(role: AbstractRole, held: Held, action: Array) -> tuple[Held, Stepped]:
    after, reward, over = _acted(role, held, action)
    verdict = verdict_if(role, over, episode=after.episode, action=action)
    return after, Stepped(after.shown, reward, over, verdict, jnp.zeros_like(over))


def _disabled(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over waits for its reset, as it is."""
    after, stepped = _stepped(role, held, action)
    after = select(held.waiting, held, after)
    return after, stepped._replace(observation=after.shown)


def _same_step(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over is followed by a new episode at once."""
    after, stepped = _stepped(role, held, action)
    return _followed(role, after, stepped.over, key), stepped._replace(began=stepped.over)


def _next_step(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over is followed by a new episode in the next step, whatever the action."""
    after, stepped = _stepped(role, held, action)
    after = _followed(role, after, held.waiting, key)
    return after, stepped._replace(observation=after.shown, began=held.waiting)


# The steps of a rollout, one environment each; `vmap` makes them many.
STEPS: dict[AutoresetMode, Callable[..., tuple[Held, Stepped]]] = {
    AutoresetMode.DISABLED: _disabled,
    AutoresetMode.SAME_STEP: _same_step,
    AutoresetMode.NEXT_STEP: _next_step,
}


def _followed(role: AbstractRole, held: Held, where: Bool[Array, ""], key: Array) -> Held:
    """With a new episode, from a raw key, where it is asked for."""
    episode, shown = renewed(role, where, (held.episode, held.shown), key=key)
    return Held(episode, shown, held.waiting & ~where)


def _join(static: PyTree, structure: Any, leaves: tuple[Array, ...]) -> AbstractRole:
    return eqx.combine(jax.tree.unflatten(structure, leaves), static)
