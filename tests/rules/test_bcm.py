"""Neurons of BCM become selective, with the answers that theory gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import BCM, Body, Clamped

KEY = jax.random.key(0)


def test_each_neuron_ends_up_answering_to_one_input():
    """Of two that are not orthogonal: 2, one over its frequency, to one and 0 to the other."""
    patterns = jnp.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.5]])
    rule = BCM(rate=0.02, decay=0.5)
    state = rule.rest(rule.init(Body((3, 8)), key=KEY), 2)

    def presentation(state, _):
        state, answers = rule.predict(state, Clamped.full(patterns), key=KEY)
        return rule.adapt(state, key=KEY), answers

    answers = jax.jit(lambda s: jax.lax.scan(presentation, s, length=1500)[1])(state)
    first, last = np.asarray(answers[0]), np.asarray(answers[-1])
    to_first, to_second = np.argmax(last, 0) == 0, np.argmax(last, 0) == 1
    awake = last.max(0) > 0
    assert (awake & to_first).any()
    assert (awake & to_second).any()
    assert ((first > 0.1).all(0) & awake).any()  # of which some answered to both at first
    expected = np.stack([2.0 * to_first, 2.0 * to_second])[:, awake]
    np.testing.assert_allclose(last[:, awake], expected, atol=1e-3)
    np.testing.assert_array_equal(awake, first.max(0) > 0)


def test_a_presentation_by_hand():
    rule = BCM(rate=0.1, decay=0.75)
    state = rule.rest(rule.init(Body((2, 3)), key=KEY), 2)
    weights = np.array([[1.0, -1.0, 0.5], [0.5, -1.0, -1.0]])
    state = pg.rules.State(
        state.body, state.neurons, ({"weight": jnp.asarray(weights, float)},)
    )
    inputs = np.array([[1.0, 2.0], [3.0, 0.0]])
    threshold = np.zeros(3)
    for _ in range(3):
        state, answers = rule.predict(state, Clamped.full(jnp.asarray(inputs, float)), key=KEY)
        state = rule.adapt(state, key=KEY)
        y = np.maximum(inputs @ weights, 0.0)
        threshold = 0.75 * threshold + 0.25 * (y**2).mean(0)
        np.testing.assert_allclose(answers, y, rtol=1e-5)
        drive = y * (y - threshold) / np.where(threshold > 0, threshold, 1.0)
        weights = weights + 0.1 * inputs.T @ drive / 2
        np.testing.assert_allclose(state.synapses[0]["weight"], weights, rtol=1e-5)
    assert threshold[1] == 0  # a neuron that was never active


def test_thresholds_outlast_rest():
    rule = BCM()
    state = rule.rest(rule.init(Body((2, 3)), key=KEY), 2)
    state, _ = rule.predict(state, Clamped.full(jnp.ones((2, 2))), key=KEY)
    rested = rule.rest(state, 5)
    for before, after in zip(state.neurons, rested.neurons, strict=True):
        assert before["threshold"].max() > 0
        assert after["activity"].shape == after["threshold"].shape
        np.testing.assert_array_equal(after["threshold"][4], before["threshold"][0])
        np.testing.assert_array_equal(after["activity"], 0.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: BCM(rate=0.0), r"`rate` must be positive, got 0.0"),
        (lambda: BCM(decay=1.0), r"`decay` must lie strictly in \(0, 1\), got 1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
