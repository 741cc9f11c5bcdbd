import equinox as eqx
import jax
import jax.numpy as jnp
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
    key_live = jax.random.split(jax.random.fold_in(jax.random.key(7), 0))[1]
    keys = jax.random.split(key_live, (1, 3))[0]
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


def test_fixed_genes_stay():
    agent = pg.agents.MetaGradient(rate=0.1, lives=1, fixed=("synapse.keep", "gain"))
    rule = pg.rules.make("blur", genome="normalised", states=2)
    problem = pg.envs.plane("xor", **SIZES)
    trained = pg.agents.train(agent, rule, [problem], generations=2, seed=0)
    moved = np.asarray(pg.rules.genome(trained.rule) != pg.rules.genome(rule))
    names = [name.partition("[")[0] for name in pg.rules.gene_names(rule)]
    assert {n for n, m in zip(names, moved, strict=True) if not m} >= {"synapse.keep", "gain"}
    assert {n for n, m in zip(names, moved, strict=True) if m} >= {"synapse.rate", "birth"}
    agent = pg.agents.MetaGradient(fixed=("synapse.keeps",))
    with pytest.raises(ValueError, match=r"`fixed` must name genes; .*'synapse.keep'"):
        agent.init(rule, [problem], key=jax.random.key(0))


def test_the_rate_warms_up_and_comes_to_rest():
    agent = pg.agents.MetaGradient(rate=0.1, lives=1, warmup=2, horizon=5)
    problem, rates = pg.envs.plane("xor", **SIZES), [0.2]
    pg.agents.train(
        agent,
        pg.rules.SGD(rate=0.2),
        [problem],
        generations=7,
        seed=0,
        on_generation=lambda trained, _: rates.append(float(trained.rule.rate)),
    )
    steps = np.abs(np.diff(np.log(rates)))
    # Of one gene, Adam's first step that counts is about the rate.
    shares = [0.0, 0.5, 1.0, 0.75, 0.25, 0.0, 0.0]  # a ramp, then half a cosine
    assert (steps[[0, 5, 6]] < 1e-6).all()
    assert (steps[1:5] > 1e-3).all()
    assert (steps[1:5] < 0.1 * np.array(shares[1:5]) * 1.2).all()


@pytest.mark.slow
def test_segments_change_nothing_but_the_memory():
    problem, rule = pg.envs.plane("xor", **SIZES), pg.rules.Momentum(rate=0.3)
    whole, segmented = (
        pg.agents.train(agent, rule, [problem], generations=2, seed=0)
        for agent in (
            pg.agents.MetaGradient(lives=2),
            pg.agents.MetaGradient(lives=2, segment=3),
        )
    )
    moved = pg.rules.genome(whole.rule) - pg.rules.genome(rule)
    assert np.abs(moved).min() > 1e-3
    np.testing.assert_allclose(
        pg.rules.genome(segmented.rule), pg.rules.genome(whole.rule), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["rate", "clip", "lives"])
def test_bad_input(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .*positive.*, got -1"):
        pg.agents.MetaGradient(**{name: -1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"segment": 0}, "`segment` must be a positive whole number, got 0"),
        ({"horizon": 0}, "`horizon` must be a positive whole number, got 0"),
        ({"warmup": 3}, "`warmup` must be less than `horizon`, got 3 and None"),
        ({"warmup": 5, "horizon": 5}, "`warmup` must be less than `horizon`, got 5 and 5"),
        ({"warmup": -1, "horizon": 5}, "`warmup` must .*, got -1 and 5"),
    ],
)
def test_bad_schedules(arguments, message):
    with pytest.raises(ValueError, match=message):
        pg.agents.MetaGradient(**arguments)


def test_gradients_that_are_not_finite_move_nothing_and_are_told():
    def steep(rule, problem, key):
        loss = jnp.sqrt(0.0 * pg.rules.genome(rule).sum()) + jax.random.uniform(key)
        return loss, jnp.asarray(False)

    agent = pg.agents.MetaGradient(lives=2)
    rule, problem = pg.rules.SGD(rate=0.3), pg.envs.plane("xor", **SIZES)
    search = agent.init(rule, [problem], key=jax.random.key(0))
    after, report = agent.descended(rule, [problem], search, steep)
    assert report.diverged == 1.0
    assert pg.rules.genome(agent.champion(rule, after)) == pg.rules.genome(rule)
