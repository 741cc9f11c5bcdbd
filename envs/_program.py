import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._functions import begun, renewed, typed
from ._role import AbstractRole, Episode, judge, observe, transition

# The arrays of an episode, or of many: what crosses the border of a compiled program. The
# modules that an episode is made of would be taken apart and put together at every call.
Leaves = tuple[Array, ...]
_ARRAY = object()  # stands for an array among the leaves of a role


class Program:
    """A role, compiled: all roles of equal structure and shapes share one compilation.

    The arrays of the role, among them the data, are arguments of the compiled functions
    and so are held once, however many environments there are.
    """

    def __init__(self, role: AbstractRole, compiled: Callable[..., Sequence[Callable]]):
        self._made_of = role, compiled
        self.leaves, static, structure = _parts(role)
        functions = compiled(static, structure)
        self.reset, self.step, self.judge = (
            functools.partial(function, self.leaves) for function in functions
        )

    def __reduce__(self):
        # Compiled functions cannot be pickled; made again, they are not compiled again.
        return Program, self._made_of


@functools.lru_cache(maxsize=128)
def single(static: tuple[Any, ...], structure: Any) -> Sequence[Callable]:
    """One environment, which ends with its episode.

    Returns:
        `reset(key) -> (episode, observation)`, from a raw key;
        `step(episode, action) -> (episode, observation, (reward, over))`, the last two in
        one array, as every array that is fetched costs time; and
        `judge(episode, action) -> verdict`: in the program of a step it would cost each one.
        Episodes are given as their leaves.
    """

    def reset(leaves: Leaves, key: Array):
        episode, shown = begun(_join(static, structure, leaves), key=key)
        return packed(episode), shown

    def step(leaves: Leaves, episode: Leaves, action: Array):
        return _acted(_join(static, structure, leaves), episode, action)

    def judged(leaves: Leaves, episode: Leaves, action: Array):
        role = _join(static, structure, leaves)
        return judge(role, unpacked(role, episode), action)

    return jax.jit(reset), jax.jit(step), jax.jit(judged)


@functools.lru_cache(maxsize=128)
def vector(static: tuple[Any, ...], structure: Any) -> Sequence[Callable]:
    """Many environments.

    Returns:
        `reset(keys, where, (episodes, observations)) -> (episodes, observations)`, from raw
        keys; `None` instead of the last pair gives one of zeros;
        `step(episodes, actions) -> (episodes, observations, (rewards, over))`, as that of
        one, which uses up the episodes; and
        `judge(episodes, actions) -> verdicts`. New lives and verdicts stay out of the
        program of a step: the memory that they might need would cost each one.
    """

    def reset(leaves: Leaves, keys: Array, where: Array, current: tuple[Leaves, Array] | None):
        role = _join(static, structure, leaves)
        if current is None:
            one = functools.partial(begun, role)
            new, shown = jax.eval_shape(jax.vmap(lambda key: one(key=key)), keys)
            zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), new)
            return packed(zeros), jnp.zeros(shown.shape, shown.dtype)
        return jax.vmap(functools.partial(_followed, role))(where, current, keys)

    def step(leaves: Leaves, episodes: Leaves, actions: Array):
        act = functools.partial(_acted, _join(static, structure, leaves))
        return jax.vmap(act)(episodes, actions)

    def judged(leaves: Leaves, episodes: Leaves, actions: Array):
        role = _join(static, structure, leaves)
        return jax.vmap(lambda one, action: judge(role, unpacked(role, one), action))(
            episodes, actions
        )

    return jax.jit(reset), jax.jit(step, donate_argnums=1), jax.jit(judged)


def packed(episode: Episode) -> Leaves:
    """The leaves of an episode, or of many, with raw keys: typed ones are slow to pass."""
    return tuple(
        jax.random.key_data(leaf) if _is_key(leaf) else leaf
        for leaf in jax.tree.leaves(episode)
    )


def unpacked(role: AbstractRole, leaves: Leaves) -> Episode:
    """The episode of its leaves."""
    arrays, static, role_structure = _parts(role)
    shapes = tuple(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays)
    structure, keys = _form(static, role_structure, shapes)
    pairs = zip(leaves, keys, strict=True)
    return jax.tree.unflatten(structure, [typed(leaf) if key else leaf for leaf, key in pairs])


@functools.lru_cache(maxsize=128)
def _form(static: tuple[Any, ...], structure: Any, shapes: tuple[Any, ...]):
    """The structure of the episodes of a role, and which of their leaves are keys.

    It takes a trace of a birth, which is no work for every picture of an episode.
    """

    def episode(arrays: Leaves) -> Episode:
        return begun(_join(static, structure, arrays), key=jax.random.key(0))[0]

    like, form = jax.tree.flatten(jax.eval_shape(episode, shapes))
    return form, tuple(_is_key(leaf) for leaf in like)


def _is_key(leaf: Any) -> bool:
    """Whether it is a typed key of the kind that raw ones are taken for."""
    return leaf.dtype == jax.eval_shape(lambda: jax.random.key(0)).dtype


def _acted(role: AbstractRole, leaves: Leaves, action: Array) -> tuple[Leaves, Array, Array]:
    episode, reward, over = transition(role, unpacked(role, leaves), action)
    told = jnp.stack([reward, over.astype(reward.dtype)])
    return packed(episode), observe(role, episode), told


def _followed(
    role: AbstractRole, where: Array, current: tuple[Leaves, Array], key: Array
) -> tuple[Leaves, Array]:
    """With a new episode, from a raw key, where it is asked for."""
    leaves, shown = current
    episode, shown = renewed(role, where, (unpacked(role, leaves), shown), key=key)
    return packed(episode), shown


def _parts(role: AbstractRole) -> tuple[Leaves, tuple[Any, ...], Any]:
    """The arrays of a role, its other leaves, and its structure.

    A role may hold what cannot be hashed, as dictionaries; its structure always can.
    """
    leaves, structure = jax.tree.flatten(role)
    static = tuple(_ARRAY if eqx.is_array(leaf) else leaf for leaf in leaves)
    return tuple(leaf for leaf in leaves if eqx.is_array(leaf)), static, structure


def _join(static: tuple[Any, ...], structure: Any, arrays: Leaves) -> AbstractRole:
    following = iter(arrays)
    leaves = [next(following) if leaf is _ARRAY else leaf for leaf in static]
    return jax.tree.unflatten(structure, leaves)
