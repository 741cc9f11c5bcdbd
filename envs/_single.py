from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike

from ..rules import AbstractRule
from ._base import AbstractProblem
from ._boundary import asked, check_open, checked_action, draw_keys, task_key
from ._gymnasium import make_role, make_spaces
from ._program import Leaves, Program, single, unpacked
from ._render import RENDER_FPS, RENDER_MODES, Renderer
from ._role import VERDICT


class LearningEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """A life as a Gymnasium environment: you are its rule, or you steer one.

    `gymnasium.make("plasticgym/Digits-v0")` makes one; there is an id for each problem.
    If you name a rule, you act on its genome (see [`Steering`][plasticgym.envs.Steering]);
    if you name none, you are the rule (see [`Synapses`][plasticgym.envs.Synapses]).
    Actions lie in [-1, 1] and are clipped to it. The reward of an action is

    $$\\log(L + 0.01) - \\log(L' + 0.01),$$

    with $L$ and $L'$ the last losses of the training stream, before learning from them,
    before and after the action; the first $L$ is `problem.chance.loss`, so that nothing
    is earned by starting badly. An episode is one life, whose length you can know: it is
    part of the problem and not a limit put on it, so the episode ends `terminated`, never
    `truncated`, and there is nothing after it whose value could be estimated. A network
    that diverges lives on, frozen, with the loss of chance. The last `info` holds

    - `"score"`: that of the network on the validation part. The test part stays shut.
    - `"loss"`: the last of the training stream.
    - `"diverged"`: whether the network diverged.

    `reset(options={"task": n})` gives the network and the world that
    [`live`][plasticgym.envs.live] gives for the key `jax.random.key(n)`.

    Args:
        problem: a registered name, or a problem.
        rule: a rule, or text such as `"sgd"`, `"sgd(rate=0.5)"` or `"expr: ..."`; `None`
            if you are the rule.
        render_mode: `None`; `"rgb_array"`, for `render` to return a picture of the network
            as it learns; or `"human"`, to see it in a window.
        **options: those of `Synapses` or `Steering`, of the problem and of the rule, such
            as `tier="gradient"`, `hidden=(32,)` and `states=4`.

    Raises:
        ValueError: if a name or option is unknown, or an option is out of its range.

    !!! example

        ```python
        >>> import gymnasium, plasticgym
        >>> env = gymnasium.make("plasticgym/Xor-v0", rule="sgd")
        >>> observation, info = env.reset(seed=0)
        >>> *_, terminated, truncated, info = env.step(env.action_space.sample())
        >>> terminated, sorted(info)
        (True, ['diverged', 'loss', 'score'])

        ```
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": list(RENDER_MODES),
        "render_fps": RENDER_FPS,
    }

    def __init__(
        self,
        problem: str | AbstractProblem,
        *,
        rule: str | AbstractRule | None = None,
        render_mode: str | None = None,
        **options: Any,
    ):
        self.role = make_role(problem, rule, options)
        self.observation_space, acting = make_spaces(self.role)
        self.action_space: Any = acting
        self._acted = self.role.acted
        self._program = Program(self.role, single)
        self._episode: Leaves | None = None  # of the life in progress
        self._closed, self._warm = False, False
        self.render_mode = render_mode
        self._renderer = None if render_mode is None else Renderer(self.role, render_mode)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of an observation along its last axis."""
        return self.role.columns

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        check_open(self._closed)
        task = asked(options, "task").get("task")
        key = None if task is None else task_key(task)
        super().reset(seed=seed)
        if key is None:
            key = draw_keys(self.np_random, 1)[0]
        episode, seen = self._program.reset(key)
        self._episode = episode
        if not self._warm:  # so that nothing is compiled at the end of the first life
            task_key(0)
            self._program.judge(episode, np.zeros(self._acted, self.action_space.dtype))
            self._warm = True
        if self._renderer is not None:
            self._renderer.begin(unpacked(self.role, episode))
        return np.array(seen), {}

    def step(self, action: ArrayLike | float | int):
        check_open(self._closed)
        if self._episode is None:
            raise gymnasium.error.ResetNeeded(
                "`step` needs a life to go on with: call `reset` first, and after each "
                "episode that has ended."
            )
        action = checked_action(action, self._acted, self.role.choices)
        episode, seen, told = self._program.step(self._episode, action)
        reward, over = np.asarray(told).tolist()
        info = self._verdict(episode, action) if over else {}
        self._episode = None if over else episode
        if self._renderer is not None:
            self._renderer.follow(unpacked(self.role, episode), action)
        return np.array(seen), reward, bool(over), False, info

    def _verdict(self, episode: Leaves, action: np.ndarray) -> dict[str, Any]:
        verdict = self._program.judge(episode, action)
        return {name: kind(getattr(verdict, name)) for name, kind in VERDICT.items()}

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        check_open(self._closed)
        if self._renderer is None:
            gymnasium.logger.warn(
                "`render` draws nothing without a `render_mode`; make the environment with "
                'render_mode="rgb_array" or "human".'
            )
            return None
        return self._renderer.draw()

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
        self._episode = None
        self._closed = True
