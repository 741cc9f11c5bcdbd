"""What every registered problem keeps to, and what is particular to data sets and views."""

import functools
import inspect
import zlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets
from sklearn.metrics import balanced_accuracy_score

import plasticgym as pg
from plasticgym.envs import Classification, Examples, Frozen
from plasticgym.rules import SGD, Body

KEY = jax.random.key(0)
BATCH = 8
# What needs files or a library that may not be here has tests of its own.
WITH_BRAX = {"Ant-v0", "HalfCheetah-v0", "InvertedPendulum-v0", "Fast-v0"}
ALL = [name for name in pg.envs.PROBLEMS if "Mnist" not in name and name not in WITH_BRAX]
NAMES = [name for name in ALL if "view" in inspect.signature(pg.envs.PROBLEMS[name]).parameters]
# Who moves a body is not told what it should have done.
MOVING = {"CartPole-v0", "Pendulum-v0", "Acrobot-v0", "MountainCar-v0"}
# Kept unseen while rules are designed: built and checked for form, but no network in them.
UNSEEN = {"Wine-v0", "BreastCancer-v0", "Cross-v0", "Triangle-v0", "Blobs-v0"}
# One of each kind; the others are slow tests.
EXEMPLARS = {
    "Digits-v0",
    "Xor-v0",
    "Wine-v0",
    "Diabetes-v0",
    "Repeats-v0",
    "Remember-v0",
    "SplitDigits-v0",
    "CartPole-v0",
    "ShardedDigits-v0",
    "CrossModalAnswer-v0",
}
assert {*ALL} >= EXEMPLARS
PARTS = {"train": "train", "validation": "validation", "test": "held_out"}
SIZES = {
    "Digits-v0": (997, 300, 500),
    "Wine-v0": (98, 30, 50),
    "BreastCancer-v0": (319, 100, 150),
}
CHECKSUMS = {
    "Digits-v0": 3268208988,
    "Wine-v0": 2067175552,
    "BreastCancer-v0": 1218074284,
    "Xor-v0": 2359371004,
    "Nxor-v0": 341523637,
    "Or-v0": 106098969,
    "And-v0": 698015394,
    "Moons-v0": 4264620846,
    "Circle-v0": 1771934412,
    "Slice-v0": 2970073411,
    "Cross-v0": 3890241666,
    "Triangle-v0": 1526963531,
    "Blobs-v0": 4077419139,
}
LOADERS = {
    "Digits-v0": datasets.load_digits,
    "Wine-v0": datasets.load_wine,
    "BreastCancer-v0": datasets.load_breast_cancer,
}


def members(names):
    """Parameters of a fixture."""
    return [
        pytest.param(name, marks=() if name in EXEMPLARS else pytest.mark.slow)
        for name in names
    ]


@functools.cache
def build(name, view=None, presentations=3):
    options = {} if view is None else {"view": view}
    options |= {"batch": BATCH, "presentations": presentations, "hidden": (4,)}
    # A memory needs a life that is long enough, and has one stream.
    options |= {"stored": 2, "delay": 1}
    options |= {"k": 2}  # shards, which divide the batch
    takes = inspect.signature(pg.envs.PROBLEMS[name]).parameters
    return pg.envs.problem(name, **{k: v for k, v in options.items() if k in takes})


@pytest.fixture(params=members(ALL))
def any_problem(request):
    return build(request.param, presentations=6)


@pytest.fixture(params=members(NAMES))
def problem(request):
    return build(request.param)


@pytest.fixture(params=members(name for name in NAMES if name not in UNSEEN))
def inhabited(request):
    return build(request.param)


def untrained(problem, key=KEY) -> Frozen:
    """A network as it is born; biases are drawn too."""
    state = SGD().init(problem.body, key=key)
    return Frozen(
        SGD(), jax.tree.map(lambda w: w + 0.3 * jax.random.normal(key, w.shape), state)
    )


def rows(examples: Examples) -> list[bytes]:
    inputs, classes = np.asarray(examples.inputs, np.float32), np.asarray(examples.classes)
    return [x.tobytes() + bytes([c]) for x, c in zip(inputs, classes, strict=True)]


