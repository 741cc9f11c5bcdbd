"""Real targets, of a table and of teachers that worlds draw."""

import functools
import zlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_diabetes

import plasticgym as pg
from plasticgym.envs import Frozen, Pairs, Regression
from plasticgym.rules import SGD, Body, LeastControl

KEY = jax.random.key(0)
BATCH = 8
NAMES = ["Sines-v0", "Teacher-v0", "Diabetes-v0"]
DRAWN = NAMES[:2]
PARTS = {"train": "train", "validation": "validation", "test": "held_out"}
CHECKSUMS = {"Sines-v0": 876750225, "Teacher-v0": 2134064497, "Diabetes-v0": 4176658938}


@functools.cache
def build(name):
    return pg.envs.problem(name, hidden=(4,), batch=BATCH, presentations=3)


@pytest.fixture(params=NAMES)
def problem(request):
    return build(request.param)


def network(problem, bias=0.0) -> Frozen:
    """A network that always says `bias`."""
    state = jax.tree.map(jnp.zeros_like, SGD().init(problem.body, key=KEY))
    last = {"weight": state.synapses[-1]["weight"].at[-1].set(bias)}
    return Frozen(SGD(), eqx.tree_at(lambda s: s.synapses[-1], state, last))


def all_targets(problem, world, part="train") -> np.ndarray:
    return np.asarray(problem.targets(world, getattr(problem, part)), np.float64)


def test_nothing_is_hidden_and_every_row_begins_an_episode(problem):
    world = problem.reset(key=KEY)
    seen = problem.observe(world)
    _, feedback, outcome = problem.respond(world, jnp.zeros((BATCH, 1)))
    assert seen.mask.all()
    assert seen.starts.all()
    assert feedback.target.mask.all()
    assert not feedback.boundary.any()
    assert float(outcome.weight) == 1.0


