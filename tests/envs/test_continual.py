"""Several tasks in one life: what comes when, and what is tested."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import plasticgym as pg
from plasticgym.envs import Continual, Frozen
from plasticgym.rules import SGD, State

KEY = jax.random.key(0)
BATCH, PRESENTATIONS = 16, 20
TASKS = ((0, 1), (2, 3, 4), (5, 6, 7, 8, 9))


@pytest.fixture(scope="module")
def digits():
    return pg.envs.digits(hidden=(), batch=BATCH, presentations=PRESENTATIONS)


@functools.cache
def lived(order, looks):
    """The inputs, classes and boundaries of a whole life, and its world."""
    base = pg.envs.digits(hidden=(), batch=BATCH, presentations=PRESENTATIONS)
    problem = Continual(base, TASKS, looks=looks, order=order)

    def presentation(world, _):
        seen = problem.observe(world)
        world, feedback, _ = problem.respond(world, jnp.zeros((BATCH, 10)))
        return world, (seen.values, feedback.target.values.argmax(1), feedback.boundary)

    world = problem.reset(key=KEY)
    _, found = jax.jit(lambda w: jax.lax.scan(presentation, w, length=PRESENTATIONS))(world)
    return problem, world, [np.asarray(x) for x in found]


@pytest.mark.parametrize("order", ["sequential", "mixed"])
def test_a_task_ends_with_its_last_presentation(order):
    problem, _, (_, _, boundaries) = lived(order, "fixed")
    assert problem.ends == (6, 13, 20)
    assert np.array_equal(boundaries.all(1), boundaries.any(1))
    assert tuple(np.flatnonzero(boundaries[:, 0]) + 1) == problem.ends


def test_in_sequence_each_task_shows_its_own_classes_only():
    problem, _, (_, classes, _) = lived("sequential", "fixed")
    starts = (0, *problem.ends[:-1])
    for task, start, end in zip(TASKS, starts, problem.ends, strict=True):
        assert set(classes[start:end].ravel()) == set(task)


def test_mixed_all_tasks_come_all_the_time_and_equally_often():
    _, world, (_, classes, _) = lived("mixed", "fixed")
    tasks = np.asarray(world.tasks)
    of_class = {c: t for t, task in enumerate(TASKS) for c in task}
    assert np.array_equal(np.vectorize(of_class.get)(classes), tasks)
    for half in np.split(tasks, 2):
        shares = np.bincount(half.ravel()) / half.size
        np.testing.assert_allclose(shares, 1 / 3, atol=0.12)


@pytest.mark.parametrize("order", ["sequential", "mixed"])
def test_each_task_permutes_pixels_in_its_own_way(order):
    problem, world, (seen, _, _) = lived(order, "permuted")
    views, tasks = np.asarray(world.views), np.asarray(world.tasks)
    assert len(np.unique(views, axis=0)) == len(TASKS)
    raw = np.asarray(problem.problem.shown(world.stream, problem.problem.train.inputs))
    for time in (0, 7, 19):
        plain = raw[np.asarray(world.stream.order)[time]]
        for row in (0, 5):
            expected = plain[row][views[tasks[time, row]]]
            np.testing.assert_allclose(seen[time, row], expected, atol=1e-5)


def network(problem) -> Frozen:
    state = SGD().init(problem.body, key=KEY)
    return Frozen(SGD(), jax.tree.map(lambda w: w + 0.1, state))


def test_it_is_tested_on_each_task_apart_among_all_outputs():
    problem, world, _ = lived("sequential", "fixed")
    net = network(problem)
    told = problem.test(world, net, part="validation", key=KEY)
    examples = problem.problem.validation
    outputs = net(problem.problem.shown(world.stream, examples.inputs), key=KEY)
    classes, losses = np.asarray(examples.classes), -np.asarray(jax.nn.log_softmax(outputs))
    for i, task in enumerate(TASKS):
        mine = np.isin(classes, task)
        right = np.asarray(outputs).argmax(1)[mine] == classes[mine]
        recall = [right[classes[mine] == c].mean() for c in task]
        np.testing.assert_allclose(told.score[i], np.mean(recall), rtol=1e-5)
        loss = losses[mine, classes[mine]].mean()
        np.testing.assert_allclose(told.loss[i], loss, rtol=1e-5)
    everything = balanced_accuracy_score(classes, np.asarray(outputs).argmax(1))
    np.testing.assert_allclose(problem.overall(told).score, everything, rtol=1e-5)


def test_permuted_tasks_are_tested_as_they_look():
    """Undoing a permutation in the weights makes that task the problem itself."""
    problem, world, _ = lived("sequential", "permuted")
    net = network(problem)
    whole = Continual(problem.problem, ((*range(10),),))
    plain = whole.test(whole.reset(key=KEY), net, part="validation", key=KEY)
    weights = net.state.synapses[0]["weight"]
    for task, view in enumerate(np.asarray(world.views)):
        turned = jnp.concatenate([weights[:-1][view], weights[-1:]])
        state = State(net.state.body, (), ({"weight": turned},))
        everything = Continual(problem.problem, ((*range(10),),) * 3, looks="permuted")
        told = everything.test(world, Frozen(SGD(), state), part="validation", key=KEY)
        np.testing.assert_allclose(told.loss[task], plain.loss[0], rtol=1e-4)
        assert not np.allclose(told.loss[task - 1], plain.loss[0], rtol=1e-2)


def test_a_lifetime_holds_all_tasks_and_each():
    problem, _, _ = lived("sequential", "fixed")
    good, bad = (
        pg.envs.live(SGD(rate=r), problem, key=KEY, tests=problem.ends) for r in (0.01, 1e30)
    )
    assert good.tests.score.shape == bad.tests.score.shape == (3, 3)
    assert good.overall.score.shape == (3,)
    weights = np.array([2.0, 3.0, 5.0]) / 10
    np.testing.assert_allclose(good.overall.score, good.tests.score @ weights, rtol=1e-5)
    assert bad.diverged
    np.testing.assert_allclose(bad.tests.score, 0.1)  # chance
    np.testing.assert_allclose(bad.overall.loss, problem.chance.loss, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ((0, 1), (2, 10))}, "`tasks` must name classes from 0 to 9, got 10"),
        ({"tasks": ((0, 1), (-1,))}, "`tasks` must name classes from 0 to 9, got -1"),
        ({"tasks": ((0, 1), (True,))}, "`tasks` must name classes from 0 to 9, got True"),
        ({"tasks": ()}, r"`tasks` must be a tuple with the classes .* got \(\)"),
        ({"tasks": ((0,), ())}, "`tasks` must be a tuple with the classes"),
        ({"tasks": 3}, "`tasks` must be a tuple with the classes .* got 3"),
        ({"tasks": ((0,),) * 21}, "`presentations` must be .* each of the 21 tasks, got 20"),
        ({"looks": "permute"}, "unknown `looks` 'permute'; did you mean 'permuted'"),
        ({"order": "mix"}, "unknown `order` 'mix'; did you mean 'mixed'"),
    ],
)
def test_what_does_not_fit_is_refused(change, message, digits, unchecked):
    options = {"tasks": TASKS} | change
    with pytest.raises(ValueError, match=message):
        Continual(digits, options.pop("tasks"), **options)


def test_a_view_for_all_tasks_alike_is_refused():
    base = pg.envs.digits(view="rotated")
    with pytest.raises(
        ValueError, match="`problem` must have the view \"fixed\", got 'rotated'"
    ):
        Continual(base, TASKS)


def test_the_number_of_permuted_tasks_is_checked(unchecked):
    with pytest.raises(ValueError, match="`tasks` must be a positive whole number, got 0"):
        pg.envs.permuted_digits(tasks=0)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (pg.rules.InvariantPath("sgd", anchors=97, tasks=2), "anchors"),
        (pg.rules.Replay("sgd", samples=97, tasks=2), "samples"),
        (pg.rules.GradientProjectionMemory("sgd", samples=97), "samples"),
    ],
)
def test_no_more_is_kept_of_a_task_than_it_has(rule, name):
    """The shortest task has 6 presentations of 16 rows."""
    problem, _, _ = lived("sequential", "fixed")
    with pytest.raises(ValueError, match=f"`{name}` must be at most 96, .* got 97; keep fewer"):
        pg.envs.born(rule, problem, key=KEY)
    few = dataclasses.replace(rule, **{name: 96})
    jax.eval_shape(lambda: pg.envs.born(few, problem, key=KEY))


def test_no_more_is_kept_of_a_task_than_there_are_different_examples():
    problem = pg.envs.split_digits(hidden=(), batch=1000, presentations=2)
    most = int((np.asarray(problem.problem.train.classes) < 5).sum())
    assert problem.past == (most,)
    rule = pg.rules.Replay("sgd", samples=most + 1)
    with pytest.raises(ValueError, match=f"must be at most {most}, the different rows"):
        pg.envs.born(rule, problem, key=KEY)


@pytest.mark.parametrize("kind", [pg.rules.InvariantPath, pg.rules.Replay])
def test_a_rule_has_room_for_all_tasks_but_the_last(kind):
    problem, _, _ = lived("sequential", "fixed")
    with pytest.raises(ValueError, match=r"`tasks` must be at least 2, .* got 1; keep some"):
        pg.envs.born(kind("sgd"), problem, key=KEY)


@pytest.mark.parametrize("build", [pg.envs.split_digits, pg.envs.permuted_digits])
def test_pixels_keep_their_relative_scale(build):
    base = build().problem
    raw = np.asarray(base.train.inputs, np.float64)
    np.testing.assert_allclose(base.mean, raw.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(base.deviation, np.sqrt(raw.var(0).mean()), rtol=1e-5)
