"""Rules with their defaults learn a task in one life, each as well as it is known to."""

import jax
import pytest

import plasticgym as pg

LEAST = {
    "feedback-alignment": 0.92,
    "direct-feedback-alignment": 0.93,
    "sign-symmetric": 0.93,
    "predictive-coding": 0.93,
    "equilibrium-propagation": 0.93,
    "least-control": 0.93,
    "node-perturbation": 0.80,
    "weight-perturbation": 0.50,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEAST)
def test_it_learns_digits(name):
    problem = pg.envs.digits(hidden=(32,), batch=32, presentations=400)
    keys = jax.random.split(jax.random.key(0), 4)
    record = pg.envs.lives(pg.rules.make(name), problem, keys=keys)
    assert record.tests.score[:, -1].mean() >= LEAST[name]
