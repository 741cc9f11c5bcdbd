"""Two halves of an image that belong together."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen
from plasticgym.rules import SGD, Body, CrossModal

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    return pg.envs.two_views(hidden=(6,), batch=10, presentations=2, embedding=4)


@pytest.fixture(scope="module")
def untrained(problem):
    # Of hidden units that are never all silent: no embedding is 0.
    rule = CrossModal((SGD(activation="tanh"),) * 2, inputs=problem.modalities)
    return Frozen(rule, rule.init(problem.body, key=KEY))


def test_a_network_that_says_the_same_of_all_scores_chance_loss(problem, untrained):
    silent = eqx.tree_at(
        lambda f: f.state.synapses,
        untrained,
        replace_fn=lambda s: jax.tree.map(jnp.zeros_like, s),
    )
    told = problem.test(problem.reset(key=KEY), silent, part="validation", key=KEY)
    np.testing.assert_allclose(told.loss, np.log(10), rtol=1e-5)
    np.testing.assert_allclose(told.score, problem.chance.score, rtol=1e-5)


def test_the_score_is_retrieval_among_a_batch(problem, untrained):
    world = problem.reset(key=KEY)
    values = problem.observe(world).values
    outputs = np.asarray(untrained(values, key=KEY))
    u, v = np.split(outputs, 2, axis=1)
    cosines = (u / np.linalg.norm(u, axis=1)[:, None]) @ (
        v / np.linalg.norm(v, axis=1)[:, None]
    ).T
    expected = (cosines.argmax(1) == np.arange(10)).mean()
    found = problem.respond(world, jnp.asarray(outputs))[2].score
    np.testing.assert_allclose(found, expected)


def test_classes_across_views_are_those_of_the_nearest_middle(problem, untrained):
    images = problem.images
    shown = lambda part: (  # noqa: E731
        (np.asarray(part.inputs, float) - np.asarray(images.mean))
        / np.asarray(images.deviation)
    )
    known, asked = (
        np.asarray(untrained(jnp.asarray(shown(part), jnp.float32), key=KEY))
        for part in (images.train, images.validation)
    )
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=1)[:, None], 1e-6)  # noqa: E731
    classes = np.asarray(images.train.classes)
    upper, lower = (unit(known[:, half]) for half in (slice(4), slice(4, None)))
    of = lambda views: np.stack([views[classes == c].sum(0) for c in range(10)])  # noqa: E731
    truth = np.asarray(images.validation.classes)
    expected = [
        ((unit(asked) @ unit(of(views)).T).argmax(1) == truth).mean()
        for asked, views in ((asked[:, :4], lower), (asked[:, 4:], upper))
    ]
    found = problem.across(untrained, part="validation", key=KEY)
    np.testing.assert_allclose(found, expected, atol=0.005)


@pytest.mark.parametrize("batch", [1, 301])
def test_a_batch_that_compares_nothing_or_too_much_is_refused(batch):
    with pytest.raises(ValueError, match=f"`batch` must be from 2 rows to 300, .* got {batch}"):
        pg.envs.two_views(batch=batch)


def test_a_body_whose_ends_do_not_fit_is_refused():
    with pytest.raises(ValueError, match="`body` must have 64 inputs and an even number"):
        pg.envs.TwoViews(pg.envs.digits(), body=Body((64, 5)), batch=4, presentations=2)
