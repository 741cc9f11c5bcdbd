"""Functionally invariant paths: in double precision, against autodiff of what they promise."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import plasticgym as pg
from plasticgym.rules import (
    SGD,
    Body,
    Clamped,
    Exact,
    Feedback,
    GradientProjectionMemory,
    InvariantPath,
    LayerLocal,
    Penalty,
    State,
)
from plasticgym.rules._sample import empty, met

KEY = jax.random.key(0)
BODY, BATCH, ANCHORS = Body((5, 6, 3)), 8, 4
RATE = 0.05


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def heard(seed):
    """Inputs, and random classes."""
    rng = np.random.default_rng(seed)
    inputs, classes = rng.normal(size=(BATCH, 5)), rng.integers(0, 3, BATCH)
    return jnp.asarray(inputs), jnp.asarray(np.eye(3)[classes])


@eqx.filter_jit
def lived(rule, state, inputs, targets, ends):
    """The network after presentations of classes, the loss of which is the cross-entropy."""

    def presentation(state, now):
        values, target, end = now
        state, outputs = rule.predict(state, Clamped.full(values), key=KEY)
        error = target - jax.nn.softmax(outputs)
        boundary = jnp.broadcast_to(end, (BATCH,))
        feedback = Feedback(Clamped.full(target), error, jnp.zeros(BATCH), boundary)
        return rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY), None

    return jax.lax.scan(presentation, rule.rest(state, BATCH), (inputs, targets, ends))[0]


def after(rule, *ends, state=None, first=0):
    """A network that lived one presentation for each flag, which tells if a task ends."""
    state = rule.init(BODY, key=KEY) if state is None else state
    inputs, targets = zip(*(heard(first + i) for i in range(len(ends))), strict=True)
    return lived(rule, state, jnp.stack(inputs), jnp.stack(targets), jnp.asarray(ends))


def outputs_of(weights, inputs, activation=jax.nn.relu):
    for i, w in enumerate(weights):
        z = inputs @ w[:-1] + w[-1][None]
        inputs = z if i == len(weights) - 1 else activation(z)
    return inputs


def weights_of(state):
    return [block["weight"] for block in state.synapses]


def path(invariance, **options):
    return InvariantPath(SGD(rate=RATE), invariance, anchors=ANCHORS, **options)


DISTANCES = {
    "bhattacharyya": lambda y, f: (
        -jnp.log(jnp.sqrt(jax.nn.softmax(y) * jax.nn.softmax(f)).sum(-1))
    ),
    "divergence": lambda y, f: (
        jax.nn.softmax(f) * (jax.nn.log_softmax(f) - jax.nn.log_softmax(y))
    ).sum(-1),
    "squared": lambda y, f: 0.5 * jnp.square(y - f).sum(-1),
}


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_step_descends_loss_and_distance_as_autodiff_has_them(distance):
    """Rows that ride along neither thin out the batch nor count more than they should."""
    rule = path(Penalty(weight=3, growth=2, distance=distance), tasks=2)
    state = after(rule, False, True, False, True, False)
    (anchors, frozen), held = state.memory["past"].flat()
    assert held.all()
    inputs, target = heard(9)

    def total(weights):
        loss = -(jax.nn.log_softmax(outputs_of(weights, inputs)) * target).sum(1)
        away = DISTANCES[distance](outputs_of(weights, anchors), frozen)
        return loss.mean() + 3 * 2**2 * away.mean()  # two tasks have ended

    expected = [
        w - RATE * g
        for w, g in zip(weights_of(state), jax.grad(total)(weights_of(state)), strict=True)
    ]
    found = weights_of(after(rule, False, state=state, first=9))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("invariance", [Penalty, Exact, LayerLocal])
def test_until_a_task_ends_it_is_the_rule_within(invariance):
    rule = path(invariance())
    ours, plain = (after(r, False, False, False) for r in (rule, rule.rule))
    for a, b in zip(weights_of(ours), weights_of(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_anchors_are_inputs_of_the_task_and_frozen_when_it_ends():
    rule = path(Penalty(), tasks=2)
    state = after(rule, False, True, False, False, False, True)
    inputs, frozen = state.memory["past"].rows
    for task, seeds in ((0, (0, 1)), (1, (2, 3, 4, 5))):
        seen = np.concatenate([np.asarray(heard(s)[0]) for s in seeds])
        for row in np.asarray(inputs[task]):
            assert np.isclose(seen, row).all(1).sum() == 1
    first = after(rule, False, True)
    expected = outputs_of(weights_of(first), inputs[0])
    np.testing.assert_allclose(frozen[0], expected, rtol=1e-9)
    both = after(rule, False, True, False, False, False, True)
    np.testing.assert_allclose(frozen[1], outputs_of(weights_of(both), inputs[1]), rtol=1e-9)


def test_the_oldest_task_makes_room_and_short_ones_leave_some_empty():
    rule = InvariantPath(SGD(rate=RATE), anchors=BATCH + 3, tasks=2)
    two = after(rule, True, True)
    three = after(rule, True, state=two, first=2)
    assert np.array_equal(np.asarray(two.memory["past"].held).sum(1), [BATCH, BATCH])
    old, new = two.memory["past"].rows[0], three.memory["past"].rows[0]
    assert np.array_equal(old[1], new[1])
    assert not np.array_equal(old[0], new[0])
    assert int(three.memory["clock"].ended) == 3


def test_a_sample_is_uniform_over_all_that_came_by():
    batches = jnp.arange(30.0).reshape(6, 5, 1)

    def sampled(key):
        sample = empty(jnp.zeros((7, 1)))
        for batch, k in zip(batches, jax.random.split(key, 6), strict=True):
            sample = met(sample, batch, key=k)
        return sample.rows[:, 0]

    rows = np.asarray(jax.jit(jax.vmap(sampled))(jax.random.split(KEY, 3000))).astype(int)
    assert all(len(set(row)) == 7 for row in rows)
    shares = np.bincount(rows.ravel(), minlength=30) / 3000
    np.testing.assert_allclose(shares, 7 / 30, atol=4.5 * np.sqrt(7 / 30 * 23 / 30 / 3000))


# The closed form.


@functools.cache
def bent_by(damping, activation="relu"):
    """A step as it was, as it is bent, and the derivative by which it should be."""
    within = SGD(rate=RATE, activation=activation)
    rule = InvariantPath(within, Exact(damping=damping), anchors=ANCHORS)
    named = {"relu": jax.nn.relu, "tanh": jnp.tanh}[activation]
    state = after(rule, False, True)
    (anchors, _), _ = state.memory["past"].flat()
    flat, unravel = ravel_pytree(weights_of(state))
    jacobian = jax.jacrev(lambda v: outputs_of(unravel(v), anchors, named).ravel())(flat)
    plain = after(rule.rule, False, state=State(BODY, (), state.synapses), first=5)
    bent = after(rule, False, state=state, first=5)
    steps = [np.asarray(ravel_pytree(weights_of(s))[0] - flat) for s in (plain, bent)]
    return (*steps, np.asarray(jacobian), flat, unravel, anchors)


@pytest.mark.parametrize("damping", [1e-3, 1.0, 1e3])
def test_the_bent_step_is_the_least_change_of_outputs(damping):
    """Stationary: g theta + damping (theta - step) = 0, with g the mean over anchors."""
    step, bent, jacobian, *_ = bent_by(damping)
    g = jacobian.T @ jacobian / ANCHORS
    residual = g @ bent + damping * (bent - step)
    assert np.abs(residual).max() < 1e-9 * damping * np.abs(step).max() + 1e-13
    expected = damping * np.linalg.solve(g + damping * np.eye(len(g)), step)
    np.testing.assert_allclose(bent, expected, atol=1e-9 * np.abs(step).max())


def test_the_more_damping_the_nearer_is_the_step_to_what_it_was():
    changes, losses = [], []
    for damping in (1e-6, 1e-3, 1e-1, 1e1, 1e4):
        step, bent, jacobian, *_ = bent_by(damping)
        changes.append(np.linalg.norm(np.asarray(jacobian) @ np.asarray(bent)))
        losses.append(np.linalg.norm(bent - step))
    assert (np.diff(changes) > 0).all()
    assert (np.diff(losses) < 0).all()


def test_outputs_move_by_the_metric_and_along_the_path_to_second_order_only():
    """With curved units: along those of `relu` nothing moves at all."""
    step, bent, jacobian, flat, unravel, anchors = bent_by(1e-9, "tanh")
    drawn = np.random.default_rng(0).normal(size=step.size)
    answers = lambda v: outputs_of(unravel(v), anchors, jnp.tanh)  # noqa: E731
    moved = lambda d, e: np.linalg.norm(  # noqa: E731
        answers(flat + e * d / np.linalg.norm(d)) - answers(flat)
    )
    length = np.linalg.norm(jacobian @ drawn) / np.linalg.norm(drawn)
    for e in (1e-3, 1e-4):
        np.testing.assert_allclose(moved(drawn, e) / (e * length), 1.0, rtol=1e-3)
    assert 95 < moved(bent, 1e-3) / moved(bent, 1e-4) < 105
    assert moved(bent, 1e-4) < 1e-3 * moved(drawn, 1e-4)


# The local form.


def test_the_local_form_is_gradient_projection_memory():
    local = path(LayerLocal(threshold=0.9))
    memory = GradientProjectionMemory(SGD(rate=RATE), threshold=0.9, samples=ANCHORS)
    ends = (False, True, False, True, False)
    ours, theirs = (after(rule, *ends) for rule in (local, memory))
    for a, b in zip(weights_of(ours), weights_of(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_what_it_is_told_in_words_are_its_parts():
    rule = InvariantPath("sgd(rate=0.5)", "exact(damping=0.25)")
    assert isinstance(rule.rule, SGD)
    assert float(rule.invariance.damping) == 0.25
    made = pg.rules.make("invariant-path", rule="momentum", invariance="layer-local", tasks=3)
    assert isinstance(made.invariance, LayerLocal)
    assert dataclasses.replace(made, invariance=Penalty()).tasks == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "hebb"}, "`rule` must read the error.* got Hebb, which reads nothing"),
        ({"rule": "sgdd"}, "unknown rule 'sgdd'; did you mean 'sgd'"),
        ({"rule": 3}, "`rule` must be a rule or text such as .* got 3"),
        ({"invariance": 3}, "`invariance` must be a part .* penalty, exact, .* got 3"),
        ({"direction": "sparse"}, "unknown direction 'sparse'; did you mean 'sparse-pull'"),
        ({"direction": 3}, "`direction` must be a part or text .* new-task, .* got 3"),
        ({"invariance": "exactly"}, "unknown invariance 'exactly'; did you mean 'exact'"),
        ({"invariance": "exact(damping=-1)"}, "`damping` must be positive, got -1"),
        ({"invariance": "penalty(distance='squard')"}, "unknown `distance` 'squard'; did you"),
        ({"anchors": 0}, "`anchors` must be a positive whole number, got 0"),
        ({"tasks": 1.5}, "`tasks` must be a positive whole number, got 1.5"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.rules.make("invariant-path", **options)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Penalty(weight=-1), "`weight` must be positive, got -1"),
        (lambda: Penalty(weight=float("nan")), "`weight` must be finite, got nan"),
        (lambda: Exact(damping=0), "`damping` must be positive, got 0"),
        (lambda: LayerLocal(threshold=2), r"`threshold` must lie strictly in \(0, 1\), got 2"),
        (lambda: pg.rules.SparsePull(sparsity=5), r"`sparsity` must lie strictly in \(0, 1\)"),
        (lambda: pg.rules.AwayFromStart(length=0), "`length` must be positive, got 0"),
    ],
)
def test_parts_refuse_what_does_not_fit_by_themselves(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("kind", ["equilibrium-propagation", "predictive-coding"])
def test_what_settles_is_not_bent_in_closed_form(kind):
    rule = InvariantPath(kind, "exact")
    with pytest.raises(ValueError, match=r"`rule` must keep an activity and an error .* got"):
        rule.init(BODY, key=KEY)
    InvariantPath(kind, "penalty").init(BODY, key=KEY)


def test_a_rule_that_is_not_layered_is_refused():
    rule = InvariantPath("vsml")
    with pytest.raises(ValueError, match=r"`rule` must have one weight .* got VSML"):
        rule.init(BODY, key=KEY)
