"""`to_sb3` with the real Stable-Baselines3."""

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation

import plasticgym as pg

sb3 = pytest.importorskip("stable_baselines3")
vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
env_checker = pytest.importorskip("stable_baselines3.common.env_checker")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}
STEER = SMALL | {"rule": "sgd", "presentations_per_action": 4}


def make(num_envs=2, **options):
    return gymnasium.make_vec("plasticgym/Xor-v0", num_envs=num_envs, **STEER | options)


def test_rewards_and_score_are_those_of_live(xor, promised):
    envs = pg.envs.to_sb3(make())
    envs.set_options([{"task": 3}, {"task": 4}])
    envs.reset()
    zeros, rewards = np.zeros((2, 1), np.float32), []
    for _ in range(2):
        seen, reward, over, infos = envs.step(zeros)
        rewards.append(reward)
    for i, task in enumerate((3, 4)):
        expected, score = promised(pg.rules.SGD(), xor, jax.random.key(task), 4)
        np.testing.assert_allclose(np.stack(rewards)[:, i], expected, atol=1e-5)
        assert infos[i]["score"] == pytest.approx(score, abs=1e-5)
        assert infos[i]["diverged"] is False
        assert infos[i]["TimeLimit.truncated"] is False
        assert not np.array_equal(infos[i]["terminal_observation"], seen[i])
    assert over.all()
    assert envs.reset_infos == [{}, {}]


def test_it_shows_what_the_vector_environment_shows():
    plain, adapted = make(), pg.envs.to_sb3(make())
    assert adapted.seed(7) == [7, 8]
    expected, _ = plain.reset(seed=7)
    np.testing.assert_array_equal(adapted.reset(), expected)
    rng = np.random.default_rng(0)
    for _ in range(5):
        actions = rng.uniform(-1, 1, (2, 1)).astype(np.float32)
        seen, rewards, ended, _, infos = plain.step(actions)
        shown, earned, over, rows = adapted.step(actions)
        np.testing.assert_array_equal(shown, seen)
        np.testing.assert_allclose(earned, rewards, atol=1e-6)
        np.testing.assert_array_equal(over, ended)
        for i in np.flatnonzero(ended):
            np.testing.assert_array_equal(
                rows[i]["terminal_observation"], infos["final_obs"][i]
            )


def test_it_does_what_the_own_vector_environment_of_stable_baselines_does():
    """On an environment with ends and time limits at different times."""

    def single():
        return gymnasium.make("CartPole-v1", max_episode_steps=12)

    theirs = vec_env.DummyVecEnv([single] * 3)
    ours = pg.envs.to_sb3(SyncVectorEnv([single] * 3, autoreset_mode=AutoresetMode.SAME_STEP))
    for envs in (theirs, ours):
        envs.seed(0)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    rng, cut = np.random.default_rng(0), 0
    for _ in range(60):
        actions = rng.integers(0, 2, 3)
        (seen, reward, over, infos), expected = ours.step(actions), theirs.step(actions)
        np.testing.assert_array_equal(seen, expected[0])
        np.testing.assert_array_equal(reward, expected[1])
        np.testing.assert_array_equal(over, expected[2])
        assert reward.dtype == expected[1].dtype
        for info, theirs_ in zip(infos, expected[3], strict=True):
            last = info.pop("terminal_observation", None)
            np.testing.assert_array_equal(last, theirs_.pop("terminal_observation", None))
            assert info == theirs_
            cut += info["TimeLimit.truncated"]
        assert ours.reset_infos == theirs.reset_infos
    assert cut > 0


def test_attributes_and_methods_are_those_of_the_vector_environment():
    envs = pg.envs.to_sb3(make(num_envs=3))
    columns = envs.get_attr("columns")
    assert len(columns) == 3
    assert "loss" in columns[0]
    assert len(envs.get_attr("columns", [0, 2])) == 2
    assert not envs.has_attr("no_such_thing")
    envs.set_attr("note", 1)
    assert envs.get_attr("note", 1) == [1]
    assert envs.env_is_wrapped(FlattenObservation) == [False] * 3
    assert envs.render_mode is None
    assert len(envs.env_method("close", indices=0)) == 1
    envs.close()


def test_options_of_different_names_are_refused():
    envs = pg.envs.to_sb3(make())
    envs.set_options([{"task": 3}, {}])
    with pytest.raises(ValueError, match="must have the same names"):
        envs.reset()


def test_ppo_learns(compilations):
    envs = pg.envs.to_sb3(make(num_envs=4))
    model = sb3.PPO(
        "MlpPolicy", vec_env.VecMonitor(envs), n_steps=8, batch_size=16, device="cpu", seed=0
    )
    model.learn(64)
    assert len(model.ep_info_buffer) == 32
    compilations.clear()
    model.learn(64)
    assert not compilations


def test_its_checker_passes_on_single_environments():
    env_checker.check_env(gymnasium.make("plasticgym/Xor-v0", **STEER))
    env_checker.check_env(FlattenObservation(gymnasium.make("plasticgym/Xor-v0", **SMALL)))
