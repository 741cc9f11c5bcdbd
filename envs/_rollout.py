import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from gymnasium.vector import AutoresetMode
from jaxtyping import Array, Bool, Float, Key, UInt32

from ._functions import renewed, verdict_if
from ._lifetime import select
from ._program import packed, unpacked
from ._role import AbstractRole, Verdict, observe, transition


class Held(NamedTuple):
    """What the environments of a vector hold between steps.

    `episode`: their episodes, inside compiled programs an `Episode` and outside of them its
    leaves; `shown`: what was shown of them last; `waiting`: whether the episode is over and
    was not followed by another one.
    """

    episode: Any
    shown: Any
    waiting: Any


class Stepped(NamedTuple):
    """What a step returns.

    `verdict` means nothing unless the episode is `over`. `began`: whether a new one took
    its place.
    """

    reward: Array
    over: Array
    verdict: Verdict
    began: Array


class Rollout(eqx.Module):
    """What a policy met; every leaf leads with the steps and the environments.

    **Arguments:**

    - `observations`: what it was shown before each action.
    - `actions`, `rewards`: what it did, and what it got.
    - `terminated`: where an episode ended with this action.
    - `verdict`: score, loss and divergence there; elsewhere they mean nothing.
    - `following`: what is shown after the last step, leading with the environments only.
    """

    observations: Float[Array, "steps envs ..."]
    actions: Array
    rewards: Float[Array, "steps envs"]
    terminated: Bool[Array, "steps envs"]
    verdict: Verdict
    following: Float[Array, "envs ..."]


@eqx.filter_jit
def scanned(
    role: AbstractRole,
    mode: AutoresetMode,
    policy: Callable[..., Array],
    held: Held,
    new: UInt32[Array, "envs lives words"],
    *,
    keys: Key[Array, " steps"] | None,
    steps: int,
) -> tuple[Held, Array, Rollout]:
    """Steps of a vector under a policy, in one program.

    Args:
        role: what the agent is.
        mode: what follows an episode that ends.
        policy: as in [`rollout`][plasticgym.envs.LearningVectorEnv.rollout].
        held: where the vector stands.
        new: the raw keys of new episodes, as many as there may be.
        keys: those of the policy, if it takes any.
        steps: how many.

    Returns:
        Where the vector stands then, how many new episodes each environment began, and
        what the policy met.
    """

    one = functools.partial(_STEPS[mode], role)
    held = held._replace(episode=jax.vmap(functools.partial(unpacked, role))(held.episode))

    def step(carry: tuple[Held, Array], key: Key[Array, ""] | None):
        held, begun = carry
        actions = policy(held.shown) if key is None else policy(held.shown, key=key)
        _check_actions(actions, (new.shape[0], *role.acted))
        following = jax.vmap(lambda own, i: own[i])(new, begun)
        after, stepped = jax.vmap(one)(held, actions, following)
        met = (held.shown, actions, stepped.reward, stepped.over, stepped.verdict)
        return (after, begun + stepped.began.astype(int)), met

    start = (held, jnp.zeros(new.shape[0], int))
    (held, begun), met = jax.lax.scan(step, start, keys, length=steps)
    met = Rollout(*met, following=held.shown)
    return held._replace(episode=packed(held.episode)), begun, met


def _disabled(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over waits for its reset, as it is."""
    after, stepped = _stepped(role, held, action)
    return select(held.waiting, held, after), stepped


def _same_step(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over is followed by a new episode at once."""
    after, stepped = _stepped(role, held, action)
    return _followed(role, after, stepped.over, key), stepped._replace(began=stepped.over)


def _next_step(role: AbstractRole, held: Held, action: Array, key: Array):
    """What is over is followed by a new episode in the next step, whatever the action."""
    after, stepped = _stepped(role, held, action)
    after = _followed(role, after, held.waiting, key)
    return after, stepped._replace(began=held.waiting)


# One environment each; `vmap` makes them many.
_STEPS: dict[AutoresetMode, Callable[..., tuple[Held, Stepped]]] = {
    AutoresetMode.DISABLED: _disabled,
    AutoresetMode.SAME_STEP: _same_step,
    AutoresetMode.NEXT_STEP: _next_step,
}


def _stepped(role: AbstractRole, held: Held, action: Array) -> tuple[Held, Stepped]:
    """After an action; what waits earns nothing and does not end again."""
    episode, reward, over = transition(role, held.episode, action)
    over &= ~held.waiting
    reward = jnp.where(held.waiting, 0.0, reward)
    after = Held(episode, observe(role, episode), held.waiting | over)
    verdict = verdict_if(role, over, episode=episode, action=action)
    return after, Stepped(reward, over, verdict, jnp.zeros_like(over))


def _followed(role: AbstractRole, held: Held, where: Bool[Array, ""], key: Array) -> Held:
    """With a new episode, from a raw key, where it is asked for."""
    episode, shown = renewed(role, where, (held.episode, held.shown), key=key)
    return Held(episode, shown, held.waiting & ~where)


def _check_actions(actions: Array, shape: tuple[int, ...]) -> None:
    if jnp.shape(actions) != shape:
        raise ValueError(
            f"`policy` must return actions of shape {shape}, got shape {jnp.shape(actions)}."
        )
