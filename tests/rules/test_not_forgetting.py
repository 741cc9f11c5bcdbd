"""Baselines for several tasks, each against the equation it stands for, in double precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import (
    SGD,
    Body,
    Clamped,
    ElasticWeightConsolidation,
    Feedback,
    GradientProjectionMemory,
    LearningWithoutForgetting,
    Replay,
    State,
    Tier,
)

KEY = jax.random.key(0)
BODY, BATCH, RATE = Body((5, 6, 3)), 8, 0.05


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def heard(seed, classes=3):
    """Inputs, and random classes."""
    rng = np.random.default_rng(seed)
    inputs, drawn = rng.normal(size=(BATCH, 5)), rng.integers(0, classes, BATCH)
    return jnp.asarray(inputs), jnp.asarray(np.eye(3)[drawn])


@eqx.filter_jit
def lived(rule, state, inputs, targets, ends):
    """The network after presentations of classes, and what its neurons held when it adapted."""

    def presentation(state, now):
        values, target, end = now
        state, outputs = rule.predict(state, Clamped.full(values), key=KEY)
        error = target - jax.nn.softmax(outputs)
        boundary = jnp.broadcast_to(end, (BATCH,))
        feedback = Feedback(Clamped.full(target), error, jnp.zeros(BATCH), boundary)
        state = rule.receive(state, feedback, key=KEY)
        return rule.adapt(state, key=KEY), state.neurons

    return jax.lax.scan(presentation, rule.rest(state, BATCH), (inputs, targets, ends))


def after(rule, *ends, state=None, first=0, classes=3):
    """A network that lived one presentation for each flag, which tells if a task ends."""
    state = rule.init(BODY, key=KEY) if state is None else state
    told = [heard(first + i, classes) for i in range(len(ends))]
    inputs, targets = (jnp.stack(x) for x in zip(*told, strict=True))
    return lived(rule, state, inputs, targets, jnp.asarray(ends))


def outputs_of(weights, inputs):
    for i, w in enumerate(weights):
        z = inputs @ w[:-1] + w[-1][None]
        inputs = z if i == len(weights) - 1 else jax.nn.relu(z)
    return inputs


def weights_of(state):
    return [block["weight"] for block in state.synapses]


def descended(loss, weights):
    gradient = jax.grad(loss)(weights)
    return [w - RATE * g for w, g in zip(weights, gradient, strict=True)]


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11)


def cross_entropy(weights, inputs, target):
    return -(jax.nn.log_softmax(outputs_of(weights, inputs)) * target).sum(1).mean()


RULES = [
    ElasticWeightConsolidation,
    LearningWithoutForgetting,
    Replay,
    GradientProjectionMemory,
]


@pytest.mark.parametrize("kind", RULES)
def test_until_a_task_ends_it_is_the_rule_within(kind):
    ours, plain = (after(r, False, False)[0] for r in (kind(SGD(rate=RATE)), SGD(rate=RATE)))
    close(weights_of(ours), weights_of(plain))


# Elastic weight consolidation.


def test_the_importance_is_the_mean_square_gradient_of_classes_it_would_draw():
    rule = ElasticWeightConsolidation(SGD(rate=RATE), decay=0.75)
    state, neurons = after(rule, True)
    weights, (inputs, _) = weights_of(rule.init(BODY, key=KEY)), heard(0)
    outputs = outputs_of(weights, inputs)
    top = neurons[-1]["sampled"][0]
    drawn = (top + jax.nn.softmax(outputs)).argmax(1)
    np.testing.assert_allclose(top, np.eye(3)[drawn] - jax.nn.softmax(outputs), rtol=1e-9)
    log_p = lambda w, x, c: jax.nn.log_softmax(outputs_of(w, x[None]))[0, c]  # noqa: E731
    each = jax.vmap(jax.grad(log_p), in_axes=(None, 0, 0))(weights, inputs, drawn)
    expected = [jnp.square(g).mean(0) for g in each]  # of one presentation
    close([block["importance"] for block in state.synapses], expected)
    close([block["start"] for block in state.synapses], weights_of(state))


def test_the_classes_are_drawn_as_the_network_would_answer():
    logits = jnp.log(jnp.array([[0.6, 0.3, 0.1]]))
    rule = ElasticWeightConsolidation(SGD(rate=RATE))
    state = rule.rest(rule.init(Body((5, 3)), key=KEY), 4000)
    last = state.neurons[-1] | {"outputs": jnp.broadcast_to(logits, (4000, 3))}
    state = State(state.body, (state.neurons[0], last), state.synapses, state.memory)
    blank = jnp.zeros((4000, 3))
    feedback = Feedback(Clamped.full(blank), blank, blank[:, 0], blank[:, 0] > 0)
    sampled = rule.receive(state, feedback, key=KEY).neurons[-1]["sampled"]
    drawn = np.bincount(np.asarray(sampled).argmax(1)) / 4000
    np.testing.assert_allclose(drawn, [0.6, 0.3, 0.1], atol=0.03)


def test_the_spring_is_stationary_between_the_step_and_where_it_began():
    """Of |w - (w0 + step)|^2 / 2 + weight / 2 F |w - start|^2."""
    rule = ElasticWeightConsolidation(SGD(rate=RATE), weight=40.0)
    began, _ = after(rule, False, True)
    moved, _ = after(rule, False, state=began, first=3)
    plain = State(BODY, (), tuple({"weight": w} for w in weights_of(began)))
    stepped = weights_of(after(SGD(rate=RATE), False, state=plain, first=3)[0])
    for block, w, free in zip(began.synapses, weights_of(moved), stepped, strict=True):
        pull = 40.0 * block["importance"] * (w - block["start"])
        np.testing.assert_allclose((w - free) + pull, 0.0, atol=1e-12)
        assert np.abs(pull).max() > 1e-5


def test_the_importance_is_an_average_however_short_the_task():
    """The weights of the last presentations add up to one."""
    rule = ElasticWeightConsolidation(SGD(rate=1e-9), decay=0.75)
    squares = [after(rule, *[False] * n, True)[0].synapses[0]["importance"] for n in range(3)]
    first = squares[0]
    second = squares[1] * (1 - 0.75**2) / 0.25 - 0.75 * first
    third = squares[2] * (1 - 0.75**3) / 0.25 - 0.75**2 * first - 0.75 * second
    fresh = [
        after(rule, True, first=n)[0].synapses[0]["importance"] for n in range(3)
    ]  # the weights hardly move
    close((first, second, third), fresh)


@pytest.mark.parametrize("kind", ["equilibrium-propagation", "weight-perturbation", "replay"])
def test_what_sends_no_errors_back_is_refused(kind):
    rule = ElasticWeightConsolidation(kind)
    with pytest.raises(ValueError, match=r"`rule` must keep an activity and an error .* got"):
        rule.init(BODY, key=KEY)


# Learning without forgetting.


def test_it_imitates_the_old_network_on_outputs_that_were_targets():
    rule = LearningWithoutForgetting(SGD(rate=RATE), weight=0.7, temperature=3.0)
    ended, _ = after(rule, False, True, classes=2)  # the third class is not yet known
    state, _ = after(rule, False, state=ended, first=5)
    old = weights_of(ended)
    inputs, target = heard(6)

    def total(weights):
        q, p = (jax.nn.log_softmax(outputs_of(w, inputs)[:, :2] / 3.0) for w in (old, weights))
        away = (jnp.exp(q) * (q - p)).sum(1).mean()
        return cross_entropy(weights, inputs, target) + 0.7 * 3.0**2 * away

    found, _ = after(rule, False, state=state, first=6)
    close(weights_of(found), descended(total, weights_of(state)))


# Replay.


def test_it_learns_what_it_stored_along_with_the_batch():
    rule = Replay(SGD(rate=RATE), weight=0.7, samples=5, tasks=2)
    state, _ = after(rule, False, True, False, True, False)
    (stored, labels), held = state.memory["past"].flat()
    assert held.all()
    met = {
        tuple(np.asarray(x)): tuple(np.asarray(t))
        for s in range(4)
        for x, t in zip(*heard(s), strict=True)
    }
    for row, label in zip(np.asarray(stored), np.asarray(labels), strict=True):
        assert met[tuple(row)] == tuple(label)
    inputs, target = heard(9)
    total = lambda w: (  # noqa: E731
        cross_entropy(w, inputs, target) + 0.7 * 2 * cross_entropy(w, stored, labels)
    )
    found, _ = after(rule, False, state=state, first=9)
    close(weights_of(found), descended(total, weights_of(state)))


# Gradient projection memory.


def test_what_was_sampled_is_answered_as_before():
    rule = GradientProjectionMemory(SGD(rate=RATE), threshold=1 - 1e-9, samples=3)
    state, _ = after(rule, False, True)
    inputs = jnp.concatenate([heard(s)[0] for s in (0, 1)])
    before = np.asarray(outputs_of(weights_of(state), inputs))
    later, _ = after(rule, *[False] * 10, state=state, first=2)
    moved = np.abs(outputs_of(weights_of(later), inputs) - before).max(1)
    assert (moved < 1e-9).sum() == 3
    assert np.median(moved) > 1e-4


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.999])
def test_bases_are_the_fewest_axes_that_hold_enough(threshold):
    rule = GradientProjectionMemory(SGD(rate=RATE), threshold=threshold, samples=BATCH)
    state, _ = after(rule, True)
    fed = np.concatenate([np.asarray(heard(0)[0]), np.ones((BATCH, 1))], axis=1)
    inside = np.asarray(state.memory["subspaces"][0])
    np.testing.assert_allclose(inside @ inside, inside, atol=1e-9)
    lengths = np.linalg.svd(fed, compute_uv=False) ** 2
    needed = int(np.argmax(np.cumsum(lengths) >= threshold * lengths.sum())) + 1
    np.testing.assert_allclose(np.trace(inside), needed, rtol=1e-9)
    assert np.sum((fed @ inside) ** 2) >= threshold * np.sum(fed**2)


def test_memories_at_synapses_are_as_local_as_the_rule_within():
    for kind in (ElasticWeightConsolidation, LearningWithoutForgetting):
        assert kind("feedback-alignment").tier is Tier.ERROR
        assert kind("sgd").tier is Tier.GRADIENT


@pytest.mark.parametrize("name", ["elastic-weight-consolidation", "replay"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "oja"}, "`rule` must read the error"),
        ({"weight": -1.0}, "`weight` must be positive, got -1"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.rules.make(name, **options)


@pytest.mark.parametrize(
    "outer",
    [
        lambda inner: ElasticWeightConsolidation(inner),
        lambda inner: LearningWithoutForgetting(inner),
        lambda inner: GradientProjectionMemory(inner, samples=1),
        lambda inner: Replay(inner, samples=1, tasks=2),
        lambda inner: pg.rules.InvariantPath(inner, anchors=1, tasks=2),
        lambda inner: pg.rules.InvariantWalk(inner),
        lambda inner: pg.rules.Ensemble(inner),
    ],
)
def test_what_the_rule_within_cannot_keep_is_refused(outer):
    with pytest.raises(ValueError, match="`samples` must be at most 7, the different rows"):
        outer(Replay(SGD(), samples=8, tasks=2)).check_tasks((9, 7))