def test_its_sizes_are_what_was_asked_for(any_problem, request):
    assert any_problem.body.layers[1:-1] == (4,)
    assert any_problem.presentations == 6
    takes = inspect.signature(pg.envs.PROBLEMS[request.node.callspec.params["any_problem"]])
    assert any_problem.batch == (BATCH if "batch" in takes.parameters else 1)


def test_a_presentation_has_the_shapes_of_the_contract(any_problem):
    inputs, outputs = any_problem.body.layers[0], any_problem.body.layers[-1]
    batch = any_problem.batch

    def presentation():
        world = any_problem.reset(key=KEY)
        seen = any_problem.observe(world)
        return world, seen, any_problem.respond(world, jnp.zeros((batch, outputs)))

    world, seen, (after, feedback, outcome) = jax.eval_shape(presentation)
    same = jax.tree.map(lambda a, b: a.shape == b.shape and a.dtype == b.dtype, world, after)
    assert all(jax.tree.leaves(same))
    assert seen.values.shape == seen.mask.shape == (batch, inputs)
    assert seen.starts.shape == (batch,)
    assert feedback.target.values.shape == feedback.error.shape == (batch, outputs)
    assert feedback.reward.shape == feedback.boundary.shape == (batch,)
    assert outcome.loss.shape == outcome.score.shape == outcome.weight.shape == ()
    assert {x.dtype for x in (seen.values, feedback.error, outcome.loss)} == {
        jnp.dtype("float32")
    }


@pytest.mark.parametrize("name", [name for name in ALL if name not in MOVING])
def test_errors_and_rewards_are_of_each_examples_loss(name):
    """The reward is minus the loss of an example, the error minus its derivative."""
    any_problem = build(name, presentations=6)
    outputs = jax.random.normal(KEY, (any_problem.batch, any_problem.body.layers[-1]))

    @jax.jit
    def both(problem, outputs):
        world = problem.reset(key=KEY)
        total = lambda o: problem.respond(world, o)[1].reward.sum()  # noqa: E731
        return problem.respond(world, outputs)[1], jax.grad(total)(outputs)

    feedback, gradient = both(any_problem, outputs)
    np.testing.assert_allclose(feedback.error, gradient, atol=1e-6)
    assert (feedback.reward < 0).all()


@pytest.mark.parametrize("name", [name for name in ALL if name not in UNSEEN])
def test_it_is_tested_on_every_part_and_no_other(name, unchecked):
    problem = build(name, presentations=6)
    world, network = problem.reset(key=KEY), untrained(problem)
    for part in PARTS:
        shapes = jax.eval_shape(lambda p=part: problem.test(world, network, part=p, key=KEY))
        assert shapes.loss.shape == shapes.score.shape == shapes.weight.shape
        assert len(shapes.loss.shape) <= 1  # an axis of tasks, if there are several
        assert jax.eval_shape(problem.overall, shapes).loss.shape == ()
    with pytest.raises(ValueError, match="unknown `part` 'tests'; did you mean 'test'"):
        problem.test(world, network, part="tests", key=KEY)


def test_nothing_is_hidden_and_every_row_begins_an_episode(problem):
    world = problem.reset(key=KEY)
    seen = problem.observe(world)
    _, feedback, outcome = problem.respond(world, jnp.zeros((BATCH, problem.body.layers[-1])))
    assert seen.mask.all()
    assert seen.starts.all()
    assert feedback.target.mask.all()
    assert not feedback.boundary.any()
    assert float(outcome.weight) == 1.0
    assert np.array_equal(feedback.target.values.sum(1), np.ones(BATCH))


def test_chance_is_the_entropy_of_the_train_classes_and_one_in_so_many(problem):
    shares = np.bincount(np.asarray(problem.train.classes)) / len(problem.train.classes)
    np.testing.assert_allclose(problem.chance.loss, -(shares @ np.log(shares)), rtol=1e-6)
    np.testing.assert_allclose(problem.chance.score, 1 / len(shares), rtol=1e-6)
    assert float(problem.chance.weight) == 1.0


