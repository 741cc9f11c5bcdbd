"""A network whose memory is its state: what it computes, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import LSTM, Affine, Body, Clamped

KEY, BITS, UNITS = jax.random.key(0), 3, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("layers", [(BITS,), (BITS, BITS), (BITS, 2, BITS)])
def test_it_computes_what_the_textbook_says(layers):
    rule = LSTM.drawn(BITS, UNITS, key=KEY)
    A, a = (np.asarray(x) for x in (rule.gates.weight, rule.gates.bias))
    B, b = (np.asarray(x) for x in (rule.readout.weight, rule.readout.bias))
    h = c = np.zeros(UNITS)
    state = rule.rest(rule.init(Body(layers), key=KEY), 1)
    rng = np.random.default_rng(0)
    for _ in range(3):
        values, mask = rng.choice([-1.0, 1.0], BITS), rng.random(BITS) < 0.5
        inputs = Clamped(
            jnp.asarray(values, float)[None], jnp.asarray(mask)[None], jnp.ones(1, bool)
        )
        state, outputs = rule.predict(state, inputs, key=KEY)
        i, f, o, g = np.split(A @ np.concatenate([values * mask, mask, h]) + a, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(outputs[0], B @ h + b, atol=1e-5)
        np.testing.assert_allclose(state.memory["cell"], c, atol=1e-5)
        assert [n.shape for n in state.neurons] == [(1, n) for n in layers]


def test_its_state_is_all_that_a_life_changes():
    problem = pg.envs.remember(bits=BITS, stored=2, delay=1, hidden=0)
    found = pg.benchmarks.remembered(LSTM.drawn(BITS, UNITS, key=KEY), problem, seeds=range(3))
    assert (found[0].floats == 2 * UNITS).all()


def test_what_does_not_fit_is_refused(unchecked):
    rule = LSTM.drawn(BITS, UNITS, key=KEY)
    with pytest.raises(ValueError, match=r"`body` must have 3 inputs and outputs, .* \(4,\)"):
        rule.init(Body((4,)), key=KEY)
    with pytest.raises(ValueError, match=r"`batch` must be 1, .* got 2"):
        rule.rest(rule.init(Body((BITS,)), key=KEY), 2)
    with pytest.raises(ValueError, match="`units` must be a positive whole number, got 0"):
        LSTM.drawn(BITS, 0, key=KEY)
    with pytest.raises(ValueError, match=r"`gates` must have weights of shape \(16, 10\)"):
        LSTM(Affine(jnp.zeros((16, 9)), jnp.zeros(16)), rule.readout)
