"""Vector environments as Stable-Baselines3 has them; needs Stable-Baselines3."""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]


class SB3VecEnv(VecEnv):
    """A `VectorEnv` of Gymnasium, seen as a `VecEnv` of Stable-Baselines3.

    The environments are one program and share its attributes and methods.
    """

    def __init__(self, envs: VectorEnv):
        self.envs: Any = envs
        self._actions = None
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self):
        given = any(seed is not None for seed in self._seeds)
        observations, infos = self.envs.reset(
            seed=list(self._seeds) if given else None,
            options=_joined(self._options),
        )
        self._reset_seeds()  # seeds and options are for one reset
        self._reset_options()
        self.reset_infos = [_row(infos, i) for i in range(self.num_envs)]
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self):
        observations, rewards, terminated, truncated, infos = self.envs.step(self._actions)
        rewards = np.asarray(rewards, np.float32)
        final_info, last = infos.pop("final_info", {}), infos.pop("final_obs", None)
        rows = [_row(infos, i) for i in range(self.num_envs)]
        over = terminated | truncated
        for i in np.flatnonzero(over).tolist():
            self.reset_infos[i] = rows[i]  # the one that has just begun
            rows[i] = {**_row(final_info, i), "terminal_observation": last[i]}
        for row, cut in zip(rows, truncated & ~terminated, strict=True):
            row["TimeLimit.truncated"] = bool(cut)
        return observations, rewards, over, rows

    def close(self) -> None:
        self.envs.close()

    def get_images(self) -> Sequence[np.ndarray | None]:
        frames = self.envs.render()
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self.envs, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self.envs, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        result = getattr(self.envs, method_name)(*method_args, **method_kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper], indices: Any = None
    ) -> list[bool]:
        return [False for _ in self._get_indices(indices)]


def _row(infos: dict[str, Any], i: int) -> dict[str, Any]:
    """What the infos of many environments tell of one."""
    row = {}
    for name, values in infos.items():
        told = infos.get(f"_{name}")
        if name.startswith("_") or (told is not None and not told[i]):
            continue
        if isinstance(values, dict):
            row[name] = _row(values, i)
        else:
            value = values[i]
            row[name] = value.item() if isinstance(value, np.generic) else value
    return row


def _joined(options: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The options of all environments; one that differs between them becomes a list."""
    first, *others = options
    if any(set(other) != set(first) for other in others):
        raise ValueError("the options of all environments must have the same names.")
    if all(other == first for other in others):
        return dict(first) or None
    return {name: [each[name] for each in (first, *others)] for name in first}
