"""What each method is for: after a second task, more is left of the first.

Learning without forgetting is not among them: it imitates the old network on new inputs, of
other classes, and here leaves less of the first task than the rule within.
"""

import jax
import numpy as np
import pytest

import plasticgym as pg

METHODS = {
    "path, penalty": lambda: pg.rules.InvariantPath(WITHIN, "penalty(weight=10)", anchors=30),
    "path, exact": lambda: pg.rules.InvariantPath(WITHIN, "exact(damping=0.01)", anchors=8),
    "path, layer-local": lambda: pg.rules.InvariantPath(WITHIN, "layer-local", anchors=30),
    "elastic": lambda: pg.rules.ElasticWeightConsolidation(WITHIN, weight=30),
    "replay": lambda: pg.rules.Replay(WITHIN, samples=30),
    "projection": lambda: pg.rules.GradientProjectionMemory(WITHIN, samples=30),
}
WITHIN = "sgd(rate=0.3)"


@pytest.fixture(scope="module")
def left():
    """The share of the first task, of two classes, that is right at the end; each life's."""
    problem = pg.envs.split_digits(
        hidden=(8,), side=4, batch=16, presentations=60, tasks=((0, 1), (2, 3))
    )
    keys = jax.random.split(jax.random.key(0), 4)

    def left(rule):
        tests = pg.envs.lives(rule, problem, keys=keys, tests=problem.ends).tests
        assert np.mean(tests.score[:, 0, 0]) > 0.9
        return np.asarray(tests.score[:, -1, 0])

    return left


@pytest.fixture(scope="module")
def plain(left):
    return left(pg.rules.make("sgd", rate=0.3))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_more_is_left_than_under_the_rule_within(method, left, plain):
    assert (left(METHODS[method]()) - plain).mean() > 0.1
