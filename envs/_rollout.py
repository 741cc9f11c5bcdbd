import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from gymnasium.vector import AutoresetMode
from jaxtyping import Array, Bool, Float, Key, UInt32

from ._program import STEPS, Held
from ._role import AbstractRole, Verdict


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
    actions: Float[Array, "steps envs actions"]
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

    one = functools.partial(STEPS[mode], role)

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
    return held, begun, Rollout(*met, following=held.shown)


def _check_actions(actions: Array, shape: tuple[int, ...]) -> None:
    if jnp.shape(actions) != shape:
        raise ValueError(
            f"`policy` must return actions of shape {shape}, got shape {jnp.shape(actions)}."
        )
