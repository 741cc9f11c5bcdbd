import equinox as eqx
import jax
import numpy as np
import optax
import pytest

import plasticgym as pg

SIZES = {"hidden": (4,), "batch": 8, "presentations": 4}


def test_a_step_is_clipped_adam_on_the_mean_gradient_of_lives():
    agent = pg.agents.MetaGradient(rate=0.1, clip=0.01, lives=3)
    rule, problem = pg.rules.Momentum(rate=0.3), pg.envs.plane("xor", **SIZES)
    search = agent.init(rule, [problem], key=jax.random.key(7))
    found, report = eqx.filter_jit(agent.update)(rule, [problem], search)

    @jax.jit
    @jax.value_and_grad
    def loss(vector, key):
        record = pg.envs.live(pg.rules.with_genome(rule, vector), problem, key=key)
        return (record.losses.mean() + record.tests.loss[-1]) / 2 / problem.chance.loss

    start = pg.rules.genome(rule)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(7), 0), (1, 3))[0]
    losses, gradients = zip(*(loss(start, key) for key in keys), strict=True)
    gradients = np.mean(gradients, axis=0)
    optimizer = optax.chain(optax.clip_by_global_norm(0.01), optax.adam(0.1))
    with jax.numpy_dtype_promotion("standard"):
        change, _ = optimizer.update(gradients, optimizer.init(start), start)
    expected = optax.apply_updates(start, change)
    np.testing.assert_allclose(
        pg.rules.genome(agent.champion(rule, found)), expected, rtol=1e-4
    )
    np.testing.assert_allclose(report.mean, 1 - np.mean(losses), rtol=1e-5)


def test_it_descends():
    agent = pg.agents.MetaGradient(rate=0.2, lives=4)
    problem = pg.envs.plane("and", hidden=(), batch=16, presentations=8)
    trained = pg.agents.train(agent, pg.rules.SGD(rate=0.01), [problem], generations=15, seed=0)
    assert trained.rule.rate > 0.05
    assert trained.history.mean[-1] > trained.history.mean[0] + 0.1


@pytest.mark.parametrize("name", ["rate", "clip", "lives"])
def test_bad_input(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*positive.*, got -1"):
        pg.agents.MetaGradient(**{name: -1})
