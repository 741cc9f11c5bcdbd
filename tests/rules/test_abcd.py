"""ABCD with coefficients for all synapses or for each, and weights within bounds."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import ABCD, Body, Clamped, genome

KEY = jax.random.key(0)
LAYERS = (4, 3, 2)
INPUTS = jax.random.normal(KEY, (8, 4))


@eqx.filter_jit
def learned(rule):
    """Newborn weights, activities, outputs and the weights after one presentation."""
    born = rule.init(Body(LAYERS), key=KEY)
    state, outputs = rule.predict(rule.rest(born, 8), Clamped.full(INPUTS), key=KEY)
    weights = [
        [block["weight"] for block in s.synapses] for s in (born, rule.adapt(state, key=KEY))
    ]
    return weights[0], [n["activity"] for n in state.neurons], outputs, weights[1]


def test_each_synapse_has_its_own_five_coefficients():
    rng = np.random.default_rng(0)
    own = {name: rng.normal(size=18) for name in ("both", "pre", "post", "constant")}
    own["rate"] = rng.uniform(0.1, 1.0, 18)
    rule = ABCD(layers=LAYERS, **own)
    assert genome(rule).size == 5 * 18 + 1
    born, activities, _, after = learned(rule)
    start = 0
    for layer, (old, new) in enumerate(zip(born, after, strict=True)):
        x, y = (np.asarray(activities[i]) for i in (layer, layer + 1))
        expected = np.array(old)
        for i, j in np.ndindex(old.shape):
            h, A, B, C, D = (own[n][start] for n in ("rate", "both", "pre", "post", "constant"))
            terms = A * x[:, i] * y[:, j] + B * x[:, i] + C * y[:, j] + D
            expected[i, j] += h * terms.mean()
            start += 1
        np.testing.assert_allclose(new, expected / np.abs(expected).max(), rtol=2e-5)


def test_equal_coefficients_are_shared_ones():
    shared = {"rate": 0.2, "both": 0.7, "pre": -0.3, "post": 0.5, "constant": 0.1}
    for a, b in zip(
        jax.tree.leaves(learned(ABCD(**shared))),
        jax.tree.leaves(learned(ABCD(**shared, layers=LAYERS))),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_weights_are_born_small_and_kept_within_one():
    born, activities, outputs, after = learned(ABCD(rate=5.0, gain=3.0))
    values = np.concatenate([np.ravel(w) for w in born])
    assert -0.1 <= values.min() < -0.05
    assert 0.05 < values.max() <= 0.1
    for weights in after:
        np.testing.assert_allclose(np.abs(weights).max(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(outputs, 3.0 * activities[-1], rtol=1e-6)
    assert np.abs(activities[-1]).max() < 1


def test_a_block_of_zeros_stays_finite():
    rule = ABCD()
    state = jax.eval_shape(lambda: rule.rest(rule.init(Body(LAYERS), key=KEY), 8))
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), state)
    for leaf in jax.tree.leaves(rule.adapt(state, key=KEY)):
        np.testing.assert_array_equal(leaf, 0.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ABCD(rate=0.0), r"`rate` must be positive, got 0.0"),
        (
            lambda: ABCD(pre=np.ones(18)),
            r"`pre` must have shape \(\) where `layers` is None, got \(18,\)",
        ),
        (
            lambda: ABCD(post=np.ones(17), layers=LAYERS),
            r"`post` must have shape \(18,\) where `layers` is \(4, 3, 2\), got \(17,\)",
        ),
        (lambda: ABCD(layers=(4, 0)), r"`layers` must be positive whole numbers"),
        (
            lambda: ABCD(layers=LAYERS).init(Body((4, 2)), key=KEY),
            r"`body` must have layers \(4, 3, 2\), .* got \(4, 2\)",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