def test_error_loss_and_score_are_those_of_the_squared_error(problem):
    world = problem.reset(key=KEY)
    outputs = jnp.linspace(-1, 1, BATCH)[:, None]
    after, feedback, outcome = problem.respond(world, outputs)
    rows = np.asarray(world.order[0])
    expected = all_targets(problem, world)[rows]
    np.testing.assert_allclose(feedback.target.values, expected, atol=1e-5)
    np.testing.assert_allclose(feedback.error, expected - outputs, atol=1e-5)
    losses = ((expected - np.asarray(outputs)) ** 2 / 2).sum(1)
    np.testing.assert_allclose(feedback.reward, -losses, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(outcome.loss, losses.mean(), rtol=1e-5)
    np.testing.assert_allclose(outcome.score, 1 - 2 * losses.mean(), rtol=1e-4, atol=1e-5)
    later = problem.respond(after, outputs)[1].target.values
    expected = all_targets(problem, world)[np.asarray(world.order[1])]
    np.testing.assert_allclose(later, expected, atol=1e-5)


@pytest.mark.parametrize("part", PARTS)
def test_held_out_parts_are_scored_by_the_share_of_variance_explained(problem, part):
    world = problem.reset(key=KEY)
    told = problem.test(world, network(problem, 0.25), part=part, key=KEY)
    losses = (all_targets(problem, world, PARTS[part]) - 0.25) ** 2 / 2
    np.testing.assert_allclose(told.loss, losses.mean(), rtol=1e-4)
    np.testing.assert_allclose(told.score, 1 - 2 * losses.mean(), rtol=1e-3, atol=1e-5)


def test_chance_is_the_loss_of_the_train_mean(problem):
    """In every world, but for sines, whose amplitudes differ: there, on average."""
    worlds = jax.vmap(lambda key: problem.reset(key=key))(jax.random.split(KEY, 500))
    targets = np.asarray(jax.vmap(lambda w: problem.targets(w, problem.train))(worlds))
    losses = targets.var(1).sum(-1) / 2
    assert float(problem.chance.loss) == 0.5
    assert float(problem.chance.score) == 0.0
    np.testing.assert_allclose(losses.mean(), 0.5, rtol=0.1)
    if "Sines" not in str(type(problem.teacher)):
        np.testing.assert_allclose(losses, 0.5, rtol=1e-4)


@pytest.mark.parametrize("name", DRAWN)
def test_worlds_draw_their_teacher(name):
    problem = build(name)
    first, second = (problem.reset(key=key) for key in jax.random.split(KEY))
    again = problem.reset(key=jax.random.split(KEY)[0])
    for part in PARTS.values():
        targets = all_targets(problem, first, part)
        assert not np.allclose(targets, all_targets(problem, second, part))
        np.testing.assert_array_equal(targets, all_targets(problem, again, part))


def test_sines_are_sines_of_the_documented_family():
    problem = build("Sines-v0")
    worlds = jax.vmap(lambda key: problem.reset(key=key))(jax.random.split(KEY, 300))
    amplitude, phase = (np.asarray(worlds.drawn[k]) for k in ("amplitude", "phase"))
    for values, low, high in ((amplitude, 0.1, 5.0), (phase, 0.0, np.pi)):
        assert low <= values.min() < low + 0.1
        assert high - 0.1 < values.max() <= high
    x = np.asarray(problem.validation.inputs, np.float64)
    assert -5 <= x.min() < -4.9 < 4.9 < x.max() <= 5
    world = jax.tree.map(lambda leaf: leaf[3], worlds)
    found = all_targets(problem, world, "validation")
    expected = amplitude[3] * np.sin(x - phase[3]) / float(problem.teacher.deviation)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_teacher_is_no_line_and_no_noise():
    """A line explains part of it; a network as wide as the teacher could be the teacher."""
    problem = pg.envs.teacher(inputs=3, units=5, outputs=2)
    world = problem.reset(key=KEY)
    x = np.asarray(problem.train.inputs, np.float64)
    t = all_targets(problem, world)
    design = np.concatenate([x, np.ones((len(x), 1))], 1)
    residual = t - design @ np.linalg.lstsq(design, t, rcond=None)[0]
    assert 0.02 < residual.var(0).min() < residual.var(0).max() < 0.9
    drawn = {k: np.asarray(v, np.float64) for k, v in world.drawn.items()}
    hidden = np.tanh(x @ drawn["first"] + drawn["bias"])
    assert hidden.shape == (1000, 5)
    raw = hidden @ drawn["second"]
    np.testing.assert_allclose(t, (raw - raw.mean(0)) / raw.std(0), atol=1e-4)
    y = np.asarray(problem.held_out.inputs, np.float64)
    held_out = np.tanh(y @ drawn["first"] + drawn["bias"]) @ drawn["second"]
    expected = (held_out - raw.mean(0)) / raw.std(0)
    np.testing.assert_allclose(all_targets(problem, world, "held_out"), expected, atol=1e-4)


def test_diabetes_are_all_the_patients_standardised_by_the_train_part():
    problem = build("Diabetes-v0")
    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    whole = np.concatenate([inputs, targets[:, None]], 1).astype(np.float32)
    parts = [getattr(problem, part) for part in PARTS.values()]
    found = np.concatenate([np.concatenate([p.inputs, p.targets], 1) for p in parts])
    assert sorted(map(bytes, found)) == sorted(map(bytes, whole))
    world = problem.reset(key=KEY)
    shown = np.asarray(problem.shown(problem.train.inputs), np.float64)
    for columns in (shown, all_targets(problem, world)):
        np.testing.assert_allclose(columns.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(columns.std(0), 1, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_parts_never_change_and_share_no_example(name):
    problem = build(name)
    rows = [np.asarray(getattr(problem, part).inputs) for part in PARTS.values()]
    sizes = (242, 80, 120) if name == "Diabetes-v0" else (1000, 500, 500)
    assert tuple(map(len, rows)) == sizes
    assert len(set(map(bytes, np.concatenate(rows)))) == sum(sizes)
    assert zlib.crc32(np.concatenate(rows).tobytes()) == CHECKSUMS[name]


@pytest.mark.parametrize(
    ("name", "rule", "least"),
    [
        ("Sines-v0", SGD(rate=0.1, activation="tanh"), 0.5),
        ("Teacher-v0", SGD(rate=0.1, activation="tanh"), 0.6),
        ("Teacher-v0", LeastControl(rate=0.1, loss="squared", activation="tanh"), 0.6),
        ("Diabetes-v0", SGD(rate=0.03, activation="tanh"), 0.2),
    ],
    ids=["sines-sgd", "teacher-sgd", "teacher-least-control", "diabetes-sgd"],
)
def test_rules_that_read_errors_learn_it(name, rule, least):
    record = pg.envs.lives(rule, pg.envs.problem(name), keys=jax.random.split(KEY, 8))
    assert not record.diverged.any()
    assert float(record.tests.score.mean()) > least
    first, last = record.scores[:, :5].mean(), record.scores[:, -5:].mean()
    assert float(last) > float(first) + 0.2


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Sines-v0", {"batch": 0}, "`batch` must be a positive whole number, got 0"),
        ("Sines-v0", {"presentations": -1}, "`presentations` must be a positive whole"),
        ("Diabetes-v0", {"hidden": 4}, "`hidden` must be a tuple of sizes, got 4"),
        ("Teacher-v0", {"units": 0}, "`units` must be a positive whole number, got 0"),
        ("Teacher-v0", {"inputs": 1.5}, "`inputs` must be a positive whole number, got 1.5"),
        ("Teacher-v0", {"outputs": True}, "`outputs` must be a positive whole number"),
        ("Sines-v0", {"view": "rotated"}, "does not take these options: .*view"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem(name, **options)


INPUTS, TARGETS = np.arange(8.0).reshape(4, 2), np.arange(4.0)[:, None]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"body": (3, 1)}, "`body` must have 2 inputs and 1 outputs to fit the data"),
        ({"body": (2, 2)}, "`body` must have 2 inputs and 1 outputs to fit the data"),
        ({"train": (INPUTS, None)}, "`train` must have targets, or a teacher"),
        ({"validation": (INPUTS, TARGETS[:3])}, r"targets of shape \(4, 1\)"),
        ({"held_out": (INPUTS[:, :1], TARGETS)}, r"inputs of shape \(4, 2\)"),
        ({"held_out": (INPUTS * np.nan, TARGETS)}, "`held_out` must have finite"),
        ({"train": (INPUTS, TARGETS * np.nan)}, "`train` must have finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changed, message, unchecked):
    given = dict.fromkeys(("train", "validation", "held_out"), (INPUTS, TARGETS))
    given |= {"body": (2, 1)} | changed
    body = Body(given.pop("body"))
    parts = {
        name: Pairs(jnp.asarray(x, float), None if t is None else jnp.asarray(t, float))
        for name, (x, t) in given.items()
    }
    with pytest.raises(ValueError, match=message):
        Regression(**parts, body=body, batch=2, presentations=1)


def test_targets_beside_a_teacher_are_refused():
    part = Pairs(jnp.asarray(INPUTS, float), jnp.asarray(TARGETS, float))
    teacher = build("Teacher-v0").teacher
    with pytest.raises(ValueError, match="`train` must have no targets: the teacher gives"):
        Regression(*[part] * 3, teacher=teacher, body=Body((2, 1)), batch=2, presentations=1)


def test_a_problem_built_in_a_trace_harms_no_other():
    # No other test has drawn the inputs of this size.
    order = jax.jit(lambda key: pg.envs.teacher(inputs=7).reset(key=key).order)(KEY)
    np.testing.assert_array_equal(order, pg.envs.teacher(inputs=7).reset(key=KEY).order)
