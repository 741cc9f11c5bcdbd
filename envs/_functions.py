"""A role as pure functions of one life, which `vmap` makes many."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from ._lifetime import select
from ._role import VERDICT, AbstractRole, Episode, Verdict, judge, observe, transition


class Moved(NamedTuple):
    """What an action leads to; `verdict` is all zeros unless the life is `over`."""

    episode: Episode
    observation: Array
    reward: Array
    over: Array
    verdict: Verdict


def begun(role: AbstractRole, *, key: Array) -> tuple[Episode, Array]:
    """A new life from a key, typed or raw, and what is seen of it."""
    episode = role.begin(key=typed(key))
    return episode, observe(role, episode)


def moved(role: AbstractRole, episode: Episode, action: Array) -> Moved:
    """One action. The network is tested only where a life is over."""
    episode, reward, over = transition(role, episode, action)
    verdict = verdict_if(role, over, episode=episode, action=action)
    return Moved(episode, observe(role, episode), reward, over, verdict)


def renewed(
    role: AbstractRole, where: Bool[Array, ""], current: tuple[Episode, Array], *, key: Array
) -> tuple[Episode, Array]:
    """A new life and what is seen of it where asked for, else the current one."""
    return if_needed(where, lambda: begun(role, key=key), current)


def verdict_if(
    role: AbstractRole, over: Bool[Array, ""], *, episode: Episode, action: Array
) -> Verdict:
    """The verdict of a life that is over, else zeros."""
    loss = jnp.zeros_like(episode.progress.loss)
    nothing = Verdict(jnp.zeros_like(episode.progress.score), loss, loss > 0)
    return if_needed(over, lambda: judge(role, episode, action), nothing)


def told(verdict: Verdict) -> dict[str, Array]:
    """A verdict by the names that it has in an `info`."""
    return {name: getattr(verdict, name) for name in VERDICT}


def if_needed(
    needed: Bool[Array, ""], function: Callable[[], PyTree], otherwise: PyTree
) -> PyTree:
    """`function()` if needed; many at once compute it only if any needs it.

    A plain `cond` becomes a `select` under `vmap`, and its function runs at every step.
    """

    def compute() -> PyTree:
        return select(needed, function(), otherwise)

    return jax.lax.cond(_anyone(needed), compute, lambda: otherwise)


@jax.custom_batching.custom_vmap
def _anyone(needed: Bool[Array, ""]) -> Bool[Array, ""]:
    """Whether any of those that `vmap` runs over needs it: the same answer for all."""
    return needed


@_anyone.def_vmap
def _(size: int, mapped: list[bool], needed: Bool[Array, " size"]):
    return _anyone(needed.any(0)), False


def typed(key: Array) -> Key[Array, "..."]:
    """The key itself, or the typed one of a raw key."""
    raw = not jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return jax.random.wrap_key_data(key) if raw else key
