"""The checker on vector environments of Gymnasium, right ones and spoilt ones, and on ours."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from plasticgym.envs import check_vector_env

MODES = list(AutoresetMode)
NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}


def in_a_loop(single, mode=SAME):
    return SyncVectorEnv([single] * 3, autoreset_mode=mode)


class Spoilt(SyncVectorEnv):
    """Right but for the arrays that it returns."""

    def __init__(self, mode):
        super().__init__([CartPoleEnv] * 3, autoreset_mode=mode)

    def reset(self, *, seed=None, options=None):
        observations, infos = super().reset(seed=seed, options=options)
        if seed is not None:
            self.given = np.zeros(3)
        return self.observed(observations), infos

    def step(self, actions):
        observations, rewards, terminations, *rest = super().step(actions)
        observations, rewards = self.observed(observations), self.rewarded(rewards)
        return observations, rewards, self.flagged(terminations), *rest

    def observed(self, observations):
        return observations

    def rewarded(self, rewards):
        return rewards

    def flagged(self, terminations):
        return terminations


class DoublePrecision(Spoilt):
    def observed(self, observations):
        return observations.astype(np.float64)


class WholeRewards(Spoilt):
    def rewarded(self, rewards):
        return rewards.astype(int)


class Batchless(Spoilt):
    def rewarded(self, rewards):
        return rewards[:, None]


class WholeFlags(Spoilt):
    def flagged(self, terminations):
        return terminations.astype(np.int8)


class OneBuffer(Spoilt):
    def observed(self, observations):
        return self._observations


class TwoBuffers(Spoilt):
    """What is returned is written to two calls later."""

    def observed(self, observations):
        self.buffers = getattr(self, "buffers", [np.zeros_like(observations) for _ in "ab"])
        self.buffers.reverse()
        self.buffers[0][:] = observations
        return self.buffers[0]


class ReadsWhatItGave(Spoilt):
    """Looks into the rewards that it returned."""

    def rewarded(self, rewards):
        self.given = rewards + 0.1 * np.tanh(self.given)
        return self.given


FAULTS = [
    (DoublePrecision, MODES, "types: observations .* float32, .* got float64"),
    (WholeRewards, MODES, "types: rewards .* got .*int64"),
    (WholeFlags, MODES, "types: terminations .* bool"),
    (Batchless, MODES, r"types: rewards .* shape \(3,\)"),
    (OneBuffer, MODES, "memory: "),
    (TwoBuffers, MODES, "memory: "),
    (ReadsWhatItGave, [SAME, DISABLED], "memory: "),
]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_spoilt_passes(mode):
    check_vector_env(Spoilt(mode), single=CartPoleEnv, steps=60)


@pytest.mark.parametrize(
    ("fault", "mode", "match"),
    [(fault, mode, match) for fault, modes, match in FAULTS for mode in modes],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")),
)
def test_faults_of_types_and_memory_are_caught(fault, mode, match):
    with pytest.raises(AssertionError, match=match):
        check_vector_env(fault(mode), single=CartPoleEnv, steps=60)


def test_views_of_one_buffer_are_told():
    envs = SyncVectorEnv([CartPoleEnv] * 2, copy=False)
    with pytest.raises(AssertionError, match="memory: "):
        check_vector_env(envs, single=CartPoleEnv)


@pytest.mark.parametrize("mode", MODES)
def test_no_false_alarm_in_a_loop(mode):
    kwargs = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    check_vector_env(gymnasium.make_vec("CartPole-v1", num_envs=3, **kwargs))
    short = gymnasium.make_vec("Pendulum-v1", num_envs=3, max_episode_steps=7, **kwargs)
    check_vector_env(short, steps=20)
    clocks = {"wrappers": [gymnasium.wrappers.RecordEpisodeStatistics], **kwargs}
    check_vector_env(gymnasium.make_vec("CartPole-v1", num_envs=2, **clocks), steps=60)


@pytest.mark.parametrize("id", ["FrozenLake-v1", "Blackjack-v1"])
def test_no_false_alarm_on_few_worlds(id):
    single = functools.partial(gymnasium.make, id, max_episode_steps=10)
    with pytest.warns(UserWarning, match="pass `single`"):
        check_vector_env(in_a_loop(single), steps=25)
    check_vector_env(in_a_loop(single), steps=25, single=single)


@pytest.mark.parametrize("num_envs", [1, 4])
def test_no_false_alarm_on_one_generator(num_envs):
    kwargs = {"num_envs": num_envs, "vectorization_mode": "vector_entry_point"}
    check_vector_env(gymnasium.make_vec("CartPole-v1", **kwargs))


def test_a_deterministic_environment_may_repeat_its_world():
    class Fixed(CartPoleEnv):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.np_random = np.random.default_rng(0)
            self.state = np.zeros(4)
            return np.zeros(4, np.float32), {}

    with pytest.warns(UserWarning, match="pass `single`"):
        check_vector_env(in_a_loop(Fixed), steps=60)
    check_vector_env(in_a_loop(Fixed), single=Fixed, steps=60)


def test_a_world_that_a_single_environment_repeats_may_repeat():
    class Level(CartPoleEnv):
        def reset(self, *, seed=None, options=None):
            self.level = self.level if seed is None else seed
            return super().reset(seed=self.level)

    check_vector_env(in_a_loop(Level), single=Level, steps=60)


def test_seeds_that_make_no_difference_are_told():
    class Course(CartPoleEnv):
        """Each episode is harder, whatever the seed."""

        def reset(self, *, seed=None, options=None):
            self.level = 0 if seed is not None else self.level + 1
            return super().reset(seed=self.level)

    with (
        pytest.warns(UserWarning, match="pass `single`"),
        pytest.warns(UserWarning, match="all seeds give the same"),
    ):
        check_vector_env(in_a_loop(Course), steps=60)


@pytest.mark.parametrize("mode", MODES)
def test_observations_may_be_nested(mode):
    class Nested(gymnasium.ObservationWrapper):
        def __init__(self):
            super().__init__(CartPoleEnv())
            place = spaces.Box(-99.0, 99.0, (1,), np.float32)
            parts = {"place": place, "more": spaces.Tuple([place, spaces.Discrete(3)])}
            self.observation_space = spaces.Dict(parts)

        def observation(self, observation):
            return {"place": observation[:1], "more": (observation[2:3], np.int64(1))}

    check_vector_env(in_a_loop(Nested, mode), single=Nested, steps=60)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("steering", [{}, {"rule": "sgd", "presentations_per_action": 2}])
def test_ours_keep_the_laws(mode, steering):
    envs = gymnasium.make_vec(
        "plasticgym/Xor-v0", num_envs=3, autoreset_mode=mode, **SMALL, **steering
    )
    check_vector_env(envs, steps=15)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [SAME, NEXT])
def test_ours_live_in_processes_of_their_own(mode):
    """JAX has threads, which a forked process would lose: it is spawned."""
    envs = gymnasium.make_vec(
        "plasticgym/Xor-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn", "autoreset_mode": mode},
        rule="sgd",
        presentations_per_action=2,
        **SMALL,
    )
    check_vector_env(envs, steps=15)
    envs.close()
