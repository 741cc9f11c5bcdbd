import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate


class Event(NamedTuple):
    """What one environment tells: a transition, or, without a reward, a new episode.

    `call` counts the steps of the vector environment; the first reset is call 0. `masked`
    are the names that a mask of the infos claims for this environment.
    """

    call: int
    observation: Any
    info: dict[str, Any]
    reward: float | None = None
    terminated: bool = False
    truncated: bool = False
    masked: frozenset[str] = frozenset()

    @property
    def begins(self) -> bool:
        return self.reward is None

    @property
    def over(self) -> bool:
        return self.terminated or self.truncated


class Stream:
    """What one environment told, in order, as if it were alone: the same in every mode."""

    def __init__(self):
        self.events: list[Event] = []
        self.acted = 0  # transitions so far
        self.age = 0  # those of this episode

    def add(self, event: Event) -> None:
        self.events.append(event)
        self.acted += not event.begins
        self.age = 0 if event.begins else self.age + 1

    @property
    def over(self) -> bool:
        return self.events[-1].over

    def episodes(self) -> list[list[Event]]:
        """The events of each episode; the last one may not be over."""
        told: list[list[Event]] = []
        for event in self.events:
            if event.begins:
                told.append([])
            told[-1].append(event)
        return told


Choose = Callable[[int, Stream], Any]  # an action from an environment and what it told
Restart = Callable[[int], np.ndarray]  # who is reset after a call, though not over


def fail(law: str, told: str) -> NoReturn:
    """A law does not hold."""
    raise AssertionError(f"{law}: {told}")


def play(
    env: VectorEnv,
    asked: dict[str, Any],
    choose: Choose,
    *,
    steps: int,
    restart: Restart | None = None,
) -> list[Stream]:
    """Resets and steps an environment, holds it to the laws of its mode, and takes notes.

    The reset is `env.reset(**asked)`. `choose` is asked for the ignored action of
    NEXT_STEP too: then the stream is over. `restart` is for DISABLED alone.
    """
    streams = [Stream() for _ in range(env.num_envs)]
    observations, infos = reset(env, **asked)
    everyone = np.ones(env.num_envs, bool)
    _begin(streams, observations, infos, call=0, who=everyone)
    disabled = env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    for call in range(1, steps + 1):
        chosen = [choose(i, stream) for i, stream in enumerate(streams)]
        _step(env, streams, _batch(env, chosen), call=call)
        mask = np.array([stream.over for stream in streams])
        if restart is not None:
            mask |= restart(call)
        if disabled and mask.any():
            observations, infos = reset(env, options={"reset_mask": mask.copy()})
            for i in np.flatnonzero(~mask).tolist():
                check_kept(i, streams[i].events[-1].observation, observations[i])
            _begin(streams, observations, infos, call=call, who=mask)
    return streams


def check_kept(i: int, before: Any, after: Any) -> None:
    """`reset_mask` leaves the others, and what is shown of them, as they are."""
    if not alike(before, after, 0.0):
        fail(
            "reset_mask",
            f"environment {i} is not in the mask and must still show {short(before)}, "
            f"got {short(after)}",
        )


def reset(env: VectorEnv, **asked: Any) -> tuple[list[Any], dict[str, Any]]:
    """A reset whose result has the types of the spaces; observations by environment."""
    returned = env.reset(**asked)
    if not (isinstance(returned, tuple) and len(returned) == 2):
        fail("types", f"`reset` must return observations and infos, got {short(returned)}")
    observations, infos = copy.deepcopy(returned)
    _check_infos(infos, env.num_envs)
    return _split(env, observations), infos