def test_knowing_only_the_frequencies_scores_chance(inhabited):
    shares = np.bincount(np.asarray(inhabited.train.classes)) / len(inhabited.train.classes)
    state = jax.tree.map(jnp.zeros_like, SGD().init(inhabited.body, key=KEY))
    biases = jnp.asarray(np.log(shares), jnp.float32)
    last = {"weight": state.synapses[-1]["weight"].at[-1].set(biases)}
    state = eqx.tree_at(lambda s: s.synapses, state, (*state.synapses[:-1], last))
    world = inhabited.reset(key=KEY)
    told = inhabited.test(world, Frozen(SGD(), state), part="train", key=KEY)
    np.testing.assert_allclose(told.loss, inhabited.chance.loss, rtol=1e-5)
    np.testing.assert_allclose(told.score, inhabited.chance.score, rtol=1e-5)


def test_parts_share_no_example(problem):
    """Examples that the source holds twice count as two."""
    seen: set[bytes] = set()
    for part in PARTS.values():
        new = set(rows(getattr(problem, part)))
        assert not seen & new
        seen |= new


@pytest.mark.parametrize("name", NAMES)
def test_parts_have_the_documented_sizes(name):
    sizes = tuple(len(getattr(build(name), part).classes) for part in PARTS.values())
    assert sizes == SIZES.get(name, (1000, 500, 500))


@pytest.mark.parametrize("name", LOADERS)
def test_the_parts_of_a_table_are_all_of_its_rows_in_even_shares(name):
    problem = build(name)
    inputs, classes = LOADERS[name](return_X_y=True)
    whole = Examples(jnp.asarray(inputs, jnp.float32), jnp.asarray(classes, jnp.uint8))
    parts = [getattr(problem, part) for part in PARTS.values()]
    assert sorted(row for part in parts for row in rows(part)) == sorted(rows(whole))
    shares = np.bincount(classes) / len(classes)
    for part in parts:
        counts = np.bincount(np.asarray(part.classes), minlength=len(shares))
        assert np.abs(counts - shares * counts.sum()).max() <= 1.0


def test_every_part_holds_the_classes_in_like_shares(problem):
    shares = [
        np.bincount(np.asarray(getattr(problem, part).classes), minlength=2)
        / len(getattr(problem, part).classes)
        for part in PARTS.values()
    ]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.06)
    np.testing.assert_allclose(shares[2], shares[0], atol=0.06)


def test_parts_never_change(problem, request):
    """Scores that were published hold only as long as the parts are these."""
    name = request.node.callspec.params["problem"]
    classes = [np.asarray(getattr(problem, part).classes) for part in PARTS.values()]
    assert zlib.crc32(np.concatenate(classes).tobytes()) == CHECKSUMS[name]


def test_inputs_are_standardised_by_the_train_part_alone(problem):
    train = np.asarray(problem.train.inputs, np.float64)
    assert np.asarray(problem.mean).shape == (train.shape[1],)
    far = Examples(problem.validation.inputs * 0 + 9, problem.validation.classes)
    other = Classification(
        problem.train, far, far, body=problem.body, batch=BATCH, presentations=3
    )
    world = problem.reset(key=KEY)
    seen = problem.observe(world).values
    assert np.array_equal(seen, other.observe(world).values)
    deviation = np.where(train.std(0) > 0, train.std(0), 1.0)
    expected = ((train - train.mean(0)) / deviation)[np.asarray(world.order[0])]
    np.testing.assert_allclose(seen, expected, atol=1e-4)


def test_the_stream_comes_from_the_train_part_in_another_order_per_world(problem):
    worlds = jax.vmap(lambda k: problem.reset(key=k))(jax.random.split(KEY, 50))
    order = np.asarray(worlds.order)
    assert order.shape == (50, 3, BATCH)
    assert order.min() >= 0
    assert order.max() < len(problem.train.classes)
    assert order.max() > 0.9 * len(problem.train.classes)
    assert len(np.unique(order.reshape(50, -1), axis=0)) == 50


