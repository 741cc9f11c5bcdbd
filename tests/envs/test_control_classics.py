"""The classics of control against those of Gymnasium, step by step."""

import functools
import math

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

STEPS = 40


def state_of(env):
    return np.array(env.unwrapped.state, np.float64)


# Theirs; ours; rewards ours of theirs; whether outputs are a choice.
CLASSICS = {
    "CartPole-v1": (pg.envs.CartPole, lambda reward, over: -float(over)),
    "Pendulum-v1": (pg.envs.Pendulum, lambda reward, over: reward),
    "Acrobot-v1": (pg.envs.Acrobot, lambda reward, over: reward + 1.0),
    "MountainCar-v0": (pg.envs.MountainCar, lambda reward, over: float(over)),
}
# Where each is over, or at the left end, within a few steps.
ENDS = {
    "CartPole-v1": [[2.3, 2.0, 0.0, 0.0], [0.0, 0.0, -0.19, -1.0]],
    "Acrobot-v1": [[2.8, 0.3, 3.0, 1.0]],
    "MountainCar-v0": [[0.45, 0.05], [-1.19, -0.07]],
}


@functools.cache
def _compiled(dynamics):
    return jax.jit(lambda *of: dynamics().move(*of))


def step(dynamics, state, outputs, **changed):
    """One program per body."""
    factors = {name: jnp.array(changed.get(name, 1.0)) for name in dynamics.parameters}
    return _compiled(dynamics)(jnp.asarray(state, float), outputs, factors)


def outputs_of(env, action):
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        return np.eye(env.action_space.n)[action]
    return action / 2.0  # of the torque


@pytest.mark.parametrize("name", CLASSICS)
def test_a_step_is_that_of_gymnasium(name):
    dynamics, paid = CLASSICS[name]
    env, rng = gymnasium.make(name), np.random.default_rng(0)
    compared = overs = 0
    for start in [None, *ENDS.get(name, [])]:
        env.reset(seed=1)
        if start is not None:
            env.unwrapped.state = np.array(start)
        env.action_space.seed(0)
        for _ in range(STEPS):
            before, action = state_of(env), env.action_space.sample()
            if start is not None and name == "MountainCar-v0":
                action = 1 + int(np.sign(start[1]))
            if rng.random() < 0.2 and name == "Pendulum-v1":
                action = 3 * action  # beyond what the motor can do
            _, reward, over, *_ = env.step(action)
            outputs = jnp.asarray(outputs_of(env, action), float)
            moved, earned, ended = step(dynamics, before, outputs)
            found, expected = np.asarray(moved), state_of(env)
            if name in ("Pendulum-v1", "Acrobot-v1"):  # angles may differ by whole turns
                found, expected = np.exp(1j * found), np.exp(1j * expected)
            np.testing.assert_allclose(found, expected, atol=1e-5)
            np.testing.assert_allclose(earned, paid(float(reward), over), atol=1e-4)
            assert bool(ended) == over
            compared, overs = compared + 1, overs + over
            if over:
                break
    env.close()
    assert compared > STEPS / 4
    assert overs >= (name in ENDS)


SCALES = {
    "CartPole-v1": (2.4, 2.0, math.radians(12.0), 2.0),
    "Pendulum-v1": (1.0, 1.0, 8.0),
    "Acrobot-v1": (1.0, 1.0, 1.0, 1.0, 4 * math.pi, 9 * math.pi),
    "MountainCar-v0": (0.9, 0.07),
}


@pytest.mark.parametrize("name", CLASSICS)
def test_sensors_feel_what_gymnasium_shows_in_other_units(name):
    env = gymnasium.make(name)
    seen, _ = env.reset(seed=3)
    felt = CLASSICS[name][0]().sense(jnp.asarray(state_of(env), float))
    shift = (0.3, 0.0) if name == "MountainCar-v0" else 0.0
    np.testing.assert_allclose(felt, (seen + shift) / SCALES[name], atol=1e-5)
    env.close()


@pytest.mark.parametrize("name", CLASSICS)
def test_episodes_last_and_begin_as_in_gymnasium(name):
    dynamics = CLASSICS[name][0]()
    assert dynamics.limit == gymnasium.spec(name).max_episode_steps
    ours = jax.vmap(lambda k: dynamics.reset(key=k))(jax.random.split(jax.random.key(0), 500))
    env = gymnasium.make(name)
    theirs = [env.reset(seed=s) and state_of(env) for s in range(500)]
    np.testing.assert_allclose(ours.min(0), np.min(theirs, 0), atol=0.05)
    np.testing.assert_allclose(ours.max(0), np.max(theirs, 0), atol=0.05)
    env.close()


# What a factor is called in Gymnasium: the attributes to multiply.
PHYSICS = {
    "CartPole-v1": {
        "gravity": ["gravity"],
        "mass": ["masspole", "polemass_length", "total_mass"],
        "length": ["length", "polemass_length"],
        "force": ["force_mag"],
    },
    "Pendulum-v1": {"gravity": ["g"], "mass": ["m"], "length": ["l"]},
    "MountainCar-v0": {"gravity": ["gravity"], "force": ["force"]},
    "Acrobot-v1": {"mass": ["LINK_MASS_1", "LINK_MASS_2", "LINK_MOI"]},
}
CHANGED = [(name, factor) for name, factors in PHYSICS.items() for factor in factors]


@pytest.mark.parametrize(("name", "factor"), CHANGED)
def test_a_factor_changes_what_the_attribute_of_gymnasium_changes(name, factor):
    env = gymnasium.make(name)
    env.reset(seed=5)
    for attribute in PHYSICS[name][factor]:
        value = getattr(env.unwrapped, attribute)
        new = value + 0.07 if attribute == "total_mass" else 1.7 * value
        setattr(env.unwrapped, attribute, new)
    start = state_of(env) + 0.02
    env.unwrapped.state = start
    env.action_space.seed(0)
    action = env.action_space.sample()
    env.step(action)
    dynamics, outputs = CLASSICS[name][0], jnp.asarray(outputs_of(env, action), float)
    ours, *_ = step(dynamics, start, outputs, **{factor: 1.7})
    same, *_ = step(dynamics, start, outputs)
    np.testing.assert_allclose(ours, state_of(env), atol=1e-5)
    assert not np.allclose(ours, same, atol=1e-5)
    env.close()
