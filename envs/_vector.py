from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ..rules import AbstractRule
from ._base import AbstractProblem, check_sizes
from ._boundary import asked_task, check_open, checked_action, draw_key, task_key
from ._gymnasium import make_role, make_spaces
from ._program import Program, Stepped, same_step


class LearningVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many lives at once, each as in [`LearningEnv`][plasticgym.envs.LearningEnv].

    `gymnasium.make_vec("plasticgym/Digits-v0", num_envs=64)` makes one. A step is one
    compiled program. A life that ends is followed by another one, in a new world, in the
    same step (`AutoresetMode.SAME_STEP`): the observation is already that of the new
    life; `infos["final_obs"]` and `infos["final_info"]` hold the last one of the old life
    and its `info`, with masks `"_final_obs"` and `"_final_info"`.

    Environment `i` of `reset(seed=s)` does what a single one does after `reset(seed=s+i)`,
    in all lives that follow. `options={"task": n}` is one task for all environments, or
    one for each.

    Args:
        problem: a registered name, or a problem.
        num_envs: how many.
        rule: a registered name, or a rule; `None` if you are the rule.
        render_mode: `None`.
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
        render_mode: str | None = None,
        **options: Any,
    ):
        check_sizes(num_envs=num_envs)
        self.role = make_role(problem, rule, render_mode, options)
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = make_spaces(self.role)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._acted = (num_envs, *self.role.acted)
        self._program = Program(self.role, same_step)
        self._episodes = None
        self._seeded: list[tuple[np.random.Generator, int]] = []
        self._following = np.zeros(0)  # a row per environment: the raw key of its next life

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of an observation along its last axis."""
        return self.role.columns

    @property
    def np_random(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[np.random.Generator, ...]:
        """The generator of each environment, which is one life ahead."""
        self._seed([None] * self.num_envs)
        return tuple(rng for rng, _ in self._seeded)

    @property
    def np_random_seed(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
    ) -> tuple[int, ...]:
        """The seed of each environment."""
        self._seed([None] * self.num_envs)
        return tuple(seed for _, seed in self._seeded)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        check_open(self.closed)
        tasks = self._tasks(asked_task(options))
        self._seed(self._seeds(seed))
        keys = self._take(np.ones(self.num_envs, bool)) if tasks is None else tasks
        self._episodes, seen = self._program.reset(keys)
        return np.array(seen), {}

    def step(self, actions: np.ndarray):
        check_open(self.closed)
        if self._episodes is None:
            raise gymnasium.error.ResetNeeded("`step` needs lives: call `reset` first.")
        actions = checked_action(actions, self._acted)
        stepped = self._program.step(self._episodes, actions, self._following)
        self._episodes = stepped.episode
        over = np.array(stepped.over)
        infos: dict[str, Any] = {}
        if over.any():
            self._take(over)
            infos = _final(stepped, over)
        rewards = np.asarray(stepped.reward).astype(np.float64)
        return np.array(stepped.shown), rewards, over, np.zeros_like(over), infos

    def close_extras(self, **kwargs: Any) -> None:
        self._episodes = None

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        """One seed per environment; `None` goes on with the generator that there is."""
        if seed is None or isinstance(seed, int | np.integer):
            return [None if seed is None else int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"`seed` must be a whole number or {self.num_envs} of them, one per "
                f"environment, got {len(seed)}."
            )
        return list(seed)

    def _seed(self, seeds: list[int | None]) -> None:
        """Seeds the environments that have a seed, or never had one."""
        if not self._seeded:
            self._seeded = [seeding.np_random(seed) for seed in seeds]
            self._following = np.stack([draw_key(rng) for rng, _ in self._seeded])
            return
        given = {i: seeding.np_random(seed) for i, seed in enumerate(seeds) if seed is not None}
        self._seeded = [given.get(i, kept) for i, kept in enumerate(self._seeded)]
        self._take(np.isin(np.arange(self.num_envs), list(given)))

    def _take(self, which: np.ndarray) -> np.ndarray:
        """The keys of the next lives; those of `which` are followed by new ones."""
        keys = self._following
        self._following = keys.copy()
        for i in np.flatnonzero(which):
            self._following[i] = draw_key(self._seeded[i][0])
        return keys

    def _tasks(self, task: Any) -> np.ndarray | None:
        """The keys of the tasks that were asked for."""
        if task is None:
            return None
        if not isinstance(task, Sequence | np.ndarray):
            return np.stack([task_key(task)] * self.num_envs)
        if len(task) != self.num_envs:
            raise ValueError(
                f"`task` must be a whole number or {self.num_envs} of them, one per "
                f"environment, got {len(task)}."
            )
        return np.stack([task_key(each) for each in task])


def _final(stepped: Stepped, over: np.ndarray) -> dict[str, Any]:
    """Last observations and infos, as Gymnasium's own vector environments give them."""
    last, observations = np.full(len(over), None, object), np.array(stepped.observation)
    for i in np.flatnonzero(over):
        last[i] = observations[i]
    final: dict[str, Any] = {}
    verdict = stepped.verdict
    for name, type_ in (("score", float), ("loss", float), ("diverged", bool)):
        final[name] = np.where(over, getattr(verdict, name), 0).astype(type_)
        final[f"_{name}"] = over.copy()
    return {
        "final_obs": last,
        "_final_obs": over.copy(),
        "final_info": final,
        "_final_info": over.copy(),
    }
