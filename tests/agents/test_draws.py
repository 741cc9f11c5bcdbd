"""Problems drawn per generation: which may be, how often, and what is then lived in."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.agents._base import draw, over_problems

LENGTHS = (6, 2, 3, 2, 9)
KEY = jax.random.key(4)


@pytest.fixture(scope="module")
def problems():
    """Of several lengths and structures, no two the same."""
    names = ("xor", "and", "or", "moons", "slice")
    return [
        pg.envs.plane(name, hidden=(4,), batch=4, presentations=n)
        for name, n in zip(names, LENGTHS, strict=True)
    ]


@eqx.filter_jit
def drawn(problems, growth, generation, key):
    """Many draws of one generation."""
    return draw(problems, 500, growth, generation=generation, key=key)


@pytest.mark.parametrize("growth", [0.0001, 0.3, 1.0, 2.5])
def test_what_may_be_drawn_grows_with_the_generations(problems, growth):
    counts = []
    for generation in range(12):
        key = jax.random.fold_in(KEY, generation)
        at = drawn(problems, jnp.asarray(growth), jnp.asarray(generation, int), key)
        longest = min(LENGTHS) + growth * generation + 1e-6
        allowed = {i for i, n in enumerate(LENGTHS) if n <= longest}
        assert set(at.tolist()) == allowed  # of 500 draws, each at least once
        counts.append(len(allowed))
    assert counts[0] == 2
    assert counts[-1] == (2 if growth < 0.01 else 5 if growth > 0.9 else 3)


@pytest.mark.parametrize("generation", [0, 1, 50])
def test_unbounded_growth_means_that_all_are_allowed_from_the_start(problems, generation):
    at = drawn(problems, jnp.asarray(np.inf), jnp.asarray(generation, int), KEY)
    assert set(at.tolist()) == set(range(len(LENGTHS)))


def test_all_that_may_be_drawn_are_equally_likely(problems):
    keys = jax.random.split(KEY, 10)
    at = jax.vmap(lambda k: drawn(problems, jnp.asarray(1.0), jnp.asarray(5, int), k))(keys)
    shares = np.bincount(np.ravel(at), minlength=5) / at.size
    np.testing.assert_allclose(shares, [0.25, 0.25, 0.25, 0.25, 0.0], atol=0.03)
    assert len({tuple(row) for row in np.asarray(at).tolist()}) == 10


@pytest.mark.slow
@pytest.mark.parametrize("at", [(0,), (4, 1, 3, 1, 0, 2), (2, 2)])
def test_drawn_problems_are_those_at_their_positions(problems, at):
    """As if they had been listed one after the other; equal structures share a program."""
    rule = pg.rules.SGD(rate=0.3)

    def life(problem, key):
        record = pg.envs.live(rule, problem, key=key)
        return record.losses.mean(), record.tests.score[-1], problem.chance.loss

    run = eqx.filter_jit(lambda *a, **k: over_problems(life, *a, **k))
    keys = jax.random.split(KEY, (len(at), 2))
    found = run(problems, keys=keys, drawn=jnp.asarray(at))
    expected = run([problems[i] for i in at], keys=keys)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape == (len(at), 2)
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert len(np.unique(found[0])) == 2 * len(at)


AGENTS = {
    "metagradient": {"lives": 2, "draws": 3, "growth": 1.0, "warmup": 1, "horizon": 6},
    "cma-es": {"population": 4, "lives": 2, "draws": 3, "growth": 1.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_going_on_draws_as_if_never_stopped(problems, name):
    agent = pg.agents.make(name, **AGENTS[name])
    rule = pg.rules.Momentum(rate=0.2)
    whole = pg.agents.train(agent, rule, problems, generations=4, seed=1)
    half = pg.agents.train(agent, rule, problems, generations=2, seed=1)
    start = (half.search, half.history)
    rest = pg.agents.train(agent, rule, problems, generations=4, seed=1, start=start)
    assert np.array_equal(pg.rules.genome(whole.rule), pg.rules.genome(rest.rule))
    assert not np.array_equal(pg.rules.genome(whole.rule), pg.rules.genome(half.rule))
    np.testing.assert_array_equal(whole.history.mean, rest.history.mean)


@pytest.mark.slow
@pytest.mark.parametrize("name", AGENTS)
def test_while_only_short_lives_are_allowed_the_others_do_not_matter(problems, name):
    """Two generations: as many long problems as one likes, none of them is lived in."""
    options = AGENTS[name] | {"growth": 1e-3}
    agent, rule = pg.agents.make(name, **options), pg.rules.SGD(rate=0.2)
    long = pg.envs.plane("circle", hidden=(4,), batch=4, presentations=7)
    a, b = (
        pg.agents.train(agent, rule, [*problems[:4], last], generations=2, seed=0)
        for last in (problems[4], long)
    )
    assert np.array_equal(pg.rules.genome(a.rule), pg.rules.genome(b.rule))


@pytest.mark.slow
def test_members_of_a_generation_live_in_the_same_drawn_problems(problems):
    agent = pg.agents.Evolution(population=4, lives=2, draws=3)
    vectors = jnp.array([[0.0], [-1.0], [0.0]])
    fitness, _ = eqx.filter_jit(agent.fitness)(  # of two structures
        pg.rules.SGD(rate=0.3), problems[1:4], vectors, generation=jnp.asarray(0, int), key=KEY
    )
    assert fitness[0] == fitness[2]
    assert fitness[0] != fitness[1]


@pytest.mark.parametrize("build", [pg.agents.Evolution, pg.agents.MetaGradient])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 0}, "`draws` must be a positive whole number, got 0"),
        ({"draws": 2, "growth": 0.0}, "`growth` must be positive, got 0.0"),
        ({"draws": 2, "growth": float("nan")}, "`growth` must be positive, got nan"),
        ({"growth": 1.0}, "`growth` needs `draws`, problems to draw, got 1.0 without"),
    ],
)
def test_bad_draws(build, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
