"""`to_gymnax` with the real gymnax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

spaces = pytest.importorskip("gymnax.environments.spaces")
experimental = pytest.importorskip("gymnax.experimental")
purerl = pytest.importorskip("gymnax.wrappers.purerl")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

SMALL = {"rule": "sgd", "presentations_per_action": 4}


def test_spaces_are_those_of_gymnax(xor):
    env = pg.envs.to_gymnax(xor, **SMALL)
    theirs = pg.envs.LearningEnv(xor, **SMALL)
    for space, expected in (
        (env.action_space(env.default_params), theirs.action_space),
        (env.observation_space(env.default_params), theirs.observation_space),
    ):
        assert isinstance(space, spaces.Box)
        assert spaces.gymnax_space_to_gym_space(space) == expected


def test_its_rollout_earns_what_live_promises(xor, promised):
    env = pg.envs.to_gymnax(xor, **SMALL)
    rollout = experimental.RolloutWrapper(
        lambda params, seen, key: jnp.zeros(env.num_actions), env=env
    )
    assert rollout.input_shape == env.observation_space().shape
    keys = jax.random.split(jax.random.key(0), 3)
    _, _, rewards, _, over, total = rollout.batch_rollout(keys, None)
    for i, key in enumerate(keys):
        first = jax.random.split(key)[0]  # its key of the reset
        expected, _ = promised(pg.rules.SGD(), xor, first, 4)
        np.testing.assert_allclose(rewards[i], expected, atol=1e-5)
        np.testing.assert_allclose(total[i], expected.sum(), atol=1e-5)
    np.testing.assert_array_equal(over[:, -1], True)


def test_its_wrappers_log_returns_of_flat_environments(xor, promised, compilations):
    env = pg.envs.to_gymnax(xor, tier="gradient")
    params, key = env.default_params, jax.random.key(0)
    synapses, columns = params.role.observed
    env = purerl.LogWrapper(purerl.FlattenObservationWrapper(env))
    seen, state = env.reset(key, params)
    assert seen.shape == (synapses * columns,)
    total, zeros = 0.0, jnp.zeros(synapses)
    for step in range(xor.presentations):
        if step == 1:
            compilations.clear()
        seen, state, reward, over, _, info = env.step(key, state, zeros, params)
        total += float(reward)
    assert not compilations
    assert over
    assert info["returned_episode"]
    assert info["final_observation"].shape == seen.shape
    assert info["returned_episode_lengths"] == xor.presentations
    np.testing.assert_allclose(info["returned_episode_returns"], total, rtol=1e-5)
    # A network that nobody changes lives like one that learns at a rate of nearly zero.
    rewards, score = promised(pg.rules.SGD(rate=1e-9), xor, key, 1)
    np.testing.assert_allclose(total, rewards.sum(), atol=1e-5)
    np.testing.assert_allclose(info["score"], score, atol=1e-5)