def _step(env: VectorEnv, streams: list[Stream], actions: Any, *, call: int) -> None:
    """One step, noted by environment as the mode says."""
    returned = env.step(actions)
    if not (isinstance(returned, tuple) and len(returned) == 5):
        fail("types", f"`step` must return five things, got {short(returned)}")
    observations, rewards, terminations, truncations, infos = copy.deepcopy(returned)
    floats, n = (np.float32, np.float64), env.num_envs
    _check_array("rewards", rewards, floats, n=n)
    if not np.isfinite(rewards).all():
        fail("types", f"rewards must be finite, got {rewards}")
    _check_array("terminations", terminations, (np.bool_,), n=n)
    _check_array("truncations", truncations, (np.bool_,), n=n)
    _check_infos(infos, n)
    shown, over = _split(env, observations), terminations | truncations
    mode = env.metadata["autoreset_mode"]
    waiting = np.array([stream.over for stream in streams])
    last, told = shown, infos
    if mode is AutoresetMode.SAME_STEP:
        last, told = _final(env, infos, shown, over=over)
    for i, stream in enumerate(streams):
        if waiting[i]:  # in NEXT_STEP; elsewhere a new episode has begun by now
            if rewards[i] != 0 or over[i]:
                fail(
                    "NEXT_STEP",
                    f"step {call} begins a new episode of environment {i}: reward must be 0 "
                    f"and flags False, got {rewards[i]} and {bool(over[i])}",
                )
            continue
        of = told if over[i] else infos
        flags = bool(terminations[i]), bool(truncations[i])
        event = Event(call, last[i], info_of(of, i), float(rewards[i]), *flags)
        stream.add(event._replace(masked=masked(of, i)))
    begins = over if mode is AutoresetMode.SAME_STEP else waiting
    _begin(streams, shown, infos, call=call, who=begins)


def _begin(
    streams: list[Stream],
    shown: list[Any],
    infos: dict[str, Any],
    *,
    call: int,
    who: np.ndarray,
) -> None:
    for i in np.flatnonzero(who).tolist():
        event = Event(call, shown[i], info_of(infos, i), masked=masked(infos, i))
        streams[i].add(event)


def _final(
    env: VectorEnv, infos: dict[str, Any], shown: list[Any], *, over: np.ndarray
) -> tuple[list[Any], dict[str, Any]]:
    """The last observations and infos that SAME_STEP owes to those that are over."""
    for name in ("final_obs", "final_info"):
        given = infos.get(f"_{name}", np.zeros_like(over))
        if name not in infos and over.any():
            fail(
                "SAME_STEP",
                f"episodes are over in {np.flatnonzero(over)} and infos lack {name!r}",
            )
        if not np.array_equal(given, over):
            fail(
                "SAME_STEP",
                f'the mask "_{name}" must be that of who is over, {over}, got {given}',
            )
    last = list(shown)
    for i in np.flatnonzero(over).tolist():
        last[i] = infos["final_obs"][i]
        _check_inside(env.single_observation_space, last[i], f"final_obs[{i}]")
    told = infos.get("final_info", {})
    _check_infos(told, env.num_envs)
    for name, mask in told.items():
        if name.startswith("_") and name[1:] in told and (mask & ~over).any():
            fail(
                "SAME_STEP",
                f"the mask {name!r} of final_info must be within {over}, got {mask}",
            )
    return last, told


def _batch(env: VectorEnv, chosen: list[Any]) -> Any:
    """One batch of actions."""
    space = env.single_action_space
    return concatenate(space, chosen, create_empty_array(space, env.num_envs))


def _split(env: VectorEnv, observations: Any) -> list[Any]:
    """Observations by environment, after a look at their types."""
    _check_inside(env.observation_space, observations, "observations")
    return list(iterate(env.observation_space, observations))


def _check_inside(space: gymnasium.Space, value: Any, name: str) -> None:
    """Exactly the dtype and the shape of the space, and within it."""
    parts: list[tuple[Any, gymnasium.Space]] = []
    if isinstance(space, gymnasium.spaces.Dict) and isinstance(value, dict):
        parts = list(space.spaces.items()) if space.spaces.keys() == value.keys() else []
    elif isinstance(space, gymnasium.spaces.Tuple) and isinstance(value, tuple | list):
        parts = list(enumerate(space.spaces)) if len(space) == len(value) else []
    elif space.shape and space.dtype is not None:
        got = getattr(value, "dtype", type(value)), np.shape(value)
        if got != (space.dtype, space.shape):
            fail(
                "types",
                f"{name} must be of dtype and shape {space.dtype}, {space.shape}, got "
                f"{got[0]}, {got[1]}",
            )
    for key, part in parts:
        _check_inside(part, value[key], f"{name}[{key!r}]")
    if value not in space:
        fail("types", f"{name} must lie in {space}, got {short(value)}")


