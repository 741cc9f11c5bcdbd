"""Equilibrium propagation tends to the gradient through the equilibrium of its network."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, EquilibriumPropagation

KEY = jax.random.key(0)
LAYERS, BATCH = (4, 5, 4, 3), 8
TARGET = np.eye(3)[np.arange(8) % 3]


def newborn(rule, layers=LAYERS):
    return rule.rest(rule.init(Body(layers), key=KEY), BATCH)


def inputs(n=4):
    return jax.random.normal(jax.random.key(1), (BATCH, n), float)


def weights(state):
    return [block["weight"] for block in state.synapses]


def flat(ws):
    return jnp.concatenate([w.ravel() for w in ws])


def affine(s, weight):
    return s @ weight[:-1] + weight[-1][None]


def loss(ws, gain):
    """Cross-entropy at the equilibrium of three tanh layers, written down once more."""
    a, b, c = ws

    def relax(layers, _):
        h, k, y = layers
        moved = (
            jnp.tanh(affine(inputs(), a) + k @ b[:-1].T),
            jnp.tanh(affine(h, b) + y @ c[:-1].T),
            jnp.tanh(affine(k, c)),
        )
        return tuple(0.5 * (s + m) for s, m in zip(layers, moved, strict=True)), None

    start = tuple(jnp.zeros((BATCH, n)) for n in LAYERS[1:])
    y = jax.lax.scan(relax, start, length=150)[0][-1]
    return -(jax.nn.log_softmax(gain * y) * jnp.asarray(TARGET, float)).sum() / BATCH


@jax.jit
def predicted(rule, state, met):
    return rule.predict(state, met, key=KEY)


@jax.jit
def changed(rule, heard):
    """How a newborn network changes, and its weights before."""
    state, outputs = rule.predict(newborn(rule), Clamped.full(inputs()), key=KEY)
    error = jnp.asarray(TARGET, float) - jax.nn.softmax(outputs)
    heard = dataclasses.replace(heard, error=error)
    after = rule.adapt(rule.receive(state, heard, key=KEY), key=KEY)
    return flat(weights(after)) - flat(weights(state)), weights(state)


def test_its_change_tends_to_the_gradient_at_the_order_of_its_nudging(feedback):
    nudgings, strengths = {"one-sided": 1, "centred": 2}, (0.8, 0.2, 0.02, 0.01)
    distances, descent = {}, None
    with jax.enable_x64(True):
        heard = feedback(BATCH, 3)
        for nudging, order in nudgings.items():
            rule = EquilibriumPropagation(
                1.0, gain=2.0, free_steps=150, nudged_steps=150, nudging=nudging
            )
            cosines, apart = [], []
            for strength in strengths:
                nudged = dataclasses.replace(rule, strength=strength)
                change, before = changed(nudged, heard)
                if descent is None:
                    descent = -flat(jax.jit(jax.grad(loss))(before, rule.gain))
                size = jnp.linalg.norm(descent)
                cosines.append(float(change @ descent / jnp.linalg.norm(change) / size))
                apart.append(float(jnp.linalg.norm(change - descent) / size))
            assert (np.diff(cosines) > 0).all()
            assert cosines[-1] > 0.9999
            # Half the strength: the distance is divided by 2 to this order.
            np.testing.assert_allclose(apart[2] / apart[3], 2.0**order, rtol=0.05)
            distances[nudging] = apart
    pairs = zip(distances["centred"], distances["one-sided"], strict=True)
    assert all(centred < one_sided for centred, one_sided in pairs)


def test_a_linear_network_settles_at_its_closed_form():
    rule = EquilibriumPropagation(free_steps=400, gain=2.0, activation="linear")
    state = newborn(rule, (3, 4, 2))
    small = [0.5 * w for w in weights(state)]  # so that there is an equilibrium
    small[1] = small[1].at[-1].set(0.3)
    synapses = tuple({"weight": w} for w in small)
    state = dataclasses.replace(state, synapses=synapses)
    after, outputs = predicted(rule, state, Clamped.full(inputs(3)))
    w, drive = np.asarray(small[1][:-1], np.float64), np.asarray(affine(inputs(3), small[0]))
    hidden = (drive + 0.3 * w.sum(1)) @ np.linalg.inv(np.eye(4) - w @ w.T)
    np.testing.assert_allclose(after.neurons[1]["activity"], hidden, atol=1e-5)
    np.testing.assert_allclose(outputs, 2.0 * (hidden @ w + 0.3), atol=1e-5)


def test_rows_that_begin_start_from_rest_and_others_go_on():
    rule = EquilibriumPropagation(free_steps=3)
    first = Clamped.full(inputs())
    starts = jnp.arange(BATCH) < 4
    once, _ = predicted(rule, newborn(rule), first)
    _, found = predicted(rule, once, dataclasses.replace(first, starts=starts))
    short, long = (
        predicted(EquilibriumPropagation(free_steps=n), newborn(rule), first)[1] for n in (3, 6)
    )
    np.testing.assert_allclose(found[:4], short[:4], rtol=1e-6)
    np.testing.assert_allclose(found[4:], long[4:], rtol=1e-5)
    assert np.abs(short[4:] - long[4:]).max() > 1e-3


@pytest.mark.parametrize("nudging", ["one-sided", "centred"])
def test_nothing_changes_where_nothing_is_wrong(feedback, nudging):
    """Though the free phase has not settled: both phases go on relaxing alike."""
    rule = EquilibriumPropagation(free_steps=2, nudging=nudging)

    @jax.jit
    def presented(state, heard):
        state, _ = rule.predict(state, Clamped.full(inputs()), key=KEY)
        return rule.adapt(rule.receive(state, heard, key=KEY), key=KEY)

    heard = dataclasses.replace(feedback(BATCH, 3), error=jnp.zeros((BATCH, 3)))
    state = newborn(rule)
    after = presented(state, heard)
    np.testing.assert_array_equal(flat(weights(after)), flat(weights(state)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, r"`rate` must be positive, got 0.0"),
        ({"strength": -0.5}, r"`strength` must be positive, got -0.5"),
        ({"gain": 0.0}, r"`gain` must be positive, got 0.0"),
        ({"pace": 1.0}, r"`pace` must lie strictly in \(0, 1\), got 1.0"),
        ({"free_steps": 0}, r"`free_steps` must be a positive whole number, got 0"),
        ({"nudged_steps": 2.0}, r"`nudged_steps` must be a positive whole number, got 2.0"),
        ({"nudging": "centered"}, r"unknown `nudging` 'centered'; did you mean 'centred'"),
        ({"activation": "clip"}, r"unknown activation 'clip'; known are"),
    ],
)
def test_what_is_out_of_range_is_refused(unchecked, options, message):
    with pytest.raises(ValueError, match=message):
        EquilibriumPropagation(**options)
