"""Functions of known parts, and a new composition of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    return pg.envs.compositions(batch=64, presentations=3, known=2, parts=4, arguments=3)


def later(world, time):
    return eqx.tree_at(lambda w: w.time, world, jnp.asarray(time))


def codes(problem, world):
    values = problem.observe(world).values.reshape(64, 2, 7)
    return np.asarray(values[:, :, :4])


def test_the_new_composition_comes_last_and_only_then(problem):
    world = problem.reset(key=KEY)
    new = set(problem.pairs[int(world.new)])
    for time, expected in ((0, False), (1, False), (2, True)):
        parts = codes(problem, later(world, time)).argmax(2)
        assert {frozenset(row) == new for row in parts.tolist()} == {expected}
        assert (parts[:, 0] < parts[:, 1]).all()
    known = codes(problem, world).argmax(2)
    assert set(known.ravel()) == {0, 1, 2, 3}
    assert len({tuple(row) for row in known.tolist()}) == len(problem.pairs) - 1


def test_the_boundary_is_told_where_the_known_ones_end(problem):
    world = problem.reset(key=KEY)
    outputs = jnp.zeros((64, 2))
    told = [problem.respond(later(world, t), outputs)[1].boundary for t in range(3)]
    assert [bool(b.all()) for b in told] == [False, True, False]
    assert not told[0].any()


def test_targets_are_the_sum_of_the_parts(problem):
    world = problem.reset(key=KEY)
    values = np.asarray(problem.observe(world).values).reshape(64, 2, 7)
    expected = np.zeros((64, 2))
    for row in range(64):
        for token in values[row]:
            p = token[:4].argmax()
            assert token[p] == 2.0
            said = np.tanh(token[4:] @ np.asarray(world.inner[p])) @ np.asarray(world.outer[p])
            expected[row] += (said - np.asarray(world.mean[p])) / np.sqrt(2)
    feedback = problem.respond(world, jnp.zeros((64, 2)))[1]
    np.testing.assert_allclose(feedback.target.values, expected, rtol=1e-4, atol=1e-5)


def test_who_says_the_mean_has_the_loss_of_chance(problem):
    """Over worlds; a world has the mean of its draws."""

    def loss(key):
        world = problem.reset(key=key)
        return problem.respond(world, jnp.zeros((64, 2)))[2].loss

    losses = jax.vmap(loss)(jax.random.split(KEY, 100))
    np.testing.assert_allclose(losses.mean(), problem.chance.loss, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": 2}, "`parts` must be at least 3, got 2"),
        ({"known": 5, "presentations": 5}, "`known` must be less than `presentations` = 5"),
        ({"arguments": 0}, "`arguments` must be a positive whole number, got 0"),
        ({"batch": 0}, "`batch` must be a positive whole number, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.compositions(**options)


@pytest.mark.parametrize("layers", [(15, 4, 2), (8, 4, 2), (16,)])
def test_a_body_whose_inputs_are_no_two_tokens_is_refused(layers):
    with pytest.raises(ValueError, match="`body` must have an even number of inputs above 8"):
        pg.envs.Compositions(body=Body(layers), batch=2, presentations=2, known=1, parts=4)