def _check_array(name: str, value: Any, dtypes: tuple[type, ...], *, n: int) -> None:
    if not (isinstance(value, np.ndarray) and value.dtype in dtypes and value.shape == (n,)):
        fail(
            "types",
            f"{name} must be an array of shape ({n},) and dtype "
            f"{' or '.join(t.__name__ for t in dtypes)}, got {short(value)} of dtype "
            f"{getattr(value, 'dtype', type(value))}",
        )


def _check_infos(infos: Any, n: int) -> None:
    if not isinstance(infos, dict):
        fail("types", f"infos must be a dict, got {short(infos)}")
    for name, mask in infos.items():
        if name.startswith("_") and name[1:] in infos:
            _check_array(f"the mask infos[{name!r}]", mask, (np.bool_,), n=n)


def info_of(infos: dict[str, Any], i: int) -> dict[str, Any]:
    """The info of one environment, out of those of all of them."""
    told: dict[str, Any] = {}
    for name, value in infos.items():
        if (name.startswith("_") and name[1:] in infos) or name in ("final_obs", "final_info"):
            continue
        if f"_{name}" not in infos or infos[f"_{name}"][i]:
            told[name] = info_of(value, i) if isinstance(value, dict) else value[i]
    return told


def masked(infos: dict[str, Any], i: int) -> frozenset[str]:
    """The names that masks claim for one environment."""
    names = info_of(infos, i).keys()
    return frozenset(name for name in names if f"_{name}" in infos)


def differs(event: Event, expected: Event, tolerance: float) -> str | None:
    """In what an event is not as expected; infos apart."""
    for name in ("begins", "observation", "reward", "terminated", "truncated"):
        want, got = getattr(expected, name), getattr(event, name)
        if not alike(got, want, tolerance):
            return f"step {event.call}: {name} expected {short(want)}, got {short(got)}"
    return None


def alike(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two nested values are equal, numbers to a tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            alike(one[name], other[name], tolerance) for name in one
        )
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(a, b, tolerance) for a, b in pairs)
    this, that = np.asarray(one), np.asarray(other)
    if this.shape != that.shape:
        return False
    if this.dtype.kind != "O" and np.array_equal(this, that):  # the fast way
        return True
    if this.dtype.kind in "biufc" and that.dtype.kind in "biufc":
        return bool(np.allclose(this, that, rtol=tolerance, atol=tolerance, equal_nan=True))
    if this.dtype == object and this.ndim:
        return all(alike(a, b, tolerance) for a, b in zip(this.flat, that.flat, strict=True))
    return bool(np.all(this == that))


def arrays(value: Any) -> Iterator[np.ndarray]:
    """All arrays in a nested value, those inside others first."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for part in value:
            yield from arrays(part)
    elif isinstance(value, np.ndarray):
        if value.dtype == object:
            yield from arrays(value.ravel().tolist())
        yield value


def short(value: Any) -> str:
    """A value as a message can hold it."""
    told = " ".join(repr(value).split())
    return told if len(told) <= 200 else told[:197] + "..."


_RESTART_EVERY = 3  # calls, where episodes are cut short by a `reset_mask`


class Case(NamedTuple):
    """An environment on trial.

    `apart`: each environment has a generator of its own. `base` is what they tell under
    `seed` and the actions `acts`; `others` are actions that differ.
    """

    env: VectorEnv
    seed: int
    steps: int
    tolerance: float
    apart: bool
    acts: list[list[Any]]
    others: list[list[Any]]
    base: list[Stream]


def restarting(case: Case, mask: np.ndarray) -> Callable[[int], np.ndarray] | None:
    if case.env.metadata["autoreset_mode"] is not AutoresetMode.DISABLED:
        return None
    return lambda call: mask & (call % _RESTART_EVERY == 0)


def by_clock(acts: list[list[Any]]) -> Choose:
    """One action after another, whenever episodes end."""
    return lambda i, stream: acts[i][stream.acted]


def by_age(acts: list[list[Any]]) -> Choose:
    """The same actions in every episode."""
    return lambda i, stream: acts[i][stream.age]
