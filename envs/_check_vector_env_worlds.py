import copy
import itertools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from ._check_vector_env_play import (
    Case,
    Choose,
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


class _Told(NamedTuple):
    """What was told after a reset; `after` names one that had no seed."""

    after: str
    streams: list[Stream]


def _resets(case: Case, choose: Choose) -> list[_Told]:
    """Resets without a seed, one after the other from where the environment stands."""
    told = []
    for name, asked in (("`reset()`", {}), ("`reset(options={})`", {"options": {}})):
        try:
            streams = play(case.env, asked, choose, steps=_OPENING - 1)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"reset: {name} must begin new episodes; it, or a step after it, raised "
                f"{error!r}"
            ) from error
        told.append(_Told(f", after {name}", streams))
    return told


def law_equal_to_single(case: Case, single: Callable[[], gymnasium.Env]) -> None:
    """Each environment tells what a single one does, with its seed and its actions."""
    env, seeded, choose = case.env, {"seed": case.seed}, by_clock(case.acts)
    # A reset right after an end has most to undo.
    ends = [event.call for stream in case.base for event in stream.events if event.over]
    steps = min(ends, default=case.steps)
    until_end = play(env, seeded, choose, steps=steps)
    trials = [[_Told("", case.base)], [_Told("", until_end), *_resets(case, choose)]]
    if env.metadata["autoreset_mode"] is AutoresetMode.DISABLED:
        cut = restarting(case, np.arange(env.num_envs) % 2 == 0)
        streams = play(env, seeded, choose, steps=case.steps, restart=cut)
        trials.append([_Told("", streams)])
    pair = single(), single()  # what they disagree about is not to be expected of others
    try:
        for trial, i in itertools.product(trials, range(env.num_envs)):
            _demand_like_single(case, i, trial, pair=pair)
    finally:
        for each in pair:
            each.close()


def _demand_like_single(
    case: Case, i: int, trial: list[_Told], *, pair: tuple[gymnasium.Env, gymnasium.Env]
) -> None:
    """The single environments are seeded once, at the first reset of the trial."""
    seed, moments = case.seed + i, []
    for told in trial:
        acts = iter(case.acts[i])
        for event in told.streams[i].events:
            act = None if event.begins else next(acts)
            expected, twin = [_follow(env, event, act, seed=seed) for env in pair]
            seed = None
            moments.append((told.after, event, expected, twin.info))
    # What two single ones ever tell differently, such as a clock, may be alike by chance.
    unsure = set()
    for *_, expected, other in moments:
        unsure |= expected.info.keys() - _agreed(expected.info, other).keys()
    for after, event, expected, other in moments:
        wrong = differs(event, expected, case.tolerance) or _misinforms(
            event, expected.info, other, unsure=unsure, tolerance=case.tolerance
        )
        if wrong is not None:
            fail("single", f"environment {i} under seed {case.seed + i}{after}, {wrong}")


def _follow(env: gymnasium.Env, event: Event, act: Any, *, seed: int | None) -> Event:
    """The event of a single environment where a vector had `event`."""
    if event.begins:
        return Event(event.call, *copy.deepcopy(env.reset(seed=seed)))
    observation, reward, terminated, truncated, info = env.step(copy.deepcopy(act))
    told = copy.deepcopy((observation, info))
    return Event(event.call, *told, float(reward), bool(terminated), bool(truncated))


def _misinforms(
    event: Event,
    one: dict[str, Any],
    other: dict[str, Any],
    *,
    unsure: set[str],
    tolerance: float,
) -> str | None:
    """In what an info is not as two single environments tell it."""
    claimed = event.masked - one.keys() - other.keys()
    if claimed:
        return f"step {event.call}: a mask claims {sorted(claimed)}, a single one tells none"
    sure = {name: one[name] for name in one.keys() - unsure}
    told = {name: value for name, value in event.info.items() if name in sure}
    lost = sure.keys() - told.keys() if event.over else set()
    if lost:
        return f"step {event.call}: info at the end lacks {sorted(lost)}"
    wanted = {name: _as_batched(sure[name], told[name]) for name in told}
    if not alike(told, wanted, tolerance):
        return f"step {event.call}: info expected {short(wanted)}, got {short(told)}"
    return None


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
    env, n, choose = case.env, case.env.num_envs, by_age(case.acts)
    streams = play(env, {"seed": case.seed}, choose, steps=case.steps)
    again = [_resets(case, choose) for _ in range(2)]  # one may repeat by chance
    drawn = [
        play(env, {"seed": case.seed + 1000 + k * n}, choose, steps=_OPENING - 1)
        for k in range(_DRAWS)
    ]
    ignored = []
    for i, stream in enumerate(streams):
        openings = _openings(stream)
        if len(openings[-1]) < _OPENING and not openings[-1][-1].over:
            del openings[-1]  # cut short by the end of the trial
        repeated = [
            any(_alike(one, another) for another in openings[:k])
            for k, one in enumerate(openings)
        ][1:]
        seeded = [_openings(draw[i])[0] for draw in drawn]
        pairs = [_alike(one, other) for one, other in itertools.combinations(seeded, 2)]
        if repeated and all(repeated) and not any(pairs):
            fail(
                "new worlds",
                f"environment {i}: each new episode repeats an earlier one, beginning with "
                f"{short(openings[0][0].observation)}, and {_DRAWS} seeds all gave others",
            )
        _demand_new(i, [told for each in again for told in each], stream, seeded=seeded)
        ignored.append(all(pairs) and not all(repeated))
    if all(ignored):
        warn("all seeds give the same first episode, though later ones differ")


def _demand_new(i: int, again: list[_Told], stream: Stream, *, seeded: list[Any]) -> None:
    """Resets without a seed, which followed `stream`, begin, and begin something new."""
    earlier, before = _openings(stream), stream.events[-1].observation
    repeats: dict[str, list[bool]] = {}
    stays: dict[str, list[bool]] = {}
    for after, streams in again:
        opening = _openings(streams[i])[0]
        repeat = any(_alike(opening, another) for another in earlier)
        repeats.setdefault(after, []).append(repeat)
        stay = alike(opening[0].observation, before, 0.0)
        stays.setdefault(after, []).append(stay)
        earlier.append(opening)
        before = streams[i].events[-1].observation
    for told, events, wrong in (
        (repeats, _OPENING, "each new episode repeats an earlier one"),
        (stays, 1, "what is shown is what was shown before"),
    ):
        pairs = itertools.combinations([opening[:events] for opening in seeded], 2)
        if any(_alike(one, other) for one, other in pairs):
            continue
        for after in told:
            if all(told[after]):
                fail(
                    "new worlds",
                    f"environment {i}{after}: {wrong}, and {_DRAWS} seeds all gave others",
                )


def _openings(stream: Stream) -> list[list[Event]]:
    return [events[:_OPENING] for events in stream.episodes()]


def _alike(one: list[Event], other: list[Event]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(differs(a, b, 0.0) is None for a, b in pairs)


def registered(env: VectorEnv) -> Callable[[], gymnasium.Env] | None:
    """What makes the single environment of a spec; a warning if that cannot be done."""
    if env.spec is None or env.unwrapped is not env:
        warn("there is no single environment to compare with: pass `single`")
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
    except Exception as error:
        warn(f"the single {spec.id} cannot be made, pass `single`; it raised {error!r}")
        return None
    return single


def warn(told: str) -> None:
    warnings.warn(f"check_vector_env: {told}", stacklevel=3)
