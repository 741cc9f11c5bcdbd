"""What crosses the border between Gymnasium and compiled programs."""

import functools
from typing import Any

import gymnasium
import jax
import numpy as np


def checked_action(action: Any, shape: tuple[int, ...], choices: int | None) -> np.ndarray:
    """The action in single precision, or the numbers of what is chosen.

    Raises:
        gymnasium.error.InvalidAction: if it is not one of finite real numbers in `shape`,
            or of whole ones below `choices`.
    """
    action = _array(action)
    if choices is not None:
        return _checked_choice(action, shape, choices)
    if action.dtype.kind not in "fiu" or action.shape != shape:
        got = f"{action.dtype} of shape {action.shape}"
    elif not np.isfinite(action).all():
        got = f"{np.count_nonzero(~np.isfinite(action))} that are not finite"
    else:
        return np.clip(action, -1, 1).astype(np.float32)
    raise gymnasium.error.InvalidAction(
        f"`action` must be finite real numbers of shape {shape}, got {got}."
    )


def _checked_choice(action: np.ndarray, shape: tuple[int, ...], choices: int) -> np.ndarray:
    if action.dtype.kind not in "iu" or action.shape != shape:
        got = f"{action.dtype} of shape {action.shape}"
    elif (action < 0).any() or (action >= choices).any():
        got = f"{action.tolist()}"
    else:
        return action.astype(np.int32)
    raise gymnasium.error.InvalidAction(
        f"`action` must be whole numbers from 0 to {choices - 1} of shape {shape}, got {got}."
    )


def _array(given: Any) -> np.ndarray:
    try:
        return np.asarray(given)
    except ValueError:  # rows of unequal length
        return np.asarray(None)


def check_open(closed: bool) -> None:
    if closed:
        raise gymnasium.error.ClosedEnvironmentError(
            "the environment is closed; make another one."
        )


def asked(options: dict[str, Any] | None, *known: str) -> dict[str, Any]:
    """The options of `reset`.

    Raises:
        ValueError: if there is one that is not known.
    """
    options = dict(options or {})
    for name in options:
        if name not in known:
            allowed = " and ".join(f'"{each}"' for each in known)
            raise ValueError(f"`options` of `reset` may hold {allowed} only, got {name!r}.")
    return options


def checked_mask(mask: Any, envs: int) -> np.ndarray:
    """The environments to reset.

    Raises:
        ValueError: if it is not one boolean for each environment, or all are False.
    """
    mask = _array(mask)
    if mask.shape != (envs,) or mask.dtype != bool:
        raise ValueError(
            f'`options["reset_mask"]` must hold booleans of shape ({envs},), one for each '
            f"environment, got {mask.dtype} of shape {mask.shape}."
        )
    if not mask.any():
        raise ValueError('`options["reset_mask"]` must be True for at least one environment.')
    return mask.copy()


def task_key(task: Any) -> np.ndarray:
    """The raw key `jax.random.key(task)`.

    Raises:
        ValueError: if `task` is not a whole number of at least 0 that makes a key.
    """
    if isinstance(task, np.ndarray) and task.ndim == 0:
        task = task[()]
    whole = isinstance(task, int | np.integer) and not isinstance(task, bool)
    if not whole or not 0 <= task < 2**32:
        raise ValueError(f"`task` must be a whole number from 0 to 2**32 - 1, got {task!r}.")
    return np.asarray(jax.random.key_data(jax.random.key(np.uint32(task))))


def draw_keys(rng: np.random.Generator, keys: int) -> np.ndarray:
    """Raw keys; the one place where randomness enters from Gymnasium's generator."""
    kind = jax.config.jax_default_prng_impl  # pyright: ignore[reportAttributeAccessIssue]
    return rng.integers(0, 2**32, (keys, *_key_shape(kind)), np.uint32)


@functools.cache
def _key_shape(implementation: str) -> tuple[int, ...]:
    return jax.random.key_data(jax.random.key(0, impl=implementation)).shape
