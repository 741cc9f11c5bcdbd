"""Bodies of brax as problems."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

envs = pytest.importorskip("brax.envs")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

KEY = jax.random.key(0)
STEPS = 12


def lived(name, outputs, **options):
    """The world at the end, and what was seen and paid, where the answer is always one."""
    problem = pg.envs.problem(name, hidden=(), presentations=STEPS, **options)
    answer = jnp.asarray(outputs, float)[None]

    def step(world, _):
        seen = problem.observe(world).values[0]
        after, feedback, outcome = problem.respond(world, answer)
        return after, (seen, feedback.reward[0], outcome.score)

    run = eqx.filter_jit(lambda p: jax.lax.scan(step, p.reset(key=KEY), length=STEPS))
    return run(problem)


def test_a_body_moves_as_brax_moves_it():
    world, (seen, reward, score) = lived("InvertedPendulum-v0", [0.3])
    env = envs.get_environment("inverted_pendulum", backend="generalized")
    state, step = jax.tree.map(lambda x: x[0], world.beginnings), jax.jit(env.step)
    for t in range(STEPS):
        np.testing.assert_allclose(seen[t], np.clip(state.obs, -10, 10), atol=1e-4)
        state = step(state, jnp.array([0.3]))
        assert float(reward[t]) == -float(state.done)
        if state.done:
            break
    assert float(score[-1]) == 1 / (1 - float(reward.sum()))


def test_it_goes_fast_and_is_paid_for_it():
    _, (seen, reward, score) = lived("Fast-v0", [1.0])
    steps = np.arange(1, STEPS + 1)
    np.testing.assert_allclose(reward, 0.0004 * steps * (steps + 1) / 2, rtol=1e-4)
    np.testing.assert_allclose(score[-1], reward.mean(), rtol=1e-5)
    assert seen.shape == (STEPS, 2)


def test_bodies_can_be_lighter_reversed_and_short_of_a_leg():
    ant = pg.envs.BraxBody("ant")
    lame = pg.envs.Changes(ant, damages=("leg 2",)).acting[0]
    assert np.diag(lame).tolist() == [1, 1, 1, 1, 0, 0, 1, 1]
    plain = lived("InvertedPendulum-v0", [0.3])[1][0]
    left = lived("InvertedPendulum-v0", [-0.3], damages=("reversed",))[1][0]
    np.testing.assert_allclose(left, plain, atol=1e-6)
    light = lived("InvertedPendulum-v0", [0.3], changes={"mass": (0.5, 0.5)})[1][0]
    assert np.isfinite(light).all()
    assert not np.allclose(light, plain, atol=1e-3)
    with pytest.raises(ValueError, match="cannot name 'gravity'"):
        pg.envs.problem("Fast-v0", changes={"gravity": (1.0, 2.0)})
    with pytest.raises(ValueError, match="BraxBody has no damage 'leg 4'"):
        pg.envs.problem("Ant-v0", damages=("leg 4",))


@pytest.mark.parametrize("name", ["InvertedPendulum-v0", "Fast-v0"])
def test_networks_live_in_it(name):
    problem = pg.envs.problem(name, hidden=(4,), batch=2, presentations=5)
    record = pg.envs.lives(pg.rules.ABCD(), problem, keys=jax.random.split(KEY, 3))
    assert np.isfinite(record.losses).all()
    assert not record.diverged.any()


def test_one_body_is_compiled_once():
    one, other = (pg.envs.problem("Fast-v0", hidden=()) for _ in range(2))
    assert one.dynamics.environment is other.dynamics.environment


def test_other_bodies_of_brax_live_if_one_says_what_they_are_paid():
    problem = pg.envs.brax_body(
        "inverted_double_pendulum", hidden=(4,), presentations=3, chance=0.1, best=2.0
    )
    record = pg.envs.live(pg.rules.FixedWeights(problem.body.layers), problem, key=KEY)
    assert float(problem.chance.score) == np.float32(0.1)
    assert np.isfinite(record.tests.score).all()
    assert not record.diverged


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("antt", {}, "unknown body 'antt'; did you mean 'ant'"),
        ("hopper", {}, "`chance` and `best` must be given for 'hopper'"),
        ("ant", {"best": -1.0}, "`best` must exceed the `chance` of 0.0, got -1.0"),
    ],
)
def test_unknown_bodies_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        pg.envs.BraxBody(name, **options)
