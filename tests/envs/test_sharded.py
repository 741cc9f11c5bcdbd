"""One problem in several worlds at once: what shards hold, what is measured, what is wrong."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Dirichlet, Even, MainClass, Sharded
from plasticgym.rules import SGD, Body, Replicas

KEY = jax.random.key(0)
K, MEASURED, CLASSES = 4, 7, 3
INPUTS, SIZES = 2, (30, 33, 36)  # examples of each class


@functools.cache
def source() -> pg.envs.Classification:
    """Inputs tell which example it is, and its class."""
    classes = np.repeat(np.arange(CLASSES), SIZES)
    inputs = np.stack([np.arange(len(classes)), classes], 1)
    examples = pg.envs.Examples(jnp.asarray(inputs, float), jnp.asarray(classes, jnp.uint8))
    body = Body((INPUTS, 4, CLASSES))
    return pg.envs.Classification(*[examples] * 3, body=body, batch=5, presentations=3)


SKEWS = {
    "even": Even(),
    "main-class": MainClass(own=9, other=4),
    "dirichlet": Dirichlet(alpha=0.3, size=12),
}


@functools.cache
def drawn(skew: str, stressor=None, bad=0):
    problem = Sharded(source(), K, MEASURED, skew=SKEWS[skew], stressor=stressor, bad=bad)
    keys = jax.random.split(KEY, 6)
    worlds = eqx.filter_jit(jax.vmap(lambda k: problem.reset(key=k)))(keys)
    return jax.tree.map(np.asarray, worlds)


@pytest.fixture(params=list(SKEWS))
def worlds(request):
    return drawn(request.param)


def test_shards_hold_examples_of_the_train_part_once(worlds):
    for shards, classes in zip(worlds.examples.inputs, worlds.examples.classes, strict=True):
        for rows, labels in zip(shards, classes, strict=True):
            assert len(np.unique(rows[:, 0])) == len(rows)
            assert np.array_equal(rows[:, 1], labels)


def test_measured_rows_are_in_no_shard_and_of_all_classes_alike(worlds):
    for shards, measured in zip(worlds.examples.inputs, worlds.measured.inputs, strict=True):
        assert not np.isin(measured[:, 0], shards[..., 0]).any()
        assert len(np.unique(measured[:, 0])) == MEASURED
        assert np.ptp(np.bincount(measured[:, 1].astype(int), minlength=CLASSES)) <= 1


def test_worlds_differ(worlds):
    assert len(np.unique(worlds.examples.inputs[:, 0, :, 0], axis=0)) > 1
    assert len(np.unique(worlds.measured.inputs[:, :, 0], axis=0)) > 1


def test_even_shards_share_no_example():
    for shards in drawn("even").examples.inputs:
        assert len(np.unique(shards[..., 0])) == shards[..., 0].size


def test_a_main_class_has_its_share_and_no_two_shards_the_same_of_it():
    for shards in drawn("main-class").examples.inputs:
        own = [rows[rows[:, 1] == n % CLASSES, 0] for n, rows in enumerate(shards)]
        assert [len(o) for o in own] == [9] * K
        assert not np.isin(own[3], own[0]).any()


@pytest.mark.parametrize(("alpha", "low", "high"), [(0.02, 0.9, 1.0), (100.0, 0.3, 0.6)])
def test_a_small_alpha_leaves_one_class(alpha, low, high):
    problem = Sharded(source(), 40, skew=Dirichlet(alpha=alpha, size=12))
    classes = np.asarray(problem.reset(key=KEY).examples.classes)
    largest = [np.bincount(c).max() / len(c) for c in classes]
    assert low <= np.mean(largest) <= high


def test_a_label_shift_spoils_so_many_shards_and_no_other():
    worlds = drawn("even", pg.envs.label_shift, 2)
    assert worlds.stressed.sum(1).tolist() == [2] * 6
    assert len(np.unique(worlds.stressed, axis=0)) > 1
    true, told = worlds.examples.inputs[..., 1], worlds.examples.classes
    shift = worlds.stressed[..., None].astype(int)
    np.testing.assert_array_equal(told, (true.astype(int) + shift) % CLASSES)


def test_a_pixel_shuffle_permutes_what_a_network_is_shown():
    problem = pg.envs.digits(hidden=(4,))
    train = pg.envs.Examples(problem.train.inputs[:20], problem.train.classes[:20])
    bad = pg.envs.pixel_shuffle(train, problem, KEY)
    world = eqx.tree_at(lambda w: w.view, problem.reset(key=KEY), None)
    before, after = (np.asarray(problem.shown(world, x.inputs)) for x in (train, bad))
    order = np.asarray(jax.random.permutation(KEY, before.shape[1]))
    np.testing.assert_allclose(after, before[:, order], atol=1e-4)
    np.testing.assert_array_equal(bad.classes, train.classes)


@functools.cache
def told():
    """A world, what it shows, and what it answers to random outputs."""
    problem = Sharded(source(), K, MEASURED)
    outputs = jax.random.normal(KEY, (problem.batch, CLASSES))

    @eqx.filter_jit
    def answered(problem, outputs):
        world = problem.reset(key=KEY)
        return world, problem.observe(world), problem.respond(world, outputs)

    return problem, outputs, *answered(problem, outputs)


def test_the_batch_is_blocks_of_the_worlds_and_then_measured_rows():
    problem, _, world, seen, (_, feedback, _) = told()
    assert problem.batch == K * 5 + MEASURED == len(seen.values)
    classes = np.asarray(feedback.target.values).argmax(1)
    for k in range(K):
        rows = np.asarray(world.worlds.order[k, 0])
        held = np.asarray(world.examples.classes[k])[rows]
        np.testing.assert_array_equal(classes[5 * k : 5 * k + 5], held)
    np.testing.assert_array_equal(classes[-MEASURED:], world.measured.classes)


def test_measured_rows_are_told_and_not_scored():
    _, feedback, outcome = told()[-1]
    assert not feedback.error[-MEASURED:].any()
    assert not feedback.reward[-MEASURED:].any()
    assert feedback.target.mask.all()
    np.testing.assert_allclose(outcome.loss, -feedback.reward[:-MEASURED].mean(), rtol=1e-5)


def test_a_test_is_the_mean_of_what_each_block_scores():
    """A network that knows everything, if it is asked in the first block of rows."""

    class Knowing(pg.envs.Frozen):
        def __call__(self, values, *, key):
            each = (len(values) - MEASURED) // K
            first = jnp.arange(len(values))[:, None] < each
            classes = values[:, 1:] * problem.problem.deviation[1] + problem.problem.mean[1]
            right = jnp.abs(jnp.arange(float(CLASSES))[None] - classes) < 0.5
            told = 9.0 * right.astype(float)
            return jnp.where(first, told, jnp.roll(told, 1, 1))

    problem, _, world, *_ = told()
    outcome = problem.test(
        world, Knowing(SGD(), pg.rules.State(problem.body, (), ())), part="validation", key=KEY
    )
    np.testing.assert_allclose(outcome.score, 1 / K, rtol=1e-6)


def test_any_problem_has_shards():
    problem = Sharded(pg.envs.sines(hidden=(4,), batch=3, presentations=2), 2)
    life = jax.eval_shape(lambda: pg.envs.live(SGD(), problem, key=KEY))
    assert life.losses.shape == (2,)
    assert problem.batch == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "`k` must be a positive whole number, got 0"),
        ({"measured": -2}, "`measured` must be a positive whole number, got -2"),
        ({"measured": 90}, "`measured` must be less than 90, so that no class is used up"),
        ({"bad": 5, "stressor": pg.envs.label_shift}, "from 0 to 4 shards, got 5"),
        ({"bad": 1}, "`stressor` must say what is wrong with 1 shards, got None"),
        (
            {"skew": MainClass(own=16, other=1)},
            "at most 15, for a class has 30 .*, and 2 of 4 shards",
        ),
        ({"skew": MainClass(own=1, other=70)}, "`other` must be at most 63, got 70"),
        ({"skew": Dirichlet(size=500)}, "`size` must be at most 99, got 500"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sharded(source(), **{"k": K} | options)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"replicas": 3}, "`replicas` must be 4, one for each shard, or divide it, got 3"),
        ({"replicas": 4}, "`measured` must be 7, the rows that the shards leave .*, got 0"),
    ],
)
def test_replicas_that_do_not_fit_the_shards_are_refused(sizes, message):
    problem, rule = Sharded(source(), K, MEASURED), Replicas(SGD(), **sizes)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: pg.envs.live(rule, problem, key=KEY))


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan")])
def test_an_alpha_that_is_not_positive_is_refused(alpha):
    with pytest.raises(ValueError, match="`alpha` must be positive"):
        Dirichlet(alpha=alpha)


def test_only_classes_can_be_dealt_out():
    with pytest.raises(
        ValueError, match=r"`problem` must be a `Classification`.* got Regression"
    ):
        Sharded(pg.envs.sines(), 2, skew=Even())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 201}, "`batch` must be a multiple of 10 shards, got 201"),
        ({"skew": "evn"}, "unknown skew 'evn'; did you mean 'even'"),
        ({"skew": "dirichlet(alpha=0)"}, "`alpha` must be positive"),
        ({"stressor": "label"}, "unknown `stressor` 'label'; did you mean 'label-shift'"),
    ],
)
def test_what_sharded_digits_do_not_take_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.sharded_digits(**options)
