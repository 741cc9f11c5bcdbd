"""What every agent promises."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

SMALL = {
    "cma-es": {"population": 4, "lives": 2},
    "evolution": {"population": 4, "lives": 2},
    "metagradient": {"lives": 2},
    "windowed": {"lives": 2, "width": 2, "recall": 1},
}


@pytest.fixture(scope="module")
def problems():
    sizes = {"hidden": (4,), "batch": 8, "presentations": 4}
    return [pg.envs.plane(name, **sizes) for name in ("xor", "moons")]


@pytest.fixture(params=list(pg.agents.AGENTS))
def agent(request):
    return pg.agents.make(request.param, **SMALL[request.param])


def test_trains_from_the_default_and_repeats_itself(agent, problems):
    rule = pg.rules.SGD(rate=0.2)
    first = pg.agents.train(agent, rule, problems, generations=2, seed=5)
    again = pg.agents.train(agent, rule, problems, generations=2, seed=5)
    other = pg.agents.train(agent, rule, problems, generations=2, seed=6)
    assert first.history.best.shape == first.history.diverged.shape == (2,)
    assert (first.history.best >= first.history.mean).all()
    assert isinstance(first.rule, pg.rules.SGD)
    assert pg.rules.genome(first.rule) == pg.rules.genome(again.rule)
    assert pg.rules.genome(first.rule) != pg.rules.genome(other.rule)
    assert pg.rules.genome(first.rule) != pg.rules.genome(rule)


def test_going_on_is_the_same_as_never_stopping(agent, problems):
    rule = pg.rules.SGD(rate=0.2)
    whole = pg.agents.train(agent, rule, problems, generations=3, seed=1)
    half = pg.agents.train(agent, rule, problems, generations=1, seed=1)
    rest = pg.agents.train(
        agent, rule, problems, generations=3, seed=1, start=(half.search, half.history)
    )
    assert pg.rules.genome(whole.rule) == pg.rules.genome(rest.rule)
    np.testing.assert_array_equal(whole.history.mean, rest.history.mean)


def test_the_test_part_plays_no_role(agent, problems):
    rule, noise = pg.rules.SGD(rate=0.2), np.random.default_rng(0)

    def spoilt(problem):
        held_out = pg.envs.Examples(
            jnp.asarray(noise.normal(size=problem.held_out.inputs.shape), jnp.float32),
            jnp.asarray(noise.integers(0, 2, problem.held_out.classes.shape), jnp.uint8),
        )
        return eqx.tree_at(lambda p: p.held_out, problem, held_out)

    clean = pg.agents.train(agent, rule, problems, generations=2, seed=0)
    other = [spoilt(problem) for problem in problems]
    spoilt_ = pg.agents.train(agent, rule, other, generations=2, seed=0)
    assert pg.rules.genome(clean.rule) == pg.rules.genome(spoilt_.rule)


def test_a_generation_is_compiled_once(agent, problems):
    traces = []

    class Counting(type(problems[0]).__mro__[1]):  # a problem that tells when it is traced
        inner: pg.envs.AbstractProblem
        body: pg.rules.Body
        chance: pg.envs.Outcome
        batch: int = eqx.field(static=True)
        presentations: int = eqx.field(static=True)

        def reset(self, *, key):
            traces.append(1)
            return self.inner.reset(key=key)

        def observe(self, world):
            return self.inner.observe(world)

        def respond(self, world, outputs):
            return self.inner.respond(world, outputs)

        def test(self, world, network, *, part, key):
            return self.inner.test(world, network, part=part, key=key)

    p = problems[0]
    counting = Counting(p, p.body, p.chance, p.batch, p.presentations)
    trained = []
    pg.agents.train(
        agent,
        pg.rules.SGD(rate=0.2),
        [counting],
        generations=4,
        seed=0,
        on_generation=lambda *_: trained.append(len(traces)),
    )
    assert trained[0] == trained[-1] > 0


def test_all_lives_diverging_is_survived(agent, problems):
    trained = pg.agents.train(agent, pg.rules.SGD(rate=1e6), problems, generations=2, seed=0)
    assert trained.history.diverged[0] == 1.0
    assert np.isfinite(trained.history.mean).all()
    assert np.isfinite(pg.rules.genome(trained.rule)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generations": 0}, "`generations` must be a positive whole number, got 0"),
        ({"problems": []}, "`problems` must name at least one problem"),
    ],
)
def test_bad_input(agent, problems, arguments, message):
    good = {"problems": problems, "generations": 1}
    given = {**good, **arguments}
    with pytest.raises(ValueError, match=message):
        pg.agents.train(agent, pg.rules.SGD(), given.pop("problems"), **given, seed=0)
