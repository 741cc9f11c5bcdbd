"""Predictive coding settles where its energy is least, and tends to the gradient."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, PredictiveCoding

KEY = jax.random.key(0)
BATCH = 8


def newborn(rule, layers):
    return rule.rest(rule.init(Body(layers), key=KEY), BATCH)


def inputs(n):
    return jax.random.normal(jax.random.key(1), (BATCH, n))


@functools.partial(jax.jit, static_argnums=1)
def presented(rule, layers, heard):
    """A newborn network after `predict`, `receive` and `adapt`, and its outputs."""
    met = Clamped.full(inputs(layers[0]))
    predicted, outputs = rule.predict(newborn(rule, layers), met, key=KEY)
    received = rule.receive(predicted, heard, key=KEY)
    return predicted, received, rule.adapt(received, key=KEY), outputs


def weights(state):
    return [block["weight"] for block in state.synapses]


def flat(ws):
    return jnp.concatenate([w.ravel() for w in ws])


def affine(s, weight):
    return s @ weight[:-1] + weight[-1][None]


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1))
def energy(values, ws, x, clamped):
    """Of hidden values under tanh and a precision of 0.7, over all rows, and its slopes."""
    total, sent = 0.0, x
    for v, w in zip(values, ws[:-1], strict=True):
        total += 0.5 * ((v - affine(sent, w)) ** 2).sum()
        sent = jnp.tanh(v)
    return total + 0.35 * ((clamped - affine(sent, ws[-1])) ** 2).sum()


def test_its_change_tends_to_the_gradient_as_the_clamp_weakens(feedback):
    layers, target = (4, 6, 5, 3), jnp.eye(3)[np.arange(BATCH) % 3]

    def loss(ws, x):
        for w in ws[:-1]:
            x = jnp.tanh(affine(x, w))
        outputs = affine(x, ws[-1])
        return -(jax.nn.log_softmax(outputs) * target).sum() / BATCH, outputs

    @jax.jit
    def compared(precision, heard):
        rule = dataclasses.replace(PredictiveCoding(steps=100), precision=precision)
        state = newborn(rule, layers)
        gradient, outputs = jax.grad(loss, has_aux=True)(weights(state), inputs(4))
        heard = dataclasses.replace(heard, error=target - jax.nn.softmax(outputs))
        after = presented(rule, layers, heard)[2]
        change = flat(weights(after)) - flat(weights(state))
        descent = -rule.rate * flat(gradient)
        size = jnp.linalg.norm(descent)
        cosine = change @ descent / jnp.linalg.norm(change) / size
        return cosine, jnp.linalg.norm(change - descent) / size

    heard = feedback(BATCH, 3)
    found = [compared(jnp.asarray(p), heard) for p in (3.0, 0.3, 0.03, 0.003)]
    cosines, distances = np.asarray(found).T
    assert (np.diff(cosines) > 0).all()
    assert cosines[-1] > 0.9999
    assert distances[-1] < 0.02  # the rate is that of descent, too


def test_values_settle_where_the_energy_is_least_and_synapses_descend_it(feedback):
    rule = PredictiveCoding(precision=0.7, steps=150)
    heard = feedback(BATCH, 3)
    free, received, adapted, outputs = presented(rule, (4, 6, 5, 3), heard)
    start, end = (
        energy(
            [n["value"] for n in s.neurons[1:-1]],
            weights(free),
            inputs(4),
            outputs + heard.error,
        )
        for s in (free, received)
    )
    assert end[0] < 0.9 * start[0]
    assert np.abs(flat(end[1][0])).max() < 1e-5 < 0.1 < np.abs(flat(start[1][0])).max()
    step = rule.rate / rule.precision / BATCH
    expected = flat(weights(free)) - step * flat(end[1][1])
    np.testing.assert_allclose(flat(weights(adapted)), expected, atol=1e-6)


def test_a_linear_network_settles_at_its_closed_form(feedback):
    rule = PredictiveCoding(precision=0.5, pace=0.3, steps=150, activation="linear")
    heard = feedback(BATCH, 2)
    state, after, _, outputs = presented(rule, (3, 4, 2), heard)
    first, second = (np.asarray(w, np.float64) for w in weights(state))
    w, mu = second[:-1], np.asarray(inputs(3), np.float64) @ first[:-1]
    aim = np.asarray(outputs + heard.error) - second[-1]
    settled = (mu + 0.5 * aim @ w.T) @ np.linalg.inv(np.eye(4) + 0.5 * w @ w.T)
    np.testing.assert_allclose(after.neurons[1]["value"], settled, atol=1e-5)
    np.testing.assert_allclose(after.neurons[1]["error"], settled - mu, atol=1e-5)
    np.testing.assert_allclose(after.neurons[2]["error"], 0.5 * (aim - settled @ w), atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_errors_travel_down_one_layer_a_step(feedback, steps):
    rule = PredictiveCoding(steps=steps)
    after = presented(rule, (4, 3, 3, 3, 2), feedback(BATCH, 2))[1]
    reached = [bool(jnp.any(n["error"])) for n in after.neurons]
    assert reached == [False, steps >= 3, steps >= 2, True, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": -1.0}, r"`rate` must be positive, got -1.0"),
        ({"precision": 0.0}, r"`precision` must be positive, got 0.0"),
        ({"pace": 1.0}, r"`pace` must lie strictly in \(0, 1\), got 1.0"),
        ({"steps": 0}, r"`steps` must be a positive whole number, got 0"),
        ({"activation": "tahn"}, r"unknown activation 'tahn'; did you mean 'tanh'"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PredictiveCoding(**options)
