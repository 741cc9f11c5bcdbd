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


def test_at_one_row_it_is_the_equation():
    """Synapse by synapse, in two layers."""
    rule, x = BCM(rate=0.05, decay=0.6), np.random.default_rng(3).normal(size=(5, 4))
    state = rule.rest(rule.init(Body((4, 6, 3)), key=KEY), 1)

    @jax.jit
    def presented(state, row):
        state, _ = rule.predict(state, Clamped.full(row[None]), key=KEY)
        return rule.adapt(state, key=KEY)

    weights = [np.asarray(block["weight"], np.float64) for block in state.synapses]
    thresholds = [np.zeros(6), np.zeros(3)]
    for row in x:
        state, pre = presented(state, jnp.asarray(row, float)), row
        for w, theta in zip(weights, thresholds, strict=True):
            post = [
                max(0.0, sum(pre[i] * w[i, j] for i in range(len(pre))))
                for j in range(len(theta))
            ]
            for j, y in enumerate(post):
                theta[j] = 0.6 * theta[j] + 0.4 * y**2
                for i in range(len(pre)):
                    if y > 0:
                        w[i, j] += 0.05 * pre[i] * y * (y - theta[j]) / theta[j]
            pre = post
        for w, block in zip(weights, state.synapses, strict=True):
            np.testing.assert_allclose(block["weight"], w, atol=1e-5)


def test_steps_up_and_down_have_their_bounds():
    """Of a batch of one, whose threshold has seen it: from any threshold, by any input."""
    rule = BCM(rate=1.0, decay=0.8)
    state = rule.rest(rule.init(Body((1, 1)), key=KEY), 1)
    state = pg.rules.State(state.body, state.neurons, ({"weight": jnp.ones((1, 1))},))

    @jax.jit
    @jax.vmap
    def step(before, x):
        neurons = tuple(n | {"threshold": before[None, None]} for n in state.neurons)
        held = pg.rules.State(state.body, neurons, state.synapses)
        held, _ = rule.predict(held, Clamped.full(x[None, None]), key=KEY)
        after = rule.adapt(held, key=KEY).synapses[0]["weight"][0, 0]
        return (after - 1.0) / x, held.neurons[1]["threshold"][0, 0]

    before, x = jnp.meshgrid(jnp.linspace(0.0, 40.0, 81), jnp.linspace(0.1, 20.0, 200))
    steps, thresholds = (np.asarray(a) for a in step(before.ravel(), x.ravel()))
    assert 4.8 < steps.max() <= 1.0 / 0.2 + 1e-4
    ratios = steps / thresholds
    assert -0.25 - 1e-5 < ratios.min() < -0.24


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
