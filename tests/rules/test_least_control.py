"""Least-control settles at the least control that reaches its loss, weak or strong."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, Feedback, LeastControl, PredictiveCoding

KEY = jax.random.key(0)
BATCH, TARGET = 8, jnp.eye(3)[np.arange(8) % 3]


def newborn(rule, layers=(4, 6, 5, 3)):
    return rule.rest(rule.init(Body(layers), key=KEY), BATCH)


def inputs(n=4):
    return jax.random.normal(jax.random.key(1), (BATCH, n))


def weights(state):
    return [block["weight"] for block in state.synapses]


def flat(ws):
    return jnp.concatenate([w.ravel() for w in ws])


def affine(s, weight):
    return s @ weight[:-1] + weight[-1][None]


def cross_entropy(outputs):
    """Summed over rows."""
    return -(jax.nn.log_softmax(outputs) * TARGET).sum()


def presented(rule, state, heard):
    """The state after `predict`, after hearing of its cross-entropy, and after learning."""
    predicted, outputs = rule.predict(state, Clamped.full(inputs()), key=KEY)
    heard = dataclasses.replace(heard, error=TARGET - jax.nn.softmax(outputs))
    received = rule.receive(predicted, heard, key=KEY)
    return predicted, received, rule.adapt(received, key=KEY)


@jax.jit
def stages(rule, heard):
    return presented(rule, newborn(rule), heard)


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1))
def cost(values, ws, leak):
    """Half the squared control, and the loss over the leak, summed over rows."""
    total, sent = cross_entropy(values[-1]) / leak, inputs()
    for v, w in zip(values, ws, strict=True):
        total += 0.5 * ((v - affine(sent, w)) ** 2).sum()
        sent = jnp.tanh(v)
    return total


def test_its_change_tends_to_the_gradient_as_control_weakens(feedback):
    def loss(ws):
        x = inputs()
        for w in ws[:-1]:
            x = jnp.tanh(affine(x, w))
        return cross_entropy(affine(x, ws[-1])) / BATCH

    @jax.jit
    def compared(leak, heard):
        rule = dataclasses.replace(LeastControl(rate=1.0, steps=200), leak=leak)
        before, _, after = stages(rule, heard)
        change = flat(weights(after)) - flat(weights(before))
        descent = -flat(jax.grad(loss)(weights(before)))
        size = jnp.linalg.norm(descent)
        cosine = change @ descent / jnp.linalg.norm(change) / size
        return cosine, jnp.linalg.norm(leak * change - descent) / size

    heard = feedback(BATCH, 3)
    found = [compared(jnp.asarray(leak), heard) for leak in (0.1, 1.0, 10.0, 100.0)]
    cosines, distances = np.asarray(found).T
    assert (np.diff(cosines[:3]) > 0).all()
    assert (np.diff(distances) < 0).all()
    assert cosines[-1] > 0.9999
    assert distances[-1] < 0.05


@pytest.mark.parametrize("leak", [0.2, 2.0])
def test_control_is_the_least_and_learning_descends_it_at_any_strength(feedback, leak):
    rule = LeastControl(leak=leak, steps=300)
    free, received, adapted = stages(rule, feedback(BATCH, 3))
    start, end = (
        cost([n["value"] for n in s.neurons[1:]], weights(free), rule.leak)
        for s in (free, received)
    )
    assert end[0] < start[0]
    assert np.abs(flat(end[1][0])).max() < 1e-4 < 0.1 < np.abs(flat(start[1][0])).max()
    expected = flat(weights(free)) - rule.rate / BATCH * flat(end[1][1])
    np.testing.assert_allclose(flat(weights(adapted)), expected, atol=1e-5)


def test_strong_control_of_a_linear_network_is_the_shortest_that_reaches_the_target(feedback):
    rule = LeastControl(leak=1e-4, pace=0.3, steps=400, loss="squared", activation="linear")
    heard = feedback(BATCH, 2)

    @jax.jit
    def controlled():
        met = Clamped.full(inputs(3))
        state, outputs = rule.predict(newborn(rule, (3, 5, 2)), met, key=KEY)
        return state, outputs, rule.receive(state, heard, key=KEY)

    state, outputs, after = controlled()
    np.testing.assert_allclose(after.neurons[-1]["value"], outputs + heard.error, atol=1e-3)
    last = np.asarray(weights(state)[1], np.float64)[:-1]
    through = np.concatenate([last, np.eye(2)])  # how the outputs answer to all controls
    shortest = np.asarray(heard.error) @ np.linalg.pinv(through)
    found = np.concatenate([n["error"] for n in after.neurons[1:]], axis=1)
    np.testing.assert_allclose(found, shortest, atol=1e-3)


def test_stronger_control_leads_the_outputs_to_less_loss(feedback):
    reached = []
    for leak in (100.0, 1.0, 0.1, 0.02):
        rule = LeastControl(leak=leak, steps=300)
        after = stages(rule, feedback(BATCH, 3))[1]
        reached.append(float(cross_entropy(after.neurons[-1]["value"]) / BATCH))
    assert (np.diff(reached) < 0).all()
    assert reached[-1] < 0.1 < 0.5 < reached[0]


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_regression_needs_the_squared_loss(loss):
    """What the control settles at is minus the derivative of that loss, over the leak."""
    rule = LeastControl(leak=0.5, steps=200, loss=loss)
    target, blank = 0.5 * inputs(3) - 0.7, jnp.zeros(BATCH)

    @jax.jit
    def controlled():
        state, outputs = rule.predict(newborn(rule), Clamped.full(inputs()), key=KEY)
        heard = Feedback(Clamped.full(target), target - outputs, blank, blank > 0)
        return rule.receive(state, heard, key=KEY).neurons[-1]

    top = controlled()
    apart = np.abs(top["error"] - (target - top["value"]) / 0.5).max()
    assert apart < 1e-3 if loss == "squared" else apart > 0.1


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_it_is_predictive_coding_under_a_squared_loss_only(feedback, loss):
    rule = LeastControl(leak=0.25, steps=200, loss=loss)
    other = PredictiveCoding(precision=0.8, steps=200)
    ends = [stages(r, feedback(BATCH, 3))[1].neurons for r in (rule, other)]
    apart = [np.abs(a["error"] - b["error"]).max() for a, b in zip(*ends, strict=True)][1:]
    assert max(apart) < 1e-5 if loss == "squared" else min(apart) > 1e-2


def test_learning_makes_control_needless(feedback):
    rule = LeastControl(rate=0.2, leak=0.3, pace=0.3, steps=20)

    def presentation(state, _):
        _, received, adapted = presented(rule, state, feedback(BATCH, 3))
        return adapted, sum((n["error"] ** 2).sum() for n in received.neurons)

    scan = jax.jit(lambda: jax.lax.scan(presentation, newborn(rule), length=300)[1])
    needed = scan()
    assert needed[-1] < 0.05 * needed[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, r"`rate` must be positive, got 0.0"),
        ({"leak": -1.0}, r"`leak` must be positive, got -1.0"),
        ({"pace": 1.5}, r"`pace` must lie strictly in \(0, 1\), got 1.5"),
        ({"steps": True}, r"`steps` must be a positive whole number, got True"),
        ({"loss": "square"}, r"unknown `loss` 'square'; did you mean 'squared'"),
        ({"activation": "rleu"}, r"unknown activation 'rleu'; did you mean 'relu'"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LeastControl(**options)
