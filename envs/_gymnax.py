from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from ..rules import AbstractRule
from ._base import AbstractProblem
from ._functions import begun, moved, renewed, told
from ._gymnasium import make_role
from ._role import AbstractRole, Episode

Observation = Float[Array, "..."]
Info = dict[str, Array]


@final
class Params(eqx.Module):
    """What gymnax hands to every function: here the problem, its data and the rule.

    Given as an argument of your compiled function, the data are held once and not built
    into it; and rules and problems of equal structure share one compilation.

    **Arguments:**

    - `role`: what the agent is, and where.
    """

    role: AbstractRole

    @property
    def max_steps_in_episode(self) -> int:
        """How many actions a life has."""
        return self.role.actions


@final
class Box:
    """A space as gymnax names it, for when gymnax is not there.

    **Arguments:**

    - `low`, `high`: the bounds of every entry.
    - `shape`: of an array.
    - `dtype`: of an entry.
    """

    def __init__(self, low: float, high: float, shape: tuple[int, ...], dtype: Any):
        self.low, self.high, self.shape, self.dtype = low, high, shape, dtype

    def sample(self, key: Array) -> Array:
        """A uniform draw."""
        return jax.random.uniform(key, self.shape, self.dtype, self.low, self.high)

    def contains(self, x: Array) -> Bool[Array, ""]:
        """Whether all entries lie within the bounds."""
        return jnp.all(x >= self.low) & jnp.all(x <= self.high)


@final
class GymnaxEnv:
    """A life as functions in the order of gymnax 1.0; `to_gymnax` makes one.

    All of them are pure and compiled, and take part in your own `jit`, `vmap` and `scan`.
    Under `vmap`, new worlds are drawn and networks tested only in steps in which some
    life is over.

    **Arguments:**

    - `default_params`: used where no params are given.
    """

    def __init__(self, default_params: Params):
        self.default_params = default_params

    @property
    def name(self) -> str:
        """What the agent is."""
        return type(self.default_params.role).__name__

    @property
    def num_actions(self) -> int:
        """How many numbers an action has."""
        return self.default_params.role.acted[0]

    def reset(self, key: Array, params: Params | None = None) -> tuple[Observation, Episode]:
        """The life that `live` gives for this key, and what is seen of it."""
        return self.reset_env(key, self._given(params))

    def step(
        self, key: Array, state: Episode, action: ArrayLike, params: Params | None = None
    ) -> tuple[Observation, Episode, Array, Array, Array, Info]:
        """One action; a life that ends is followed by one in a new world, drawn from `key`.

        Returns:
            Observation, state, reward, terminated, truncated (always False) and info,
            with `"final_observation"`, that of the old life; and, where `"terminated"`,
            its `"score"` on the validation part, last `"loss"` and `"diverged"`.
        """
        return _step(self._given(params).role, key, state, jnp.asarray(action))

    def reset_env(self, key: Array, params: Params) -> tuple[Observation, Episode]:
        """As `reset`."""
        return _reset(params.role, key)

    def step_env(
        self, key: Array, state: Episode, action: ArrayLike, params: Params
    ) -> tuple[Observation, Episode, Array, Array, Info]:
        """One action, and no new life: observation, state, reward, terminated and info."""
        return _step_env(params.role, state, jnp.asarray(action))

    def action_space(self, params: Params | None = None) -> Any:
        """A `Box` of gymnax, or one like it if gymnax is not installed."""
        return _box()(-1.0, 1.0, self._given(params).role.acted, jnp.float32)

    def observation_space(self, params: Params | None = None) -> Any:
        """A `Box` of gymnax, or one like it if gymnax is not installed."""
        role = self._given(params).role
        return _box()(-role.bound, role.bound, role.observed, jnp.float32)

    def _given(self, params: Params | None) -> Params:
        return self.default_params if params is None else params


def to_gymnax(
    problem: str | AbstractProblem, *, rule: str | AbstractRule | None = None, **options: Any
) -> GymnaxEnv:
    """A problem as an environment in the order of gymnax 1.0; gymnax need not be there.

    Args:
        problem: a registered name, or a problem.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`; `None`
            if you are the rule.
        **options: as for [`LearningEnv`][plasticgym.envs.LearningEnv].

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> env = pg.envs.to_gymnax("Xor-v0", rule="sgd", presentations_per_action=5)
        >>> key, params = jax.random.key(0), env.default_params
        >>> seen, state = env.reset(key, params)
        >>> action = env.action_space(params).sample(key)
        >>> _, state, reward, terminated, _, _ = env.step(key, state, action, params)
        >>> bool(terminated), params.max_steps_in_episode
        (False, 10)

        ```
    """
    return GymnaxEnv(Params(make_role(problem, rule, options)))


@eqx.filter_jit
def _reset(role: AbstractRole, key: Array):
    episode, seen = begun(role, key=key)
    return seen, episode


@eqx.filter_jit
def _step_env(role: AbstractRole, state: Episode, action: Array):
    now = moved(role, state, action)
    return now.observation, now.episode, now.reward, now.over, told(now.verdict)


@eqx.filter_jit
def _step(role: AbstractRole, key: Array, state: Episode, action: Array):
    now = moved(role, state, action)
    following, shown = renewed(role, now.over, (now.episode, now.observation), key=key)
    never = jnp.zeros_like(now.over)
    info = {
        "terminated": now.over,
        "truncated": never,
        "final_observation": now.observation,
        **told(now.verdict),
    }
    return shown, following, now.reward, now.over, never, info


def _box() -> type:
    try:
        from gymnax.environments.spaces import (  # pyright: ignore[reportMissingImports]
            Box as TheirBox,
        )
    except ImportError:
        return Box
    return TheirBox
