"""Fixed random feedback: what it delivers, that it stays, and that forward weights align."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import (
    Body,
    Clamped,
    DirectFeedbackAlignment,
    FeedbackAlignment,
    SignSymmetric,
    State,
    multilayer,
)

KEY = jax.random.key(0)
LAYERS, BATCH = (5, 4, 6, 3), 8
RULES = [FeedbackAlignment, DirectFeedbackAlignment, SignSymmetric]


@functools.cache
def presented(kind):
    """The network between `receive` and `adapt`, and after it, with the error it heard."""
    rule = kind(rate=0.5, scale=2.0)
    rng = np.random.default_rng(2)
    inputs, error = (jnp.asarray(rng.normal(size=(BATCH, n)), float) for n in (5, 3))
    blank = jnp.zeros(BATCH)
    heard = pg.rules.Feedback(Clamped.full(jnp.zeros_like(error)), error, blank, blank > 0)

    @jax.jit
    def run():
        state = rule.rest(rule.init(Body(LAYERS), key=KEY), BATCH)
        state, _ = rule.predict(state, Clamped.full(inputs), key=KEY)
        state = rule.receive(state, heard, key=KEY)
        return state, rule.adapt(state, key=KEY)

    return *run(), np.asarray(error)


def feedback(kind, state, layer):
    """Where the error of a hidden layer comes from, and by which matrix."""
    if kind is DirectFeedbackAlignment:
        return -1, state.synapses[layer - 1]["feedback"]
    if kind is FeedbackAlignment:
        return layer + 1, state.synapses[layer]["feedback"]
    weights = np.asarray(state.synapses[layer]["weight"])[:-1]
    return layer + 1, 2.0 * np.sign(weights).T / np.sqrt(LAYERS[layer])


@pytest.mark.parametrize("kind", RULES)
def test_errors_come_by_its_own_feedback(kind):
    state, after, error = presented(kind)
    np.testing.assert_array_equal(state.neurons[-1]["error"], error)
    for layer in (1, 2):
        source, matrix = feedback(kind, state, layer)
        h = np.asarray(state.neurons[layer]["activity"])
        expected = (1 - h**2) * (np.asarray(state.neurons[source]["error"]) @ matrix)
        np.testing.assert_allclose(state.neurons[layer]["error"], expected, atol=1e-5)
    for layer, (old, new) in enumerate(zip(state.synapses, after.synapses, strict=True)):
        pre = np.append(state.neurons[layer]["activity"], np.ones((BATCH, 1)), axis=1)
        change = 0.5 * pre.T @ np.asarray(state.neurons[layer + 1]["error"]) / BATCH
        np.testing.assert_allclose(new["weight"] - old["weight"], change, atol=1e-5)


@pytest.mark.parametrize("kind", [FeedbackAlignment, DirectFeedbackAlignment])
def test_feedback_is_not_the_weights_and_stays_as_it_was_born(kind):
    state, after, _ = presented(kind)
    held = [block["feedback"] for block in state.synapses if "feedback" in block]
    assert len(held) == 2
    for old, new in zip(state.synapses, after.synapses, strict=True):
        assert not np.array_equal(old["weight"], new["weight"])
        if "feedback" in old:
            np.testing.assert_array_equal(old["feedback"], new["feedback"])
    assert abs(np.corrcoef(*(np.ravel(m)[:12] for m in held))[0, 1]) < 0.9


@pytest.mark.parametrize("kind", [FeedbackAlignment, DirectFeedbackAlignment])
def test_feedback_is_born_in_proportion_to_its_scale_and_its_senders(kind):
    state = kind(scale=3.0).init(Body((4, 50, 40, 20)), key=KEY)
    found = [np.std(block["feedback"]) for block in state.synapses if "feedback" in block]
    senders = (20, 20) if kind is DirectFeedbackAlignment else (40, 20)
    np.testing.assert_allclose(found, 3.0 / np.sqrt(senders), rtol=0.1)


def angles(rule, problem, before, after):
    """Degrees between how each block changed and minus the gradient, taken by autodiff."""
    state = before.state
    inputs = problem.observe(before.world)

    def loss(weights):
        blocks = tuple({"weight": w} for w in weights)
        born = State(state.body, state.neurons, blocks)
        outputs = multilayer.forward(born, inputs, rule.activation)[1]
        return problem.respond(before.world, outputs)[2].loss

    weights = [block["weight"] for block in state.synapses]
    cosines = []
    for g, old, new in zip(jax.grad(loss)(weights), weights, after.state.synapses, strict=True):
        change = new["weight"] - old
        cosines.append(-(g * change).sum() / jnp.linalg.norm(g) / jnp.linalg.norm(change))
    return jnp.degrees(jnp.arccos(jnp.clip(jnp.stack(cosines), -1.0, 1.0)))


@functools.cache
def lived(kind, hidden, rate):
    problem = pg.envs.digits(hidden=hidden, batch=32, presentations=150)
    keys = jax.random.split(KEY, 4)
    record = pg.envs.lives(kind(rate=rate), problem, keys=keys, probes=(angles,))
    return np.asarray(record.probes[0])


@pytest.mark.parametrize("kind", [FeedbackAlignment, DirectFeedbackAlignment])
def test_the_angle_to_the_gradient_falls_below_60_degrees(kind):
    seen = lived(kind, (16,), 0.3)
    hidden = seen[..., 0]
    assert (hidden[:, :3].mean(1) > 70.0).all()  # at birth feedback knows nothing
    assert (hidden[:, -30:].mean(1) < 60.0).all()
    assert seen[..., 1].max() < 3.0  # the last block follows the gradient


@pytest.mark.parametrize("kind", [FeedbackAlignment, DirectFeedbackAlignment])
def test_with_two_hidden_layers_both_align(kind):
    seen = lived(kind, (16, 12), 1.0)
    for layer in (0, 1):
        assert (seen[:, :3, layer].mean(1) > 70.0).all()
        assert (seen[:, -30:, layer].mean(1) < 60.0).all()
    assert seen[..., 2].max() < 3.0


@pytest.mark.parametrize(("hidden", "rate"), [((16,), 0.3), ((16, 12), 1.0)])
def test_they_differ_from_two_hidden_layers_on(hidden, rate):
    """By how the first layer changes first: only one of them reaches it through the second."""
    one, other = (
        lived(kind, hidden, rate) for kind in (FeedbackAlignment, DirectFeedbackAlignment)
    )
    apart = np.abs(one - other)[:, 0, 0]
    assert (apart < 1e-3).all() if len(hidden) == 1 else (apart > 1.0).all()


def test_signs_alone_are_near_the_gradient_from_birth_on():
    hidden = lived(SignSymmetric, (16,), 0.3)[..., 0]
    expected = np.degrees(np.arccos(np.sqrt(2.0 / np.pi)))  # 37 degrees for normal weights
    np.testing.assert_allclose(hidden[:, :3].mean(), expected, atol=8.0)
    assert hidden.max() < 60.0


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": -1.0}, "`rate` must be positive, got -1.0"),
        ({"scale": 0.0}, "`scale` must be positive, got 0.0"),
        ({"activation": "tan"}, "unknown activation 'tan'; did you mean 'tanh'"),
    ],
)
def test_what_is_out_of_range_is_refused(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(**arguments)
