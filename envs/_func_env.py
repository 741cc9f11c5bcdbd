from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
from gymnasium.experimental.functional import FuncEnv
from jaxtyping import Array, ArrayLike, Bool, Float

from ..rules import AbstractRule
from ._base import AbstractProblem
from ._functions import begun, told, verdict_if
from ._gymnasium import make_role, make_spaces
from ._role import AbstractRole, Episode, observe, transition


@final
class LearningFuncEnv(FuncEnv):
    """A life as a `FuncEnv` of Gymnasium; `to_func_env` makes one.

    Its functions are pure, and each is compiled; `params` are the role that the agent has, by
    default that of this environment. Everything random comes from the key of `initial`.
    `transition_info` holds `"score"`, `"loss"` and `"diverged"`, zeros until the last.

    **Arguments:**

    - `role`: what the agent is, and where.
    """

    def __init__(self, role: AbstractRole):
        self.role = role
        self.observation_space, self.action_space = make_spaces(role)
        super().__init__()

    def get_default_params(self, **kwargs: Any) -> AbstractRole:
        return self.role

    def initial(self, rng: Array, params: AbstractRole | None = None) -> Episode:
        return _initial(self._given(params), rng)

    def transition(
        self, state: Episode, action: ArrayLike, rng: Any, params: AbstractRole | None = None
    ) -> Episode:
        return _transition(self._given(params), state, jnp.asarray(action))

    def observation(self, state: Episode, rng: Any, params: AbstractRole | None = None):
        return _observation(self._given(params), state)

    def reward(
        self,
        state: Episode,
        action: ArrayLike,
        next_state: Episode,
        rng: Any,
        params: AbstractRole | None = None,
    ) -> Float[Array, ""]:
        return _reward(self._given(params), state, next_state)

    def terminal(
        self, state: Episode, rng: Any, params: AbstractRole | None = None
    ) -> Bool[Array, ""]:
        return _terminal(self._given(params), state)

    def transition_info(
        self,
        state: Episode,
        action: ArrayLike,
        next_state: Episode,
        params: AbstractRole | None = None,
    ) -> dict[str, Array]:
        return _info(self._given(params), jnp.asarray(action), next_state)

    def _given(self, params: AbstractRole | None) -> AbstractRole:
        return self.role if params is None else params


def to_func_env(
    problem: str | AbstractProblem, *, rule: str | AbstractRule | None = None, **options: Any
) -> LearningFuncEnv:
    """A problem as a `FuncEnv`, the functional form of Gymnasium's environments.

    Gymnasium's own `FunctionalJaxEnv` makes an environment of it again.

    Args:
        problem: a registered name, or a problem.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`; `None`
            if you are the rule.
        **options: as for [`LearningEnv`][plasticgym.envs.LearningEnv].

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> env = pg.envs.to_func_env("Xor-v0", rule="sgd")
        >>> key, action = jax.random.key(0), jnp.zeros(env.action_space.shape)
        >>> state = env.initial(key)
        >>> after = env.transition(state, action, key)
        >>> bool(env.terminal(after, key)), env.reward(state, action, after, key).shape
        (True, ())

        ```
    """
    return LearningFuncEnv(make_role(problem, rule, options))


@eqx.filter_jit
def _initial(role: AbstractRole, key: Array) -> Episode:
    return begun(role, key=key)[0]


@eqx.filter_jit
def _transition(role: AbstractRole, state: Episode, action: Array) -> Episode:
    return transition(role, state, action)[0]


@eqx.filter_jit
def _observation(role: AbstractRole, state: Episode) -> Float[Array, "..."]:
    return observe(role, state)


@eqx.filter_jit
def _reward(role: AbstractRole, before: Episode, after: Episode) -> Float[Array, ""]:
    return role.reward(before, after)


@eqx.filter_jit
def _terminal(role: AbstractRole, state: Episode) -> Bool[Array, ""]:
    return role.over(state)


@eqx.filter_jit
def _info(role: AbstractRole, action: Array, after: Episode) -> dict[str, Array]:
    return told(verdict_if(role, role.over(after), episode=after, action=action))
