"""`to_evosax` and `to_evosax_meta` with the strategies of evosax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

algorithms = pytest.importorskip("evosax.algorithms")
problems = pytest.importorskip("evosax.problems")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

RULE = pg.rules.SGD()


def returns(promised, problem, genomes, keys):
    """Minus what `live` promises to each genome, a mean over lives; and the mean score."""
    rows = [
        [
            promised(pg.rules.with_genome(RULE, g), problem, key, problem.presentations)
            for key in keys
        ]
        for g in genomes
    ]
    fitness = [-np.mean([rewards.sum() for rewards, _ in row]) for row in rows]
    return fitness, [np.mean([score for _, score in row]) for row in rows]


def test_fitness_is_minus_the_return_in_worlds_that_all_share(xor, promised, compilations):
    problem = pg.envs.to_evosax(xor, rule=RULE, lives=3)
    assert isinstance(problem, problems.Problem)
    assert problem.num_dims == pg.rules.genome(RULE).size
    key = jax.random.key(0)
    genomes = jnp.stack([pg.rules.genome(RULE) + shift for shift in (0.0, 0.0, 2.0)])
    state = problem.init(key)
    fitness, state, metrics = problem.eval(key, genomes, state)
    expected, scores = returns(promised, xor, genomes, jax.random.split(key, 3))
    np.testing.assert_allclose(fitness, expected, atol=1e-5)
    np.testing.assert_allclose(metrics["score"], scores, atol=1e-5)
    np.testing.assert_array_equal(metrics["diverged"], 0)
    assert fitness[0] == fitness[1] != fitness[2]
    assert state.counter == 1
    key = jax.random.key(1)
    compilations.clear()
    other, *_ = problem.eval(key, genomes, state)
    assert not compilations
    assert not np.array_equal(other, fitness)


def test_a_genome_that_diverges_earns_nothing(xor):
    problem = pg.envs.to_evosax(xor, rule="sgd", lives=2)
    key = jax.random.key(0)
    worst = pg.rules.genome(problem.rule)[None] + 30.0
    fitness, _, metrics = problem.eval(key, worst, problem.init(key))
    np.testing.assert_allclose(fitness, 0, atol=1e-6)
    np.testing.assert_array_equal(metrics["diverged"], 1)


def test_a_meta_problem_draws_a_problem_first(xor, promised):
    nxor = pg.envs.plane("nxor", hidden=(4,), batch=8, presentations=6)
    meta = pg.envs.to_evosax_meta([xor, nxor], rule=RULE, lives=2)
    assert isinstance(meta, problems.MetaProblem)
    key, genomes = jax.random.key(0), pg.rules.genome(RULE)[None]
    drawn = [meta.sample_params(jax.random.key(i)) for i in range(8)]
    assert {int(params.problem) for params in drawn} == {0, 1}
    for params in drawn[:4]:
        state = meta.init(key, params)
        fitness, *_ = meta.eval(key, genomes, state, params)
        problem = (xor, nxor)[int(params.problem)]
        expected, _ = returns(promised, problem, genomes, jax.random.split(key, 2))
        np.testing.assert_allclose(fitness, expected, atol=1e-5)


def test_a_strategy_of_distributions_improves():
    options = {"hidden": (4,), "batch": 8, "presentations": 20}
    problem = pg.envs.to_evosax("Or-v0", rule=pg.rules.SGD(rate=0.01), lives=4, **options)
    key, default = jax.random.key(0), pg.rules.genome(problem.rule)
    strategy = algorithms.CMA_ES(population_size=8, solution=problem.sample(key))
    params = strategy.default_params.replace(std_init=0.5)
    state, trials = strategy.init(key, default, params), problem.init(key)
    for _ in range(10):
        key, key_ask, key_tell = jax.random.split(key, 3)
        genomes, state = strategy.ask(key_ask, state, params)
        fitness, trials, _ = problem.eval(jax.random.key(0), genomes, trials)
        state, _ = strategy.tell(key_tell, genomes, fitness, state, params)
    both = jnp.stack([default, strategy.get_mean(state)])
    (before, after), *_ = problem.eval(jax.random.key(0), both, trials)
    assert after < before - 0.1


def test_a_strategy_of_populations_runs(xor):
    problem = pg.envs.to_evosax(xor, rule="momentum")
    key = jax.random.key(0)
    strategy = algorithms.DifferentialEvolution(8, solution=problem.sample(key))
    params, trials = strategy.default_params, problem.init(key)
    genomes = jax.vmap(problem.sample)(jax.random.split(key, 8))
    fitness, trials, _ = problem.eval(key, genomes, trials)
    state = strategy.init(key, genomes, fitness, params)
    genomes, state = strategy.ask(key, state, params)
    again, trials, _ = problem.eval(key, genomes, trials)
    state, _ = strategy.tell(key, genomes, again, state, params)
    assert state.best_fitness <= fitness.min()
