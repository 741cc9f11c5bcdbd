"""Environments as files: copies go on as the ones that they were made of."""

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest

import plasticgym as pg

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}


def assert_equal(a, b):
    """Of what steps return."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_equal(a[name], b[name])
    elif isinstance(a, tuple):
        for each, other in zip(a, b, strict=True):
            assert_equal(each, other)
    elif isinstance(a, np.ndarray) and a.dtype.kind == "O":
        assert_equal(tuple(a), tuple(b))
    else:
        np.testing.assert_array_equal(a, b)


def go_on(env, steps):
    """To the end of a life and into the next one."""
    action = np.full(env.action_space.shape, 0.3, np.float32)
    returned = [env.step(action) for _ in range(steps)]
    return (*returned, env.reset(), env.step(action))


def test_a_pickled_environment_goes_on():
    env: Any = gymnasium.make(
        "plasticgym/Xor-v0",
        rule="sgd",
        presentations_per_action=2,
        render_mode="rgb_array",
        **SMALL,
    )
    env.reset(seed=3)
    env.step(np.full(env.action_space.shape, 0.5, np.float32))
    copied = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copied.render(), env.render())
    assert_equal(go_on(env, 2), go_on(copied, 2))


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_a_pickled_vector_environment_goes_on(mode, compilations):
    envs: Any = gymnasium.make_vec(
        "plasticgym/Xor-v0", num_envs=2, autoreset_mode=mode, rule="sgd", **SMALL
    )
    envs.reset(seed=3)
    envs.step(np.zeros((2, 1), np.float32))
    expected = go_on(copy.deepcopy(envs), 3)
    for copied in (pickle.loads(pickle.dumps(envs)), copy.deepcopy(envs)):
        del compilations[:]
        assert_equal(expected, go_on(copied, 3))
        assert compilations == []  # it is the same program


@pytest.mark.parametrize("rule", [None, *pg.rules.RULES])
def test_what_is_pickled_before_the_first_reset(rule, home):
    where = {"problem": "Xor-v0", **SMALL}
    if rule is not None:
        memory = {"problem": "Remember-v0", "hidden": 0}
        where = home(pg.rules.make(rule), layered=where, recurrent=memory)
    env = pg.envs.LearningEnv(rule=rule, **where)
    copied = pickle.loads(pickle.dumps(env))
    assert copied.action_space == env.action_space
    assert copied.columns == env.columns
    with pytest.raises(gymnasium.error.ResetNeeded):
        copied.step(copied.action_space.sample())
