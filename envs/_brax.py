"""Learning problems as environments of brax; needs brax."""

from typing import Any, final

import jax
import jax.numpy as jnp
from brax.envs import Env, State, Wrapper  # pyright: ignore[reportMissingImports]
from brax.envs.wrappers import training  # pyright: ignore[reportMissingImports]

from ._functions import begun, moved, typed
from ._role import AbstractRole


@final
class BraxEnv(Env):
    """A life as an environment of brax; `to_brax` makes one.

    **Arguments:**

    - `role`: what the agent is, and where.
    """

    def __init__(self, role: AbstractRole):
        self.role = role

    def reset(self, rng: jax.Array) -> State:
        episode, seen = begun(self.role, key=rng)
        zero = jnp.zeros(())
        return State(episode, seen.ravel(), zero, zero, {"score": zero, "diverged": zero})

    def step(self, state: State, action: jax.Array) -> State:
        now = moved(self.role, state.pipeline_state, action)
        verdict = now.verdict
        # The types of `reset`, which are those of brax's wrappers: a scan wants them equal.
        metrics = {
            "score": verdict.score.astype(float),
            "diverged": verdict.diverged.astype(float),
        }
        return state.replace(
            pipeline_state=now.episode,
            obs=now.observation.ravel(),
            reward=now.reward.astype(float),
            done=now.over.astype(float),
            metrics={**state.metrics, **metrics},
        )

    @property
    def observation_size(self) -> int:
        size = 1
        for side in self.role.observed:
            size *= side
        return size

    @property
    def action_size(self) -> int:
        return self.role.acted[0]

    @property
    def episode_length(self) -> int:
        """How many actions a life has: what trainers want under the same name."""
        return self.role.actions

    @property
    def backend(self) -> str:
        return "plasticgym"

    @staticmethod
    def wrap(
        env: Env, episode_length: int, action_repeat: int = 1, randomization_fn: Any = None
    ) -> Wrapper:
        """What a trainer takes as `wrap_env_fn`: many lives, each followed by a new world.

        brax's own wrappers put the first network in its first world again.

        Raises:
            ValueError: if actions are to be repeated or bodies to be randomised.
        """
        if action_repeat != 1:
            raise ValueError(
                "`action_repeat` must be 1, got "
                f"{action_repeat}; use `presentations_per_action` instead."
            )
        if randomization_fn is not None:
            raise ValueError("`randomization_fn` must be None: every life has its own world.")
        env = training.EpisodeWrapper(training.VmapWrapper(env), episode_length, 1)
        return NewWorlds(env)


@final
class NewWorlds(Wrapper):
    """Follows lives that are over by others, in new worlds."""

    def reset(self, rng: jax.Array) -> State:
        first, following = _two(jax.random.key_data(typed(rng)))
        state = self.env.reset(first)
        return state.replace(info={**state.info, "next_key": following})

    def step(self, state: State, action: jax.Array) -> State:
        begun_anew = state.done.astype(bool)  # by the step before
        info = dict(state.info)  # that of the caller stays as it is
        keys = info.pop("next_key")
        info["steps"] = jnp.where(begun_anew, 0.0, info["steps"])
        state = state.replace(done=jnp.zeros_like(state.done), info=info)
        state = self.env.step(state, action)
        over, current = state.done.astype(bool), (state.pipeline_state, state.obs, keys)

        def renew():
            first, next_keys = _two(keys)
            fresh = self.env.reset(first)
            following = (fresh.pipeline_state, fresh.obs, next_keys)
            return jax.tree.map(lambda new, old: _each(over, new, old), following, current)

        # All lives are as long, so most steps end none.
        episodes, seen, keys = jax.lax.cond(over.any(), renew, lambda: current)
        info = {**state.info, "next_key": keys}
        return state.replace(pipeline_state=episodes, obs=seen, info=info)


def _two(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Two raw keys of each: brax tells the number of environments by their shape."""
    split = jax.random.key_data(jax.vmap(jax.random.split)(typed(keys)))
    return split[:, 0], split[:, 1]


def _each(over: jax.Array, new: jax.Array, old: jax.Array) -> jax.Array:
    """Rows of `new` where a life is over, else of `old`."""
    return jax.vmap(jnp.where)(over, new, old)
