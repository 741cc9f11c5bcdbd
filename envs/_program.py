import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree

from ._lifetime import select
from ._role import AbstractRole, Episode, Verdict, judge, observe, transition


class Stepped(NamedTuple):
    """What one compiled step returns; in a vector, every leaf leads with the environments.

    `shown` is the observation of what comes next, `observation` that of this step: they
    differ where an episode ended and a new one began. `verdict` means nothing elsewhere.
    """

    episode: Episode
    shown: Array
    observation: Array
    reward: Array
    over: Array
    verdict: Verdict


class Program:
    """A role, compiled: all roles of equal structure and shapes share one compilation.

    The arrays of the role, among them the data, are arguments of the compiled functions
    and so are held once, however many environments there are.
    """

    def __init__(self, role: AbstractRole, compiled: Callable[..., tuple[Callable, Callable]]):
        arrays, static = eqx.partition(role, eqx.is_array)
        self._leaves = tuple(jax.tree.leaves(arrays))
        self._reset, self._step = compiled(static, jax.tree.structure(arrays))

    def reset(self, keys: Any) -> tuple[Episode, Array]:
        """New episodes from raw keys, and what is seen of them."""
        return self._reset(self._leaves, keys)

    def step(self, episode: Episode, action: Any, keys: Any = None) -> Stepped:
        """One action; with `keys`, episodes that end are followed by new ones."""
        return self._step(self._leaves, episode, action, keys)


@functools.lru_cache(maxsize=128)
def single(static: PyTree, structure: Any) -> tuple[Callable, Callable]:
    """One environment, which ends with its episode."""

    def reset(leaves, key):
        role = _join(static, structure, leaves)
        episode = role.begin(key=jax.random.wrap_key_data(key))
        return episode, observe(role, episode)

    def step(leaves, episode, action, _) -> Stepped:
        role = _join(static, structure, leaves)
        episode, reward, over = transition(role, episode, action)
        verdict = jax.lax.cond(
            over, lambda: judge(role, episode, action), lambda: _no_verdict(episode)
        )
        seen = observe(role, episode)
        return Stepped(episode, seen, seen, reward, over, verdict)

    return jax.jit(reset), jax.jit(step)


@functools.lru_cache(maxsize=128)
def same_step(static: PyTree, structure: Any) -> tuple[Callable, Callable]:
    """Many environments, in which an episode that ends is followed by a new one at once."""

    def begin(role: AbstractRole, keys) -> tuple[Episode, Array]:
        episodes = jax.vmap(lambda key: role.begin(key=key))(jax.random.wrap_key_data(keys))
        return episodes, jax.vmap(lambda episode: observe(role, episode))(episodes)

    def reset(leaves, keys):
        return begin(_join(static, structure, leaves), keys)

    def step(leaves, episodes, actions, keys) -> Stepped:
        role = _join(static, structure, leaves)
        act = functools.partial(transition, role)
        episodes, rewards, over = jax.vmap(act)(episodes, actions)
        seen = jax.vmap(lambda episode: observe(role, episode))(episodes)

        def renew():
            verdicts = jax.vmap(functools.partial(judge, role))(episodes, actions)
            return *_each(over, begin(role, keys), (episodes, seen)), verdicts

        def go_on():
            return episodes, seen, _no_verdict(episodes)

        # Both branches would run in each step if every environment decided for itself.
        following, shown, verdicts = jax.lax.cond(over.any(), renew, go_on)
        return Stepped(following, shown, seen, rewards, over, verdicts)

    return jax.jit(reset), jax.jit(step)


def _join(static: PyTree, structure: Any, leaves: tuple[Array, ...]) -> AbstractRole:
    return eqx.combine(jax.tree.unflatten(structure, leaves), static)


def _each(over: Bool[Array, " envs"], this: PyTree, other: PyTree) -> PyTree:
    return jax.vmap(select)(over, this, other)


def _no_verdict(episode: Episode) -> Verdict:
    loss = jnp.zeros_like(episode.progress.loss)
    return Verdict(jnp.zeros_like(episode.progress.score), loss, loss > 0)
