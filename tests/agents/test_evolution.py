import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

SIZES = {"hidden": (4,), "batch": 8, "presentations": 5}


def test_fitness_is_that_of_lives_in_common_worlds():
    agent = pg.agents.Evolution(population=4, lives=3)
    rule = pg.rules.SGD(rate=0.3)
    problems = [pg.envs.plane("xor", **SIZES), pg.envs.digits(**SIZES)]
    vectors = jnp.array([[0.0], [-1.0], [0.0]])
    key = jax.random.key(3)
    fitness, diverged = eqx.filter_jit(agent.fitness)(
        rule, problems, vectors, generation=jnp.asarray(0), key=key
    )
    assert fitness[0] == fitness[2]  # equal genomes, equal worlds
    expected = []
    for problem, keys in zip(problems, jax.random.split(key, (2, 3)), strict=True):
        record = pg.envs.lives(pg.rules.with_genome(rule, vectors[1]), problem, keys=keys)
        score = (record.scores.mean(1) + record.tests.score[:, -1]) / 2
        expected.append((score - problem.chance.score) / (1 - problem.chance.score))
    np.testing.assert_allclose(fitness[1], np.mean(expected), rtol=1e-5)
    assert (diverged == 0).all()


def test_the_loss_can_be_the_objective():
    agent = pg.agents.Evolution(population=4, lives=3, objective="loss")
    problem, key = pg.envs.plane("xor", **SIZES), jax.random.key(3)
    genomes = jnp.array([[0.0], [20.0]])
    fitness, _ = eqx.filter_jit(agent.fitness)(
        pg.rules.SGD(), [problem], genomes, generation=jnp.asarray(0), key=key
    )
    keys = jax.random.split(key, (1, 3))[0]
    record = pg.envs.lives(pg.rules.SGD(rate=1.0), problem, keys=keys)
    loss = (record.losses.mean(1) + record.tests.loss[:, -1]) / 2
    np.testing.assert_allclose(fitness[0], 1 - (loss / problem.chance.loss).mean(), rtol=1e-5)
    assert -1 <= fitness[1] <= 0  # it diverges at once


def test_it_finds_the_rate_that_learns():
    agent = pg.agents.Evolution(population=8, lives=2)
    problem = pg.envs.plane("and", hidden=(), batch=16, presentations=10)
    start = pg.rules.SGD(rate=0.02)
    trained = pg.agents.train(agent, start, [problem], generations=8, seed=0)
    assert trained.rule.rate > 0.1
    assert trained.history.mean[-1] > trained.history.mean[0] + 0.05


@pytest.mark.slow
def test_with_fixed_gauges_the_step_size_stays_small():
    """It grew past 400 where genomes could drift along scales that change nothing."""
    rule = pg.rules.make("blur", genome="normalised", states=2, gauge="fixed")
    agent = pg.agents.Evolution(population=16, lives=1, spread=0.3)
    problem = pg.envs.plane("xor", hidden=(4,), batch=8, presentations=3)
    sizes = []
    trained = pg.agents.train(
        agent,
        rule,
        [problem],
        generations=60,
        seed=0,
        on_generation=lambda trained, _: sizes.append(float(trained.search.progress.std)),
    )
    assert len(sizes) == 60
    assert max(sizes) < 10
    assert np.unique(sizes).size > 50  # it is the one that adapts
    assert not np.allclose(pg.rules.genome(trained.rule), pg.rules.genome(rule))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["CMA_ES", "Open_ES", "SimpleGA", "PSO"])
def test_strategies_of_both_kinds_run(strategy):
    agent = pg.agents.Evolution(strategy=strategy, population=4, lives=1)
    problem = pg.envs.plane("or", **SIZES)
    trained = pg.agents.train(agent, pg.rules.SGD(), [problem], generations=2, seed=0)
    assert np.isfinite(pg.rules.genome(trained.rule)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "CMAES"}, "unknown `strategy` 'CMAES'; did you mean 'CMA_ES'"),
        ({"objective": "los"}, "unknown `objective` 'los'; did you mean 'loss'"),
        ({"strategy": "Open_ES", "population": 5}, "cannot be built with a population of 5"),
        ({"population": 0}, "`population` must be a positive whole number, got 0"),
        ({"population": 2}, "`population` must be at least 4, got 2"),
        ({"lives": -1}, "`lives` must be a positive whole number, got -1"),
        ({"spread": 0.0}, "`spread` must be positive, got 0.0"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        pg.agents.Evolution(**arguments)
