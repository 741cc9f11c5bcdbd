"""The checker of vector environments: it finds planted faults and gives no false alarm."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from plasticgym.envs._check_vector_env import check_vector_env

MODES = list(AutoresetMode)
NEXT, SAME, DISABLED = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


class Walk(gymnasium.Env):
    """A walk with a drift drawn at reset, which ends beyond 1 or after nine steps."""

    observation_space = spaces.Box(-9.0, 9.0, (2,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.drift, self.place = self.np_random.uniform(-0.1, 0.1, 2)
        self.age = 0
        return self.see(), {"drift": self.drift}

    def step(self, action):
        self.place += self.drift + 0.4 * float(action[0]) + 0.1 * self.np_random.normal()
        self.age += 1
        terminated, truncated = abs(self.place) > 1, self.age >= 9
        reward = self.drift * self.place + 5.0 * terminated
        info = {"age": self.age} if terminated or truncated else {}
        return self.see(), float(reward), bool(terminated), bool(truncated), info

    def see(self):
        return np.array([self.place, self.drift], np.float32)


class Walks(VectorEnv):
    """Walks in every mode; the tests plant faults in its small methods."""

    def __init__(self, mode=SAME, single=Walk, num_envs=3):
        self.mode, self.num_envs = mode, num_envs
        self.metadata = {"autoreset_mode": mode}
        self.walks = [single() for _ in range(num_envs)]
        self.single_observation_space = self.walks[0].observation_space
        self.single_action_space = self.walks[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.shown = np.zeros((num_envs, 2), np.float32)
        self.done = np.zeros(num_envs, bool)

    @property
    def np_random_seed(self):
        return tuple(walk.np_random_seed for walk in self.walks)

    def reset(self, *, seed=None, options=None):
        mask = self.masked(options or {})
        infos = {}
        for i in np.flatnonzero(mask):
            infos = self._add_info(infos, self.begin(i, self.seeds(seed)[i]), i)
        self.done = self.done & ~mask
        return self.observed(), infos

    def step(self, actions):
        rewards, flags, infos = np.zeros(self.num_envs), np.zeros((2, self.num_envs), bool), {}
        for i, walk in enumerate(self.walks):
            if self.done[i]:
                info = self.begin_next(i, actions[i])
            else:
                before = self.shown[i].copy()
                self.shown[i], rewards[i], *flags[:, i], info = walk.step(actions[i])
                if flags[:, i].any():
                    rewards[i] = self.last_reward(rewards[i])
                    info = self.end(i, before, info)
            infos = self._add_info(infos, info, i)
        over = flags.any(0)
        self.done = over & (self.mode is not SAME)
        self.mask(infos, over)
        return self.observed(), self.rewarded(rewards), *flags, infos

    def end(self, i, before, info):
        if self.mode is not SAME:
            return info
        last = self.shown[i].copy()
        told = self.begin(i)
        return {"final_obs": self.last(i, before, last), "final_info": info, **told}

    def begin(self, i, seed=None):
        self.shown[i], info = self.walks[i].reset(seed=seed)
        return info

    def begin_next(self, i, action):
        return self.begin(i)

    def seeds(self, seed):
        if seed is None:
            return [None] * self.num_envs
        return [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed

    def masked(self, options):
        return options.get("reset_mask", np.ones(self.num_envs, bool))

    def observed(self):
        return self.shown.copy()

    def rewarded(self, rewards):
        return rewards

    def last_reward(self, reward):
        return reward

    def last(self, i, before, last):
        return last

    def mask(self, infos, over):
        pass


class FinalIsPrevious(Walks):
    def last(self, i, before, last):
        return before


class FinalIsNext(Walks):
    def last(self, i, before, last):
        return self.shown[i].copy()


class MaskOfAll(Walks):
    def mask(self, infos, over):
        if over.any():
            infos["_final_obs"] = np.ones_like(over)


class MaskOfNeighbour(Walks):
    def mask(self, infos, over):
        if over.any():
            infos["_final_info"] = np.roll(over, 1)


class MaskWithin(Walks):
    def mask(self, infos, over):
        if over.any():
            infos["final_info"]["_age"] = np.ones_like(over)


class NoFinalInfo(Walks):
    def mask(self, infos, over):
        if over.any():
            del infos["final_info"], infos["_final_info"]


class EmptyFinalInfo(Walks):
    def mask(self, infos, over):
        if over.any():
            infos["final_info"] = {}


class TouchesNeighbour(Walks):
    def begin(self, i, seed=None):
        info = super().begin(i, seed)
        if seed is None:
            self.walks[(i + 1) % self.num_envs].place = 0.0
        return info


class DrawsOfNeighbour(Walks):
    def begin(self, i, seed=None):
        if seed is None:
            self.walks[i - 1].np_random.normal()
        return super().begin(i, seed)


class SameWorld(Walks):
    def begin(self, i, seed=None):
        self.kept = {**getattr(self, "kept", {})}
        if seed is not None:
            self.kept[i] = seed
        return super().begin(i, self.kept[i])


class ResetRepeats(Walks):
    """A reset without a seed takes the last one; automatic resets draw new worlds."""

    def reset(self, *, seed=None, options=None):
        if "reset_mask" not in (options or {}):
            seed = self.kept = getattr(self, "kept", 0) if seed is None else seed
        return super().reset(seed=seed, options=options)


class ResetDoesNothing(Walks):
    def reset(self, *, seed=None, options=None):
        if seed is None and "reset_mask" not in (options or {}):
            return self.observed(), {}
        return super().reset(seed=seed, options=options)


class ResetRefusesNoOptions(Walks):
    def reset(self, *, seed=None, options=None):
        if options == {}:
            raise ValueError("no options")
        return super().reset(seed=seed, options=options)


class ResetForgetsTheEnd(Walks):
    """In NEXT_STEP the step after a reset begins one episode more."""

    def reset(self, *, seed=None, options=None):
        done = self.done
        returned = super().reset(seed=seed, options=options)
        if seed is None:
            self.done = done
        return returned


class ClaimsForAll(Walks):
    def mask(self, infos, over):
        if over.any():
            infos["_age"] = np.ones_like(over)


class Acts(Walks):
    def begin_next(self, i, action):
        info = super().begin_next(i, action)
        self.shown[i] = self.walks[i].step(action)[0]
        return info


class ActsUnseen(Walks):
    def begin_next(self, i, action):
        info = super().begin_next(i, action)
        self.walks[i].place += float(action[0])
        return info


class PaysForReset(Walks):
    def begin_next(self, i, action):
        self.paid = True
        return super().begin_next(i, action)

    def rewarded(self, rewards):
        paid, self.paid = getattr(self, "paid", False), False
        return np.where(rewards == 0, float(paid), rewards)


class SeedOffByOne(Walks):
    def seeds(self, seed):
        return [None if s is None else s + 1 for s in super().seeds(seed)]


class OneSeedForAll(Walks):
    def seeds(self, seed):
        return [seed] * self.num_envs if isinstance(seed, int) else super().seeds(seed)


class SeedIgnored(Walks):
    def seeds(self, seed):
        return [None] * self.num_envs


class RewardLost(Walks):
    def last_reward(self, reward):
        return 0.0


class ResetsAll(Walks):
    def masked(self, options):
        return np.ones(self.num_envs, bool)


class ResetsOnlyWhoIsOver(Walks):
    def masked(self, options):
        mask = super().masked(options)
        return mask & self.done if "reset_mask" in options else mask


FAULTS = [
    (FinalIsPrevious, [SAME], "single: environment"),
    (FinalIsNext, [SAME], "SAME_STEP: .*final_obs"),
    (MaskOfAll, [SAME], 'SAME_STEP: the mask "_final_obs"'),
    (MaskOfNeighbour, [SAME], 'SAME_STEP: the mask "_final_info"'),
    (MaskWithin, [SAME], "SAME_STEP: the mask '_age'"),
    (NoFinalInfo, [SAME], "SAME_STEP: .*lack 'final_info'"),
    (EmptyFinalInfo, [SAME], r"single: .*lacks \['age'\]"),
    (TouchesNeighbour, MODES, "isolation: "),
    (DrawsOfNeighbour, MODES, "isolation: "),
    (SameWorld, MODES, "single: environment"),
    (ResetRepeats, MODES, r"single: .*after `reset\(\)`, step 0: observation"),
    (ResetDoesNothing, MODES, r"single: .*after `reset\(\)`, step 0: observation"),
    (ResetRefusesNoOptions, MODES, r"reset: `reset\(options=\{\}\)` must .*'no options'"),
    (ResetForgetsTheEnd, [NEXT], r"single: .*after `reset\(\)`, step [1-3]: "),
    (ClaimsForAll, [NEXT, DISABLED], r"single: .*a mask claims \['age'\]"),
    (Acts, [NEXT], "NEXT_STEP: another action"),
    (ActsUnseen, [NEXT], "NEXT_STEP: another action"),
    (PaysForReset, [NEXT], "NEXT_STEP: .*reward must be 0"),
    (SeedOffByOne, MODES, "single: environment 0 under seed 0"),
    (OneSeedForAll, MODES, "seeds: "),
    (SeedIgnored, MODES, "same seed: "),
    (RewardLost, MODES, "single: .*reward expected"),
    (ResetsAll, [DISABLED], "reset_mask: .*not in the mask"),
    (ResetsOnlyWhoIsOver, [DISABLED], "reset_mask: .*is in the mask"),
]


@pytest.mark.parametrize("mode", MODES)
def test_a_right_environment_passes(mode):
    check_vector_env(Walks(mode), single=Walk, steps=25)


@pytest.mark.parametrize(
    ("fault", "mode", "match"),
    [(fault, mode, match) for fault, modes, match in FAULTS for mode in modes],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")),
)
def test_planted_faults_are_caught(fault, mode, match):
    with pytest.raises(AssertionError, match=match):
        check_vector_env(fault(mode), single=Walk, steps=25)


@pytest.mark.parametrize("mode", MODES)
def test_what_needs_no_single_environment(mode):
    with pytest.warns(UserWarning, match="pass `single`"):
        check_vector_env(Walks(mode), steps=25)
    with (
        pytest.warns(UserWarning, match="pass `single`"),
        pytest.raises(AssertionError, match="new worlds: environment 0"),
    ):
        check_vector_env(SameWorld(mode), steps=25)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (ResetRepeats, r"environment 0, after `reset\(\)`: each new episode repeats"),
        (ResetDoesNothing, r"environment 0, after `reset\(\)`: .*shown before"),
        (ResetRefusesNoOptions, "reset: .*'no options'"),
    ],
)
def test_resets_need_no_single_environment(mode, fault, match):
    with (
        pytest.warns(UserWarning, match="pass `single`"),
        pytest.raises(AssertionError, match=match),
    ):
        check_vector_env(fault(mode), steps=25)


def test_a_single_environment_that_cannot_be_made_is_told():
    envs = Walks()
    envs.spec = gymnasium.envs.registration.EnvSpec("Lost-v0", entry_point="nowhere:Lost")
    with pytest.warns(UserWarning, match="single Lost-v0 cannot be made.*No module named"):
        check_vector_env(envs, steps=25)


def test_episodes_that_never_end_are_told():
    with pytest.warns(UserWarning, match="no episode ended within `steps`=1"):
        check_vector_env(Walks(), single=Walk, steps=1)


def test_no_vector_environment():
    with pytest.raises(TypeError, match="VectorEnv"):
        check_vector_env(Walk())
    with pytest.raises(ValueError, match="steps"):
        check_vector_env(Walks(), steps=0)


def test_spaces_and_mode():
    envs = Walks()
    envs.metadata = {"autoreset_mode": "SameStep"}
    with pytest.raises(AssertionError, match=r"mode: .*'SameStep'"):
        check_vector_env(envs)
    envs = Walks()
    envs.observation_space = envs.single_observation_space
    with pytest.raises(AssertionError, match="spaces: `observation_space`"):
        check_vector_env(envs)
    envs = Walks()
    envs.action_space = spaces.Box(-2.0, 2.0, (3, 1), np.float32)
    with pytest.raises(AssertionError, match="spaces: `action_space`"):
        check_vector_env(envs)
