import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces.utils import is_space_dtype_shape_equiv
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from ..rules._check_sizes import check_sizes
from ._check_vector_env_play import (
    Case,
    Stream,
    alike,
    arrays,
    by_clock,
    check_kept,
    differs,
    fail,
    play,
    reset,
    restarting,
    short,
)
from ._check_vector_env_worlds import law_equal_to_single, law_new_worlds, registered, warn


def check_vector_env(
    env: VectorEnv,
    *,
    seed: int = 0,
    steps: int = 100,
    single: Callable[[], gymnasium.Env] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Checks that a vector environment keeps the laws of Gymnasium, in its autoreset mode.

    What `gymnasium.utils.env_checker.check_env` is for one environment, for any
    `gymnasium.vector.VectorEnv`. It plays with random actions and demands

    - spaces and types: batched and single spaces agree; observations lie in them, with
      their dtype and shape; rewards, flags and masks are arrays of one entry each;
    - the mode, an `AutoresetMode`: NEXT_STEP ignores the action after an end, gives reward
      0 and begins anew; SAME_STEP shows the new episode and tells the end of the old one
      in `final_obs` and `final_info`, with masks; DISABLED resets whom `reset_mask` says;
    - memory: nothing returned is written to later, or read, by the environment;
    - seeds: the same seed gives the same again; a whole number s is s, s + 1, ...;
    - isolation: acting differently in some environments, seeding or resetting them,
      changes no other one;
    - new worlds: an episode that follows another, by itself or after `reset()`, is not the
      same again, where resets are random;
    - equality with single environments under the same seeds and actions, over the ends
      of episodes and after `reset()`: observations, rewards, flags and infos, apart from
      those that differ between two single ones, such as clocks.

    Where episodes are all equally long, those of NEXT_STEP and SAME_STEP end together, and
    no trial shows whether an automatic reset changes an environment in mid-episode.

    Environments that share one generator, such as Gymnasium's `CartPoleVectorEnv`, are
    known by a `np_random_seed` that is not one per environment. Seeds by environment are
    not asked of them, nor equality with single ones unless you pass `single`, and their
    isolation is checked up to the first end of an episode. Of an environment registered as
    `nondeterministic` only spaces, types and the mode are checked.

    Args:
        env: the environment; it is reset, stepped, and left open. A small number of
            environments, such as three, shows what a large one would.
        seed: the first of the seeds.
        steps: how many steps each trial takes; episodes should end within them.
        single: makes the single environment that each of them must equal. By default
            `gymnasium.make` makes it from `env.spec`, if there is one, no wrapper is
            around `env`, and each environment has its own generator.
        tolerance: how far numbers may differ, absolute and relative.

    Raises:
        AssertionError: if a law does not hold; it names the law, the environment, and what
            was expected and found.
        TypeError: if `env` is no `gymnasium.vector.VectorEnv`.

    Warns:
        UserWarning: if no episode ended, if seeds make no difference where episodes do, or
            if there was nothing to compare with.

    !!! example

        ```python
        >>> import gymnasium, plasticgym
        >>> envs = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
        >>> plasticgym.envs.check_vector_env(envs)

        ```
    """
    if not isinstance(env, VectorEnv):
        raise TypeError(f"`env` must be a `gymnasium.vector.VectorEnv`, got {type(env)}.")
    check_sizes(steps=steps)
    _law_spaces(env)
    _law_mode(env)
    acts, others = _draw_actions(env, seed, steps)
    base = play(env, {"seed": seed}, by_clock(acts), steps=steps)
    apart = single is not None or np.shape(np.asarray(env.np_random_seed)) == (env.num_envs,)
    case = Case(env, seed, steps, tolerance, apart, acts, others, base)
    if not any(event.over for stream in base for event in stream.events):
        warn(f"no episode ended within `steps`={steps}: what happens then was not checked")
    if env.spec is not None and env.spec.nondeterministic:
        return
    for law in (_law_same_seed, _law_memory, _law_seed_per_environment, _law_isolation):
        law(case)
    for law in (_law_ignored_action, _law_reset_mask, _law_final_observation):
        law(case)
    if single is None and apart:
        single = registered(env)
    if single is None:
        law_new_worlds(case)
    else:
        law_equal_to_single(case, single)


def _law_spaces(env: VectorEnv) -> None:
    batched = batch_space(env.single_observation_space, env.num_envs)
    if not is_space_dtype_shape_equiv(batched, env.observation_space):
        fail(
            "spaces",
            f"`observation_space` must have the shape and dtype of {batched}, "
            f"got {env.observation_space}",
        )
    batched = batch_space(env.single_action_space, env.num_envs)
    if batched != env.action_space:
        fail("spaces", f"`action_space` must be {batched}, got {env.action_space}")


def _law_mode(env: VectorEnv) -> None:
    mode = env.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        fail("mode", f'`metadata["autoreset_mode"]` must be an `AutoresetMode`, got {mode!r}')


def _law_same_seed(case: Case) -> None:
    again = play(case.env, {"seed": case.seed}, by_clock(case.acts), steps=case.steps)
    _demand_same(case, again, f"same seed: {case.seed} and the same actions, played again")


def _law_memory(case: Case) -> None:
    """What was returned is overwritten at once, and nothing else changes."""
    vandal = _Vandal(case.env)
    try:
        streams = play(vandal, {"seed": case.seed}, by_clock(case.acts), steps=case.steps)
        vandal.check_untouched()
        _demand_same(case, streams, "returned arrays overwritten by their owner")
    except Exception as error:
        raise AssertionError(f"memory: {error}") from error


def _law_seed_per_environment(case: Case) -> None:
    """A whole number s means s, s + 1, and so on."""
    if case.apart:
        listed = play(case.env, {"seed": _seeds(case)}, by_clock(case.acts), steps=case.steps)
        _demand_same(case, listed, f"seeds: {_seeds(case)} in place of {case.seed}")


def _law_isolation(case: Case) -> None:
    """Others are seeded, acted in, and reset differently: who is not, tells the same."""
    for mask in _halves(case.env.num_envs):
        seeds = [s + 1000 * bool(m) for s, m in zip(_seeds(case), mask, strict=True)]
        tables = [(case.acts, case.others)[m][i] for i, m in enumerate(mask.astype(int))]
        streams = play(
            case.env,
            {"seed": seeds if case.apart else case.seed},
            by_clock(tables),
            steps=case.steps,
            restart=restarting(case, mask),
        )
        # One generator for all is drawn from in another order once an episode ends.
        until = None if case.apart else _first_end(case.base + streams)
        changed = f"isolation: acting otherwise in {np.flatnonzero(mask)}"
        _demand_same(case, streams, changed, who=np.flatnonzero(~mask), until=until)


def _law_ignored_action(case: Case) -> None:
    """NEXT_STEP takes no notice of the action after an end."""
    if case.env.metadata["autoreset_mode"] is not AutoresetMode.NEXT_STEP:
        return

    def choose(i: int, stream: Stream) -> Any:
        table = case.others if stream.over else case.acts
        return table[i][stream.acted]

    streams = play(case.env, {"seed": case.seed}, choose, steps=case.steps)
    _demand_same(case, streams, "NEXT_STEP: another action in the steps that must ignore it")


def _law_reset_mask(case: Case) -> None:
    """DISABLED resets all whom `reset_mask` says, with their seeds, and nobody else."""
    env, n = case.env, case.env.num_envs
    if env.metadata["autoreset_mode"] is not AutoresetMode.DISABLED:
        return
    seeds = [s + 1000 for s in _seeds(case)] if case.apart else case.seed + 1000
    fresh = play(env, {"seed": seeds}, by_clock(case.acts), steps=0)
    for mask in (*(_halves(n) if case.apart else ()), np.ones(n, bool)):
        before = play(env, {"seed": case.seed}, by_clock(case.acts), steps=2)
        shown, _ = reset(env, seed=seeds, options={"reset_mask": mask.copy()})
        for i in np.flatnonzero(~mask).tolist():
            check_kept(i, before[i].events[-1].observation, shown[i])
        for i in np.flatnonzero(mask).tolist():
            want = fresh[i].events[0].observation
            if not alike(shown[i], want, case.tolerance):
                fail(
                    "reset_mask",
                    f"environment {i} is in the mask and must begin anew: expected "
                    f"{short(want)}, got {short(shown[i])}",
                )


def _law_final_observation(case: Case) -> None:
    """SAME_STEP: `final_obs` is not what is shown already, of the new episode."""
    if case.env.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
        return
    for i, stream in enumerate(case.base):
        ends = [
            (old[-1].observation, new[0].observation)
            for old, new in itertools.pairwise(stream.episodes())
            if not alike(old[0].observation, new[0].observation, 0.0)
        ]
        if ends and all(alike(last, shown, 0.0) for last, shown in ends):
            fail(
                "SAME_STEP",
                f'infos["final_obs"] of environment {i} is always the first of the '
                f"new episode, as in {short(ends[:1])}, and must be the last of the old one",
            )


def _demand_same(
    case: Case,
    streams: list[Stream],
    law: str,
    *,
    who: Any = None,
    until: int | None = None,
) -> None:
    """The environments `who` tell what they did in the base trial, before call `until`."""
    for i in range(len(streams)) if who is None else who:
        pairs = zip(streams[i].events, case.base[i].events, strict=False)
        for event, expected in pairs:
            if until is not None and expected.call >= until:
                break
            wrong = differs(event, expected, case.tolerance)
            if wrong is not None:
                fail(law, f"environment {i}, {wrong}")


def _first_end(streams: list[Stream]) -> int | None:
    """The first call in which an episode begins after another."""
    later = (event.call for stream in streams for event in stream.events[1:] if event.begins)
    return min(later, default=None)


def _seeds(case: Case) -> list[int]:
    return [case.seed + i for i in range(case.env.num_envs)]


def _halves(n: int) -> Iterator[np.ndarray]:
    """Masks such that, for any two of `n`, one has the first of them without the second."""
    for bit in range((n - 1).bit_length()):
        mask = (np.arange(n) >> bit) % 2 == 1
        yield mask
        yield ~mask


def _draw_actions(
    env: VectorEnv, seed: int, steps: int
) -> tuple[list[list[Any]], list[list[Any]]]:
    """For each environment, an action for every step and a few more; others that differ."""
    space = copy.deepcopy(env.single_action_space)
    space.seed(seed)
    acts = [[space.sample() for _ in range(steps + 4)] for _ in range(env.num_envs)]
    return acts, [[_another(space, act) for act in row] for row in acts]


def _another(space: gymnasium.Space, act: Any) -> Any:
    """An action that differs, unless there seems to be none."""
    other = act
    for _ in range(20):
        other = space.sample()
        if not alike(act, other, 0.0):
            break
    return other


class _Vandal(VectorWrapper):
    """Overwrites what is returned, after handing on a copy, and the actions that were taken."""

    def __init__(self, env: VectorEnv):
        super().__init__(env)
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []  # overwritten, as it should stay

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        return self._spoil(self.env.reset(seed=seed, options=options))

    def step(self, actions: Any) -> Any:
        taken = copy.deepcopy(actions)
        returned = self.env.step(taken)
        if not alike(taken, actions, 0.0):
            fail("actions", "`step` must not write to them")
        copied = self._spoil(returned)
        _overwrite(taken)
        return copied

    def _spoil(self, returned: Any) -> Any:
        copied, new = copy.deepcopy(returned), list(arrays(returned))
        for (old, _), array in itertools.product(self._kept, new):
            shared = np.shares_memory(old, array)
            if shared:
                fail("sharing", f"two calls returned one memory, {short(copied)}")
        _overwrite(returned)
        self._kept += [(array, array.copy()) for array in new]
        return copied

    def check_untouched(self) -> None:
        for array, wanted in self._kept:
            untouched = alike(array, wanted, 0.0)
            if not untouched:
                fail("writing", f"an array was written to later, {short(array)}")


def _overwrite(value: Any) -> None:
    for array in arrays(value):
        if not array.flags.writeable:
            continue
        if array.dtype == bool:
            array[...] = ~array
        elif array.dtype.kind in "iufc":
            array[...] = 77
        elif array.dtype == object:
            array[...] = None
