"""What crosses the border between Gymnasium and compiled programs."""

import functools
from typing import Any

import gymnasium
import jax
import numpy as np


def checked_action(action: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The action in single precision.

    Raises:
        gymnasium.error.InvalidAction: if it is not one of finite real numbers in `shape`.
    """
    try:
        action = np.asarray(action)
    except ValueError:  # rows of unequal length
        action = np.asarray(None)
    if action.dtype.kind not in "fiu" or action.shape != shape:
        got = f"{action.dtype} of shape {action.shape}"
    elif not np.isfinite(action).all():
        got = f"{np.count_nonzero(~np.isfinite(action))} that are not finite"
    else:
        return np.clip(action, -1, 1).astype(np.float32)
    raise gymnasium.error.InvalidAction(
        f"`action` must be finite real numbers of shape {shape}, got {got}."
    )


def check_open(closed: bool) -> None:
    if closed:
        raise gymnasium.error.ClosedEnvironmentError(
            "the environment is closed; make another one."
        )


def asked_task(options: dict[str, Any] | None) -> Any:
    """The task that `reset` is asked for, if any.

    Raises:
        ValueError: if there is an option other than `"task"`.
    """
    for name in options or {}:
        if name != "task":
            raise ValueError(f'`options` of `reset` may hold "task" only, got {name!r}.')
    return (options or {}).get("task")


def task_key(task: Any) -> np.ndarray:
    """The raw key `jax.random.key(task)`.

    Raises:
        ValueError: if `task` is not a whole number of at least 0 that makes a key.
    """
    whole = isinstance(task, int | np.integer) and not isinstance(task, bool)
    if not whole or not 0 <= task < 2**32:
        raise ValueError(f"`task` must be a whole number from 0 to 2**32 - 1, got {task!r}.")
    return np.asarray(jax.random.key_data(jax.random.key(np.uint32(task))))


def draw_key(rng: np.random.Generator) -> np.ndarray:
    """A raw key; the one place where randomness enters from Gymnasium's generator."""
    kind = jax.config.jax_default_prng_impl  # pyright: ignore[reportAttributeAccessIssue]
    return rng.integers(0, 2**32, _key_shape(kind), np.uint32)


@functools.cache
def _key_shape(implementation: str) -> tuple[int, ...]:
    return jax.random.key_data(jax.random.key(0, impl=implementation)).shape