def test_the_error_is_minus_the_gradient_of_each_examples_loss(problem):
    outputs = jax.random.normal(KEY, (BATCH, problem.body.layers[-1]))

    @jax.jit
    def both(problem, outputs):
        world = problem.reset(key=KEY)
        total = lambda o: BATCH * problem.respond(world, o)[2].loss  # noqa: E731
        return problem.respond(world, outputs)[1], jax.value_and_grad(total)(outputs)

    feedback, (loss, gradient) = both(problem, outputs)
    np.testing.assert_allclose(feedback.error, -gradient, atol=1e-6)
    np.testing.assert_allclose(feedback.reward.sum(), -loss, rtol=1e-5)
    assert (feedback.reward < 0).all()


def test_the_score_of_a_presentation_is_the_share_that_is_right(problem):
    world = problem.reset(key=KEY)
    target = problem.respond(world, jnp.zeros((BATCH, problem.body.layers[-1])))[1].target
    outputs = target.values.at[0].set(1.0 - target.values[0])
    outcome = problem.respond(world, outputs)[2]
    np.testing.assert_allclose(outcome.score, 1 - 1 / BATCH)


@pytest.mark.parametrize("part", PARTS)
def test_held_out_parts_are_scored_by_balanced_accuracy(inhabited, part):
    world, network = inhabited.reset(key=KEY), untrained(inhabited)
    told = inhabited.test(world, network, part=part, key=KEY)
    examples = getattr(inhabited, PARTS[part])
    raw = np.asarray(examples.inputs, np.float32)
    inputs = (raw - np.asarray(inhabited.mean)) / np.asarray(inhabited.deviation)
    outputs = np.asarray(network(jnp.asarray(inputs), key=KEY))
    classes = np.asarray(examples.classes)
    expected = balanced_accuracy_score(classes, outputs.argmax(1))
    np.testing.assert_allclose(told.score, expected, rtol=1e-5)
    outputs = outputs - outputs.max(1, keepdims=True)
    log_p = outputs - np.log(np.exp(outputs).sum(1, keepdims=True))
    np.testing.assert_allclose(
        told.loss, -log_p[np.arange(len(classes)), classes].mean(), rtol=1e-4
    )


VIEWED = ["Digits-v0", "Xor-v0"]


@pytest.mark.parametrize("view", ["permuted", "rotated"])
@pytest.mark.parametrize("name", VIEWED)
def test_a_view_is_drawn_per_world_and_keeps_lengths(name, view):
    problem = build(name, view)
    views = np.asarray(jax.vmap(lambda k: problem.reset(key=k).view)(jax.random.split(KEY, 8)))
    n = problem.body.layers[0]
    assert len(np.unique(views.round(4), axis=0)) > 1
    for matrix in views:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(n), atol=1e-5)
    assert np.isin(views, [0.0, 1.0]).all() == (view == "permuted")


@pytest.mark.parametrize("view", ["permuted", "rotated"])
@pytest.mark.parametrize("name", VIEWED)
def test_a_view_shows_the_stream_and_all_parts_alike(name, view):
    """Undoing it in the first weights of a network undoes it altogether."""
    plain, problem = build(name), build(name, view)
    world = next(
        w
        for w in (problem.reset(key=k) for k in jax.random.split(KEY, 8))
        if not np.allclose(w.view, np.eye(problem.body.layers[0]))
    )
    fixed = eqx.tree_at(lambda w: w.view, world, None)
    network = untrained(plain)
    first = network.state.synapses[0]["weight"]
    undone = jnp.concatenate([world.view.T @ first[:-1], first[-1:]])
    turned = eqx.tree_at(lambda f: f.state.synapses[0]["weight"], network, undone)
    ours, theirs = plain.observe(fixed).values, problem.observe(world).values
    assert not np.allclose(theirs, ours)
    np.testing.assert_allclose(turned(theirs, key=KEY), network(ours, key=KEY), atol=1e-4)
    for part in PARTS:
        expected = plain.test(fixed, network, part=part, key=KEY)
        found = problem.test(world, turned, part=part, key=KEY)
        np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-4)
        unturned = problem.test(world, network, part=part, key=KEY)
        assert not np.allclose(unturned.loss, expected.loss, rtol=1e-4)


