"""Bodies that move: lives over falls, their scores, and how bodies change."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import CartPole, Changes, Control, Pendulum
from plasticgym.rules import SGD, Body

KEY = jax.random.key(0)
STEPS = 230


def cart_pole(**options):
    return pg.envs.cart_pole(**{"hidden": (), "batch": 3, "presentations": STEPS} | options)


def lived(problem, push, key=KEY):
    """What a world went through whose rows always answer `push`, and the world at the end."""
    outputs = jnp.broadcast_to(jnp.asarray(push, float), (problem.batch, len(push)))

    def step(world, _):
        seen = problem.observe(world)
        after, feedback, outcome = problem.respond(world, outputs)
        told = (seen.values, world.starts, world.episode, feedback.reward, outcome)
        return after, told

    def life(problem, key):
        return jax.lax.scan(step, problem.reset(key=key), length=problem.presentations)

    world, told = eqx.filter_jit(life)(problem, key)
    return world, *jax.tree.map(np.asarray, told)


@pytest.fixture(scope="module")
def falling():
    return cart_pole(), *lived(cart_pole(), [0.0, 1.0])


def test_rows_that_fell_begin_another_episode(falling):
    problem, _, seen, starts, episode, reward, _ = falling
    assert starts[0].all()
    falls = reward == -1.0
    assert set(np.unique(reward)) == {-1.0, 0.0}
    np.testing.assert_array_equal(starts[1:], falls[:-1])
    np.testing.assert_array_equal(episode[1:], falls.cumsum(0)[:-1])
    # An episode begins near upright, each in a place of its own.
    begun = seen[starts]
    assert np.abs(begun * [2.4, 2.0, np.radians(12), 2.0]).max() <= 0.05
    assert len(np.unique(begun[: problem.dynamics.beginnings], axis=0)) > 10


def test_the_score_is_of_the_last_200_presentations(falling):
    problem, world, *_, reward, outcome = falling
    falls = -reward[-200:].mean(1).sum()
    assert falls > 10
    np.testing.assert_allclose(outcome.score[-1], 1 / (1 + falls), rtol=1e-5)
    expected = (1.0 - outcome.score[-1]) / (1.0 - problem.dynamics.chance)
    np.testing.assert_allclose(outcome.loss[-1], expected, rtol=1e-5)
    assert outcome.weight.tolist() == [0.0] * 199 + [1.0] * (STEPS - 199)
    np.testing.assert_allclose(outcome.score[:199], problem.chance.score)
    np.testing.assert_allclose(outcome.loss[:199], 1.0)
    network = pg.envs.Frozen(SGD(), SGD().init(problem.body, key=KEY))
    for part in ("train", "validation", "test"):
        told = problem.test(world, network, part=part, key=KEY)
        assert float(told.score) == outcome.score[-1]


def test_where_more_than_survival_is_paid_the_score_is_the_mean_reward():
    problem = pg.envs.pendulum(hidden=(), batch=2, presentations=210)
    *_, starts, _, reward, outcome = lived(problem, [0.5])
    np.testing.assert_allclose(outcome.score[-1], reward[-200:].mean(), rtol=1e-5)
    assert np.flatnonzero(starts[:, 0]).tolist() == [0, 200]  # its episodes are that long
    chance, best = problem.dynamics.chance, problem.dynamics.best
    expected = np.maximum((best - outcome.score[-1]) / (best - chance), 0)
    np.testing.assert_allclose(outcome.loss[-1], expected, rtol=1e-5)


def test_a_short_life_is_scored_as_a_whole():
    problem = cart_pole(presentations=30)
    *_, reward, outcome = lived(problem, [1.0, 0.0])
    assert outcome.weight.tolist() == [0.0] * 29 + [1.0]
    np.testing.assert_allclose(outcome.score[-1], 1 / (1 - reward.mean(1).sum()), rtol=1e-5)


def test_there_is_a_reward_and_nothing_else_to_learn_from():
    problem = cart_pole()
    respond = lambda p: p.respond(p.reset(key=KEY), jnp.ones((3, 2)))  # noqa: E731
    feedback = eqx.filter_jit(respond)(problem)[1]
    assert not feedback.error.any()
    assert not feedback.target.mask.any()
    assert not feedback.boundary.any()


def test_a_body_is_as_it_was_until_it_is_changed():
    plain = lived(cart_pole(), [0.0, 1.0])[1]
    changed = lived(cart_pole(changes={"gravity": (2.0, 2.0)}, at=20), [0.0, 1.0])[1]
    np.testing.assert_allclose(changed[:21], plain[:21], atol=1e-6)
    assert not np.allclose(changed[21:25], plain[21:25], atol=1e-4)


def test_a_reversed_body_does_the_contrary():
    right = lived(cart_pole(), [0.0, 1.0])[1]
    left = lived(cart_pole(damages=("reversed",)), [1.0, 0.0])[1]
    np.testing.assert_array_equal(left, right)
    up = pg.envs.pendulum(hidden=(), damages=("reversed",), presentations=30)
    turned = lived(up, [0.7])[1]
    plain = lived(pg.envs.pendulum(hidden=(), presentations=30), [-0.7])[1]
    np.testing.assert_allclose(turned, plain, atol=1e-6)


def test_permuted_sensors_are_connected_in_another_order():
    plain = lived(cart_pole(), [0.0, 1.0])[1]
    seen = set()
    for number in range(23):  # all orders of four but one
        order = Changes(CartPole(), damages=(f"permuted {number}",)).sensing[0].argmax(0)
        seen.add(tuple(order.tolist()))
    assert len(seen) == 23
    assert (0, 1, 2, 3) not in seen
    permuted = lived(cart_pole(damages=("permuted 5",), at=40), [0.0, 1.0])[1]
    order = Changes(CartPole(), damages=("permuted 5",)).sensing[0].argmax(0)
    np.testing.assert_allclose(permuted[:40], plain[:40], atol=1e-6)
    np.testing.assert_allclose(permuted[40:], plain[40:][..., np.asarray(order)], atol=1e-6)


def test_delayed_outputs_act_later():
    problem = pg.envs.pendulum(hidden=(), presentations=30, changes={"delay": (2, 2)})
    plain = pg.envs.pendulum(hidden=(), presentations=30)

    @eqx.filter_jit
    def motion(problem, outputs):
        def step(world, output):
            speed = problem.observe(world).values[0, 2]
            return problem.respond(world, output[None, None])[0], speed

        return jax.lax.scan(step, problem.reset(key=KEY), jnp.array(outputs))[1]

    late = motion(problem, [1.0, -1.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(late, motion(plain, [0.0, 0.0, 1.0, -1.0, 0.5]), atol=1e-6)


def test_noise_is_of_the_size_that_was_drawn():
    noisy = cart_pole(changes={"noise": (0.1, 0.1)})
    added = np.subtract(lived(noisy, [0.0, 1.0])[1], lived(cart_pole(), [0.0, 1.0])[1])
    np.testing.assert_allclose(added.std(), 0.1, rtol=0.1)
    np.testing.assert_allclose(added.mean(), 0.0, atol=0.01)


def test_each_world_draws_its_own_change():
    changes = Changes(
        CartPole(),
        {"gravity": (0.5, 2.0), "delay": (0, 3), "noise": (0.0, 0.2)},
        ("intact", "reversed", "permuted 1"),
    )
    keys = jax.random.split(KEY, 400)
    drawn = jax.vmap(lambda k: changes.draw(key=k))(keys)
    gravity = np.asarray(drawn.factors["gravity"])
    assert 0.5 <= gravity.min() < 0.55 < 1.9 < gravity.max() <= 2.0
    np.testing.assert_allclose(np.log(gravity).mean(), 0.0, atol=0.07)
    counts = np.bincount(np.asarray(drawn.delay), minlength=4)
    assert len(counts) == 4
    assert counts.min() > 70
    assert 0.0 <= drawn.noise.min() < 0.02 < 0.18 < drawn.noise.max() <= 0.2
    kinds = np.unique(np.asarray(drawn.acting).reshape(400, -1), axis=0, return_counts=True)[1]
    assert sorted(kinds // 100) == [1, 2]  # a third of them is reversed
    same = jax.tree.map(np.array_equal, drawn, jax.vmap(lambda k: changes.draw(key=k))(keys))
    assert jax.tree.all(same)


def test_changes_of_other_ranges_share_one_compilation(compilations):
    run = eqx.filter_jit(lambda p: p.respond(p.reset(key=KEY), jnp.ones((3, 2)))[2].loss)
    options = {"changes": {"gravity": (0.5, 2.0)}, "damages": ("permuted 1",), "at": 3}
    run(cart_pole(**options))
    other = {"changes": {"gravity": (2.0, 3.0)}, "damages": ("permuted 2",), "at": 9}
    other = cart_pole(**other)
    compilations.clear()
    run(other)
    assert compilations == []


def test_a_network_lives_in_it_alone_as_among_others():
    problem, rule = cart_pole(presentations=12), pg.rules.ABCD()
    keys = jax.random.split(KEY, 2)
    many = pg.envs.lives(rule, problem, keys=keys)
    alone = eqx.filter_jit(pg.envs.live)(rule, problem, key=keys[1])
    np.testing.assert_allclose(many.scores[1], alone.scores, atol=1e-6)
    assert not many.diverged.any()


GIVEN = {"body": Body((4, 2)), "batch": 1, "presentations": 9}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Control(CartPole(), **GIVEN | {"batch": 0}), "`batch` must be a positive"),
        (
            lambda: Control(CartPole(), **GIVEN | {"body": Body((3, 2))}),
            r"`body` must have 4 inputs and 2 outputs to fit CartPole, got layers \(3, 2\)",
        ),
        (lambda: cart_pole(at=-1), "`at` must be a whole number of presentations, got -1"),
        (
            lambda: cart_pole(at=STEPS),
            f"`at` must be less than the {STEPS} presentations, or the body",
        ),
        (lambda: cart_pole(at=True), "`at` must be a whole number of presentations, got True"),
        (lambda: cart_pole(damages=()), r"`damages` must be a tuple of names, got \(\)"),
        (lambda: cart_pole(damages="leg 0"), "`damages` must be a tuple of names, got 'leg 0'"),
        (
            lambda: cart_pole(damages=("leg 0",)),
            "CartPole has no damage 'leg 0'; known are intact, permuted 0, reversed",
        ),
        (
            lambda: cart_pole(damages=("reverse",)),
            "CartPole has no damage 'reverse'; did you mean 'reversed'",
        ),
        (
            lambda: cart_pole(damages=("permuted 23",)),
            "`damages` of 4 sensors go up to 'permuted 22', got 'permuted 23'",
        ),
        (
            lambda: cart_pole(changes={"gravty": (1, 2)}),
            "`changes` of CartPole cannot name 'gravty'; did you mean 'gravity'",
        ),
        (
            lambda: cart_pole(changes={"mass": (2, 1)}),
            r"`changes\['mass'\]` must be a range .* got \(2, 1\)",
        ),
        (
            lambda: cart_pole(changes={"mass": 2}),
            r"`changes\['mass'\]` must be a range .* got 2",
        ),
        (
            lambda: cart_pole(changes={"mass": (0, 1)}),
            r"`changes\['mass'\]` must be positive factors, got \(0, 1\)",
        ),
        (
            lambda: cart_pole(changes={"delay": (0, 1.5)}),
            r"`changes\['delay'\]` must be whole numbers of at most 32, got \(0, 1.5\)",
        ),
        (
            lambda: cart_pole(changes={"noise": (0, float("inf"))}),
            r"`changes\['noise'\]` must be a range .* got \(0, inf\)",
        ),
    ],
)
def test_bad_input_is_refused(build, message, unchecked):
    with pytest.raises(ValueError, match=message):
        build()


def test_without_brax_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "brax.envs", None)
    pg.envs._brax_body._environment.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r"needs brax.*plasticgym\[control\]"):
        pg.envs.problem("Ant-v0")


def test_the_swing_of_a_pendulum_can_be_read_from_its_sensors():
    felt = Pendulum().sense(jnp.array([np.pi / 2, 4.0]))
    np.testing.assert_allclose(felt, [0.0, 1.0, 0.5], atol=1e-6)
