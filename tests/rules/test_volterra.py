"""The polynomial contains Oja's rule, and every power is where it belongs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, Oja, Volterra

KEY = jax.random.key(0)


@eqx.filter_jit
def learned(rule):
    inputs = Clamped.full(jax.random.normal(KEY, (8, 5)))
    state = rule.rest(rule.init(Body((5, 4, 3)), key=KEY), 8)
    for _ in range(2):
        state, _ = rule.predict(state, inputs, key=KEY)
        state = rule.adapt(state, key=KEY)
    return [block["weight"] for block in state.synapses]


def test_it_contains_oja():
    for found, expected in zip(
        learned(Volterra(rate=0.1)), learned(Oja(rate=0.1)), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_every_term_of_the_polynomial():
    """One coefficient at a time, each of a different size, on one row and one synapse."""
    x, y, w = 2.0, 6.0, 3.0  # y = w x
    rule = Volterra(rate=0.1)
    state = rule.rest(rule.init(Body((1, 1)), key=KEY), 1)
    state = eqx.tree_at(lambda s: s.synapses[0]["weight"], state, jnp.full((1, 1), w))
    state, _ = rule.predict(state, Clamped.full(jnp.full((1, 1), x)), key=KEY)

    @jax.jit
    def change(coefficients):
        searched = eqx.tree_at(lambda r: r.coefficients, rule, coefficients)
        return searched.adapt(state, key=KEY).synapses[0]["weight"][0, 0] - w

    for a, b, c in np.ndindex(3, 3, 3):
        one = jnp.zeros((3, 3, 3)).at[a, b, c].set(0.5)
        expected = 0.1 * 0.5 * x**a * y**b * w**c
        np.testing.assert_allclose(change(one), expected, rtol=1e-4, err_msg=f"{a} {b} {c}")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Volterra(rate=0.0), r"`rate` must be positive, got 0.0"),
        (
            lambda: Volterra(coefficients=np.zeros((3, 3))),
            r"`coefficients` must have shape \(3, 3, 3\): .* got \(3, 3\)",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
