"""A reward that comes later changes what was active before, by how much it surprises."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, ThreeFactor

KEY = jax.random.key(0)
RULE = ThreeFactor(rate=0.1, decay=0.6, decay_reward=0.8)
LAYERS = (3, 2)


@eqx.filter_jit
def lived(rule, feedback, values, starts, rewards):
    """Weights and traces of one block after every presentation."""
    state = rule.rest(rule.init(Body(LAYERS), key=KEY), values.shape[1])

    def presentation(state, each):
        value, start, reward = each
        inputs = Clamped(value, jnp.ones(value.shape, bool), start)
        state, outputs = rule.predict(state, inputs, key=KEY)
        heard = eqx.tree_at(lambda f: f.reward, feedback, reward)
        state = rule.adapt(rule.receive(state, heard, key=KEY), key=KEY)
        return state, (state.synapses[0], outputs)

    (synapses, outputs) = jax.lax.scan(presentation, state, (values, starts, rewards))[1]
    return state.synapses[0]["weight"], synapses["weight"], synapses["trace"], outputs


@pytest.fixture(scope="module")
def random():
    rng = np.random.default_rng(0)
    return (
        jnp.asarray(rng.normal(size=(6, 1, 3)), float),
        jnp.asarray([[True], [False], [False], [True], [False], [False]]),
        jnp.asarray(rng.normal(size=(6, 1)), float),
    )


def test_at_one_row_it_is_the_equation(random, feedback):
    values, starts, rewards = random
    weight, weights, traces, outputs = lived(RULE, feedback(1, 2), *random)
    trace, mean = np.zeros((4, 2)), 0.0
    for t in range(6):
        x = np.append(values[t, 0], 1.0)
        y = x @ weight
        trace = (0.0 if starts[t, 0] else 0.6) * trace + np.outer(x, y)
        weight = weight + 0.1 * (float(rewards[t, 0]) - mean) * trace
        mean = 0.8 * mean + 0.2 * float(rewards[t, 0])
        np.testing.assert_allclose(outputs[t, 0], y, rtol=1e-4)
        np.testing.assert_allclose(weights[t], weight, rtol=1e-4)
        np.testing.assert_allclose(traces[t], trace, rtol=1e-4)


def test_a_distal_reward_changes_what_was_active_before_it(random, feedback):
    """No inputs in between, and no reward but the last: what is left of the trace counts."""
    values, starts, rewards = random
    still = values.at[1:].set(0.0)
    late = jnp.zeros_like(rewards).at[4].set(2.0)
    once = starts.at[3].set(False)
    born, weights, *_ = lived(RULE, feedback(1, 2), still, once, late)
    np.testing.assert_array_equal(weights[3], born)
    x = np.append(values[0, 0], 1.0)
    coincidence = np.outer(x, x @ born)[:3]  # not of the bias unit, which is never silent
    np.testing.assert_allclose(weights[4][:3] - born[:3], 0.2 * 0.6**4 * coincidence, rtol=1e-3)


def test_a_row_that_starts_keeps_no_trace(random, feedback):
    values, starts, rewards = random
    _, _, traces, _ = lived(RULE, feedback(1, 2), values.at[3:].set(0.0), starts, rewards)
    assert np.abs(traces[2][:3]).max() > 0.1
    np.testing.assert_array_equal(traces[3][:3], 0.0)


def test_each_row_is_changed_by_its_own_reward(feedback):
    """Two rows of opposite rewards and no common input; only the second has a past."""
    values = jnp.array([[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    starts = jnp.array([[True, True], [True, False]])
    rewards = jnp.array([[0.0, 0.0], [1.0, -1.0]])
    born, weights, traces, outputs = lived(RULE, feedback(2, 2), values, starts, rewards)
    change = weights[1] - born
    # 0.1 x surprise x coincidence, of which each row is a half.
    np.testing.assert_allclose(change[0], 0.05 * outputs[1, 0], rtol=1e-4)
    np.testing.assert_allclose(change[1], -0.05 * outputs[1, 1], rtol=1e-4)
    np.testing.assert_allclose(change[2], -0.05 * 0.6 * traces[0][2], rtol=1e-4)
    np.testing.assert_allclose(traces[1][2], 0.5 * 0.6 * traces[0][2], rtol=1e-4)


def test_the_mean_reward_outlasts_rest(feedback):
    state = RULE.rest(RULE.init(Body(LAYERS), key=KEY), 4)
    state = RULE.receive(state, feedback(4, 2), key=KEY)
    rested = RULE.rest(state, 2)
    expected = 0.2 * feedback(4, 2).reward.mean()
    for neurons in rested.neurons:
        np.testing.assert_allclose(neurons["mean_reward"], expected, rtol=1e-5)
        np.testing.assert_array_equal(neurons["surprise"], 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, r"`rate` must be positive, got 0.0"),
        ({"decay": 1.0}, r"`decay` must lie strictly in \(0, 1\), got 1.0"),
        ({"decay_reward": 0.0}, r"`decay_reward` must lie strictly in \(0, 1\), got 0.0"),
        ({"activation": "than"}, r"unknown activation 'than'; did you mean 'tanh'"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ThreeFactor(**options)
