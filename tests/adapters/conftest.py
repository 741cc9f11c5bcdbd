"""What the tests with the tools of others share."""

import functools

import equinox as eqx
import jax
import numpy as np
import pytest

import plasticgym as pg


@pytest.fixture(autouse=True)
def arrays_of_others():
    """The tools of others mix types and ranks of arrays, as their users do."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@functools.cache
def _live():
    return eqx.filter_jit(pg.envs.live)


@pytest.fixture
def promised():
    """Rewards and score that `live` promises to an agent who steers a rule and does nothing."""

    def promised(rule, problem, key, presentations_per_action):
        record = _live()(rule, problem, key=key)
        losses = [problem.chance.loss, *record.losses]
        ends = list(range(0, problem.presentations, presentations_per_action))
        logs = np.log(np.asarray(losses) + 0.01)[[*ends, problem.presentations]]
        return -np.diff(logs), float(record.tests.score[-1])

    return promised