def test_problems_of_equal_shape_share_one_compilation():
    traces = []

    @eqx.filter_jit
    def first_loss(problem):
        traces.append(1)
        life = pg.envs.born(SGD(), problem, key=KEY)
        return pg.envs.present(SGD(), problem, life)[1].loss

    losses = [float(first_loss(build(name))) for name in ("Xor-v0", "Moons-v0", "And-v0")]
    assert len(traces) == 1
    assert len(set(losses)) == 3
    first_loss(build("Digits-v0"))
    assert len(traces) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "`batch` must be a positive whole number, got 0"),
        ({"batch": -3}, "`batch` must be a positive whole number, got -3"),
        ({"batch": 2.5}, "`batch` must be a positive whole number, got 2.5"),
        ({"batch": True}, "`batch` must be a positive whole number, got True"),
        ({"presentations": 0}, "`presentations` must be a positive whole number, got 0"),
        ({"presentations": None}, "`presentations` must be a positive whole number, got None"),
        ({"hidden": (4, 0)}, "`hidden` must be a positive whole number, got 0"),
        ({"hidden": (-4,)}, "`hidden` must be a positive whole number, got -4"),
        ({"hidden": (1.5,)}, "`hidden` must be a positive whole number, got 1.5"),
        ({"hidden": 4}, "`hidden` must be a tuple of sizes, got 4"),
        ({"view": "rotate"}, "unknown `view` 'rotate'; did you mean 'rotated'"),
        ({"view": "zzz"}, "unknown `view` 'zzz'; known are fixed, permuted, rotated"),
        ({"noise": 1.0}, "does not take these options: .*noise"),
    ],
)
@pytest.mark.parametrize("name", VIEWED)
def test_what_does_not_fit_is_refused(name, options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem(name, **options)


def test_an_unknown_function_of_the_plane_gets_the_near_names():
    with pytest.raises(ValueError, match="unknown `function` 'xorr'; did you mean 'xor'"):
        pg.envs.plane("xorr")


@pytest.mark.parametrize("layers", [(3, 4, 2), (2, 4, 3), (3,), (2, 4)])
def test_a_body_whose_ends_do_not_fit_is_refused(layers):
    parts = [build("Xor-v0").train] * 3
    with pytest.raises(ValueError, match="`body` must have 2 inputs and 2 outputs"):
        Classification(*parts, body=Body(layers), batch=2, presentations=2)


@pytest.mark.parametrize("part", ["held_out", "tests", ""])
def test_an_unknown_part_is_refused(part, xor, unchecked):
    with pytest.raises(ValueError, match="unknown `part`"):
        xor.test(xor.reset(key=KEY), untrained(xor), part=part, key=KEY)


def test_a_body_without_hidden_layers_is_a_body():
    assert pg.envs.plane("or", hidden=()).body.layers == (2, 2)


def test_a_problem_built_in_a_trace_harms_no_other():
    order = jax.jit(lambda key: pg.envs.plane("slice").reset(key=key).order)(jax.random.key(0))
    again = pg.envs.plane("slice").reset(key=jax.random.key(0)).order
    np.testing.assert_array_equal(order, again)


@pytest.mark.parametrize(
    ("part", "inputs", "classes", "message"),
    [
        ("train", np.zeros((4, 2)), [0, 2, 0, 2], "`train` must hold examples of each class"),
        ("validation", np.zeros((4, 2)), [0, 0, 0, 0], "`validation` must hold examples of"),
        ("held_out", np.zeros((4, 2)), [0, 1, 2, 1], "`held_out` must hold examples of each"),
        ("held_out", np.zeros((4, 3)), [0, 1, 0, 1], r"`held_out` must have inputs of shape"),
        ("train", np.full((4, 2), np.nan), [0, 1, 0, 1], "`train` must have finite inputs"),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, inputs, classes, message, unchecked):
    def examples(inputs, classes):
        return Examples(jnp.asarray(inputs, jnp.float32), jnp.asarray(classes, jnp.uint8))

    good = examples(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])
    parts = {"train": good, "validation": good, "held_out": good}
    parts[part] = examples(inputs, classes)
    with pytest.raises(ValueError, match=message):
        Classification(**parts, body=Body((2, 2)), batch=2, presentations=1)
