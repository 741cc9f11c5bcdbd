"""What a vector environment refuses, and how it goes on then."""

from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym  # noqa: F401  (for the ids)

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}


def make_vec(num_envs, **options) -> Any:
    return gymnasium.make_vec("plasticgym/Xor-v0", num_envs=num_envs, **SMALL | options)


def test_bad_numbers_of_environments(unchecked):
    with pytest.raises(ValueError, match="`num_envs` must be a positive whole number"):
        make_vec(0)


def test_bad_actions_of_a_vector(unchecked):
    envs = make_vec(3)
    envs.reset(seed=0)
    for bad in (np.zeros(22), np.zeros((2, 22)), np.full((3, 22), np.inf)):
        with pytest.raises(gymnasium.error.InvalidAction, match=r"shape \(3, 22\)"):
            envs.step(bad)
    envs.step(np.zeros((3, 22)))


def test_tasks_of_a_vector(unchecked):
    envs, env = make_vec(3), gymnasium.make("plasticgym/Xor-v0", **SMALL)
    both = np.stack([env.reset(options={"task": n})[0] for n in (4, 9, 4)])
    assert np.allclose(envs.reset(options={"task": [4, 9, 4]})[0], both, atol=1e-6)
    assert np.allclose(envs.reset(options={"task": 4})[0], both[[0, 0, 0]], atol=1e-6)
    with pytest.raises(ValueError, match="`task` must be a whole number or 3 of them"):
        envs.reset(options={"task": [1, 2]})
    for seed in ([5, -1, 3], [5, 6], 2.5, [[1], [2], [3]]):
        with pytest.raises((ValueError, gymnasium.error.Error)):
            envs.reset(seed=seed)
    assert envs.np_random_seed != (5, 1, 2)
    with pytest.raises(ValueError, match="`seed` must be a whole number or 3 of them"):
        envs.reset(seed=[1])


@pytest.mark.parametrize(
    ("mask", "match"),
    [
        (np.zeros(3, bool), "must be True for at least one environment"),
        (np.ones(2, bool), r"booleans of shape \(3,\), .* got bool of shape \(2,\)"),
        (np.ones((3, 1), bool), r"shape \(3,\), .* got bool of shape \(3, 1\)"),
        (np.ones(3), r"booleans of shape \(3,\), .* got float64 of shape \(3,\)"),
        (True, r"shape \(3,\), .* got bool of shape \(\)"),
        ([[True], [True, False]], r"shape \(3,\), .* got object"),
    ],
)
def test_bad_masks(mask, match, unchecked):
    envs, zero = make_vec(3, autoreset_mode="Disabled"), np.zeros((3, 22), np.float32)
    fresh = make_vec(3)
    for each in (envs, fresh):
        each.reset(seed=0)
    with pytest.raises(ValueError, match=match):
        envs.reset(seed=5, options={"reset_mask": mask})
    assert np.array_equal(envs.step(zero)[0], fresh.step(zero)[0])
    assert envs.np_random_seed == (0, 1, 2)


def test_bad_modes_and_orders(unchecked):
    with pytest.raises(ValueError, match=r"`autoreset_mode` must be one of .*, got 'Same'"):
        make_vec(3, autoreset_mode="Same")
    with pytest.raises(ValueError, match="`render_mode` must be None"):
        make_vec(3, render_mode="rgb_array")
    envs = make_vec(3)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.unwrapped.rollout(jnp.tanh, 3)
    with pytest.raises(
        gymnasium.error.ResetNeeded, match=r"the first .reset. begins every life"
    ):
        envs.reset(options={"reset_mask": np.array([True, False, False])})
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="`steps` must be a positive whole number, got 0"):
        envs.unwrapped.rollout(jnp.tanh, 0)
    with pytest.raises(ValueError, match=r"must return actions of shape \(3, 22\)"):
        envs.unwrapped.rollout(jnp.tanh, 3)
    envs.step(np.zeros((3, 22)))
    envs.close()
    with pytest.raises(gymnasium.error.ClosedEnvironmentError):
        envs.unwrapped.rollout(jnp.tanh, 3)
