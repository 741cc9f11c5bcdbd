import copy
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from ._vector_play import (
    Case,
    Event,
    Stream,
    alike,
    by_age,
    by_clock,
    differs,
    fail,
    play,
    restarting,
    short,
)

_DRAWS = 24  # seeds by which it is judged whether worlds are drawn at random
_OPENING = 4  # observations by which two worlds are told apart


def law_equal_to_single(case: Case, single: Callable[[], gymnasium.Env]) -> None:
    """Each environment tells what a single one does, with its seed and its actions."""
    trials = [case.base]
    if case.env.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
        evens = np.arange(case.env.num_envs) % 2 == 0
        cut = restarting(case, evens)
        choose = by_clock(case.acts)
        trials.append(play(case.env, case.seed, choose, steps=case.steps, restart=cut))
    pair = single(), single()  # what they disagree about is not to be expected of others
    try:
        for streams in trials:
            for i, stream in enumerate(streams):
                _demand_like_single(case, i, stream, pair)
    finally:
        for env in pair:
            env.close()


def _demand_like_single(
    case: Case, i: int, stream: Stream, pair: tuple[gymnasium.Env, gymnasium.Env]
) -> None:
    acts = iter(case.acts[i])
    for k, event in enumerate(stream.events):
        seed = case.seed + i if k == 0 else None
        act = None if event.begins else next(acts)
        expected, twin = (_follow(env, event, act, seed) for env in pair)
        where = f"single: environment {i} under seed {case.seed + i}"
        wrong = differs(event, expected, case.tolerance)
        if wrong is not None:
            fail(where, str(wrong))
        sure = _agreed(expected.info, twin.info)
        told = {name: value for name, value in event.info.items() if name in sure}
        lost = sure.keys() - told.keys() if event.over else set()
        if lost:
            fail(where, f"step {event.call}: info at the end lacks {sorted(lost)}")
        wanted = {name: _as_batched(sure[name], told[name]) for name in told}
        if not alike(told, wanted, case.tolerance):
            fail(where, f"step {event.call}: info expected {short(wanted)}, got {short(told)}")


def _follow(env: gymnasium.Env, event: Event, act: Any, seed: int | None) -> Event:
    """The event of a single environment where a vector had `event`."""
    if event.begins:
        return Event(event.call, *copy.deepcopy(env.reset(seed=seed)))
    observation, reward, terminated, truncated, info = env.step(copy.deepcopy(act))
    told = copy.deepcopy((observation, info))
    return Event(event.call, *told, float(reward), bool(terminated), bool(truncated))


def _as_batched(want: Any, got: Any) -> Any:
    """A number in the dtype of the batch: Gymnasium takes that of the first environment."""
    if isinstance(got, np.integer | np.bool_) and isinstance(want, float):
        return got.dtype.type(want)
    return want


def _agreed(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What two infos have in common."""
    return {name: one[name] for name in one if alike(one[name], other.get(name), 0.0)}


def law_new_worlds(case: Case) -> None:
    """An episode that follows others repeats none, if seeds never give the same twice."""
    env, n = case.env, case.env.num_envs
    streams = play(env, case.seed, by_age(case.acts), steps=case.steps)
    drawn = [
        play(env, case.seed + 1000 + k * n, by_age(case.acts), steps=_OPENING - 1)
        for k in range(_DRAWS)
    ]
    ignored = []
    for i, stream in enumerate(streams):
        openings = [events[:_OPENING] for events in stream.episodes()]
        if len(openings[-1]) < _OPENING and not openings[-1][-1].over:
            del openings[-1]  # cut short by the end of the trial
        repeated = [
            any(_alike(one, another) for another in openings[:k])
            for k, one in enumerate(openings)
        ][1:]
        seeded = [draw[i].episodes()[0][:_OPENING] for draw in drawn]
        pairs = [_alike(one, other) for one, other in itertools.combinations(seeded, 2)]
        if repeated and all(repeated) and not any(pairs):
            fail(
                "new worlds",
                f"environment {i}: each new episode repeats an earlier one, beginning with "
                f"{short(openings[0][0].observation)}, and {_DRAWS} seeds all gave others",
            )
        ignored.append(all(pairs) and not all(repeated))
    if all(ignored):
        warn("all seeds give the same first episode, though later ones differ")


def _alike(one: list[Event], other: list[Event]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(differs(a, b, 0.0) is None for a, b in pairs)


def registered(env: VectorEnv, apart: bool) -> Callable[[], gymnasium.Env] | None:
    """What makes the single environment of a spec, if that can be done."""
    if env.spec is None or env.unwrapped is not env or not apart:
        return None
    spec = copy.deepcopy(env.spec)
    wrappers = spec.kwargs.pop("wrappers", ())
    limit = spec.kwargs.pop("max_episode_steps", None)
    # What is meant for the vector alone.
    for name in ("num_envs", "vectorization_mode", "vector_kwargs", "autoreset_mode"):
        spec.kwargs.pop(name, None)

    def single() -> gymnasium.Env:
        made = gymnasium.make(spec, max_episode_steps=limit)
        for wrapper in wrappers:
            made = wrapper(made)
        return made

    try:
        single().close()
    except Exception:
        return None
    return single


def warn(told: str) -> None:
    warnings.warn(f"check_vector_env: {told}", stacklevel=3)
