from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Key
from numpy.typing import ArrayLike

from ..rules import AbstractRule
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem
from ._boundary import asked, check_open, checked_action, checked_mask, task_key
from ._gymnasium import make_role, make_spaces
from ._keys import Keys
from ._program import Program, vector
from ._role import VERDICT, Verdict
from ._rollout import Held, Rollout, scanned


class LearningVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many lives at once, each as in [`LearningEnv`][plasticgym.envs.LearningEnv].

    `gymnasium.make_vec("plasticgym/Digits-v0", num_envs=64)` makes one. A step is one
    compiled program, and two more where a life ends. What follows a life that ends is said
    by `autoreset_mode`, as in Gymnasium; the new life is always in a new world:

    - `"SameStep"`: it begins in the same step. The observation is already that of the new
      life; `infos["final_obs"]` and `infos["final_info"]` hold the last one of the old
      life and its `info`, with masks `"_final_obs"` and `"_final_info"`.
    - `"NextStep"`: it begins in the next step, which ignores the action, gives no reward
      and returns the first observation.
    - `"Disabled"`: you ask for it, by `reset(options={"reset_mask": terminated})`.

    In the last two modes `infos` of the step that ends a life are those of a single
    environment, each with its mask. A `reset_mask` is heeded in every mode.

    Environment `i` of `reset(seed=s)` does what a single one does after `reset(seed=s+i)`,
    in all lives that follow. `options={"task": n}` is one task for all environments, or
    one for each.

    Args:
        problem: a registered name, or a problem.
        num_envs: how many.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`; `None`
            if you are the rule.
        autoreset_mode: a `gymnasium.vector.AutoresetMode` or its value, such as
            `"NextStep"`; only with the value can the `spec` be written as JSON.
        render_mode: `None`; single environments have pictures.
        **options: as for `LearningEnv`.

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.

    !!! example

        ```python
        >>> import gymnasium, plasticgym
        >>> envs = gymnasium.make_vec("plasticgym/Xor-v0", num_envs=3, rule="sgd")
        >>> observations, infos = envs.reset(seed=0)
        >>> _, _, _, _, infos = envs.step(envs.action_space.sample())
        >>> infos["final_info"]["score"].shape
        (3,)

        ```
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        problem: str | AbstractProblem,
        *,
        num_envs: int = 1,
        rule: str | AbstractRule | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        check_sizes(num_envs=num_envs)
        if render_mode is not None:
            raise ValueError(
                "`render_mode` must be None, a vector has no picture; got "
                f"{render_mode!r}. Make a single environment to look at."
            )
        self._mode = _mode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self._mode}
        self.role = make_role(problem, rule, options)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = make_spaces(self.role)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._acted = (num_envs, *self.role.acted)
        self._program = Program(self.role, vector)
        self._keys: Keys | None = None
        self._held: Held | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of an observation along its last axis."""
        return self.role.columns

    @property
    def np_random(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[np.random.Generator, ...]:
        """The generator of each environment, which is some lives ahead."""
        return self._seeded([None] * self.num_envs).generators

    @property
    def np_random_seed(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[int, ...]:
        """The seed of each environment."""
        return self._seeded([None] * self.num_envs).seeds

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        check_open(self.closed)
        given = asked(options, "task", "reset_mask")
        where = np.ones(self.num_envs, bool)
        if given.get("reset_mask") is not None:
            where = checked_mask(given["reset_mask"], self.num_envs)
        if self._held is None and not where.all():
            raise gymnasium.error.ResetNeeded(
                'the first `reset` begins every life: call it without `"reset_mask"`.'
            )
        tasks = self._tasks(given.get("task"))
        seeds = [s if own else None for s, own in zip(self._seeds(seed), where, strict=True)]
        keys = self._seeded(seeds)
        if tasks is None:
            tasks = keys.ahead(1)[:, 0]
            keys.take(where)
        held = self._held
        if held is None:
            episodes, shown = self._program.reset(tasks, where, None)
            held = Held(episodes, shown, where)
            # So that nothing is compiled later:
            task_key(0)
            self._program.judge(episodes, np.zeros(self._acted, self.action_space.dtype))
        episodes, shown = self._program.reset(tasks, where, (held.episode, held.shown))
        self._held = Held(episodes, shown, held.waiting & ~where)
        return np.array(shown), {}

    def step(self, actions: ArrayLike):
        held, keys = self._ready()
        if self._mode is AutoresetMode.DISABLED and held.waiting.any():
            raise gymnasium.error.ResetNeeded(
                "these lives are over: call `reset(options={'reset_mask': ...})` for "
                f"environments {np.flatnonzero(held.waiting).tolist()}."
            )
        actions = checked_action(actions, self._acted, self.role.choices)
        # The step uses up what is held: if it is interrupted, there is nothing to go on with.
        self._held = None
        episodes, shown, told = self._program.step(held.episode, actions)
        rewards, over = _heard(told, held.waiting)
        infos: dict[str, Any] = {}
        if over.any():
            infos = _verdicts(self._program.judge(episodes, actions), over)
            if self._mode is AutoresetMode.SAME_STEP:
                infos = _final(shown, infos, over)
        began = {AutoresetMode.SAME_STEP: over, AutoresetMode.NEXT_STEP: held.waiting}.get(
            self._mode
        )
        waiting = held.waiting | over
        if began is not None and began.any():
            episodes, shown = self._program.reset(keys.ahead(1)[:, 0], began, (episodes, shown))
            keys.take(began)
            waiting &= ~began
        self._held = Held(episodes, shown, waiting)
        return np.array(shown), rewards, over, np.zeros_like(over), infos

    def rollout(
        self,
        policy: Callable[..., Array],
        steps: int,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Rollout:
        """Steps under a policy that is written in JAX, as one compiled program.

        They are the steps of `step`, from where the environments stand, which go on from
        there. A life that is over in mode `"Disabled"` stays over and earns nothing.

        Args:
            policy: from observations of shape `(num_envs, *observed)` to actions of shape
                `(num_envs, *acted)`, clipped to [-1, 1]; one that is not a number makes
                its life diverge. A pytree, such as an `equinox.Module`, can change its
                arrays without a new compilation; another function, as a new `lambda` is,
                compiles anew.
            steps: how many, at least 1.
            key: for a policy that draws: it is called `policy(observations, key=...)`.

        Returns:
            What the policy met.

        Raises:
            ValueError: if `steps` is not positive or actions have another shape.
            gymnasium.error.ResetNeeded: before the first `reset`.

        !!! example

            ```python
            >>> import gymnasium, plasticgym, jax.numpy as jnp
            >>> envs = gymnasium.make_vec(
            ...     "plasticgym/Xor-v0", num_envs=3, rule="sgd", presentations_per_action=5
            ... )
            >>> _ = envs.reset(seed=0)
            >>> met = envs.unwrapped.rollout(lambda seen: jnp.zeros((3, 1)), 10)
            >>> met.rewards.sum(0).shape
            (3,)

            ```
        """
        held, keys = self._ready()
        check_sizes(steps=steps)
        held, begun, met = scanned(
            self.role,
            self._mode,
            policy,
            held._replace(waiting=jax.numpy.asarray(held.waiting)),
            jax.numpy.asarray(keys.ahead(steps // self.role.shortest + 1)),
            keys=None if key is None else jax.random.split(key, steps),
            steps=steps,
        )
        keys.take(np.asarray(begun))
        self._held = held._replace(waiting=np.array(held.waiting))
        return met

    def close_extras(self, **kwargs: Any) -> None:
        self._held = None

    def _ready(self) -> tuple[Held, Keys]:
        check_open(self.closed)
        if self._held is None or self._keys is None:
            raise gymnasium.error.ResetNeeded("there are no lives yet: call `reset` first.")
        return self._held, self._keys

    def _seeded(self, seeds: list[int | None]) -> Keys:
        if self._keys is None:
            self._keys = Keys(seeds)
        else:
            self._keys.seed(seeds)
        return self._keys

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """One seed per environment; `None` goes on with the generator that there is."""
        if isinstance(seed, int | np.integer):
            return [int(seed) + i for i in range(self.num_envs)]
        return [None] * self.num_envs if seed is None else self._one_each("seed", seed)

    def _tasks(self, task: Any) -> np.ndarray | None:
        """The keys of the tasks that were asked for."""
        if task is None:
            return None
        tasks = self._one_each("task", task) if np.ndim(task) else [task] * self.num_envs
        return np.stack([task_key(each) for each in tasks])

    def _one_each(self, name: str, values: Any) -> list[Any]:
        if np.ndim(values) != 1 or len(values) != self.num_envs:
            raise ValueError(
                f"`{name}` must be a whole number or {self.num_envs} of them, one per "
                f"environment, got {values!r}."
            )
        return list(values)


def _heard(told: Array, waiting: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and ends; what waits earns nothing and does not end again."""
    rewards, over = np.asarray(told).T
    return np.where(waiting, 0.0, rewards.astype(np.float64)), (over > 0) & ~waiting


def _final(shown: Array, infos: dict[str, Any], over: np.ndarray) -> dict[str, Any]:
    """Last observations and infos, as Gymnasium's own vector environments give them."""
    last, observations = np.full(len(over), None, object), np.array(shown)
    for i in np.flatnonzero(over):
        last[i] = observations[i]
    return {
        "final_obs": last,
        "_final_obs": over.copy(),
        "final_info": infos,
        "_final_info": over.copy(),
    }


def _verdicts(verdict: Verdict, over: np.ndarray) -> dict[str, Any]:
    """The infos of episodes that are over, each with its mask."""
    infos: dict[str, Any] = {}
    for name, kind in VERDICT.items():
        infos[name] = np.where(over, getattr(verdict, name), 0).astype(kind)
        infos[f"_{name}"] = over.copy()
    return infos


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        values = [each.value for each in AutoresetMode]
        raise ValueError(f"`autoreset_mode` must be one of {values}, got {mode!r}.") from None
