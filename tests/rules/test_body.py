"""Bodies and what the world holds a network at."""

import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped


@pytest.mark.parametrize(
    ("layers", "shown"),
    [
        ((), r"\(\)"),
        ((3, 0, 2), r"\(3, 0, 2\)"),
        ((3, -1), r"\(3, -1\)"),
        ((3, 2.5), r"\(3, 2.5\)"),
        (("3", 2), r"\('3', 2\)"),
        ((True, 2), r"\(True, 2\)"),
    ],
)
def test_layers_are_positive_whole_numbers(layers, shown, unchecked):
    message = f"`layers` must be positive whole numbers, one per layer, got {shown}"
    with pytest.raises(ValueError, match=message):
        Body(layers)


@pytest.mark.parametrize("lengths", [(3,), (3, 4), (3, 2, 1)])
def test_alive_has_one_vector_per_layer(lengths):
    with pytest.raises(ValueError, match=r"`alive` must hold one vector per layer"):
        Body((3, 2), tuple(jnp.ones(n) for n in lengths))


@pytest.mark.parametrize(
    ("layers", "hidden"), [((3,), 3), ((3,), -1), ((3, 2), 1), ((3,), 1.5), ((3,), True)]
)
def test_hidden_neurons_of_a_population_leave_some_for_inputs(layers, hidden, unchecked):
    with pytest.raises(ValueError, match=f"`hidden` must leave .*, got {hidden} of"):
        Body(layers, hidden=hidden)


def test_dead_neurons_are_masked_and_not_counted():
    body = Body((3, 2), (jnp.array([1.0, 0.0, 1.0]), jnp.zeros(2)))
    np.testing.assert_array_equal(body.mask(0, jnp.ones((2, 3))), [[1, 0, 1]] * 2)
    np.testing.assert_array_equal(body.mask(0, jnp.ones((4, 2, 3)))[3], [[1, 0, 1]] * 2)
    assert float(body.fan_in(0)) == 2.0
    assert float(body.fan_in(1)) == 1.0  # none: nothing is divided by it


def test_without_alive_nothing_is_computed():
    body, values = Body((3, 2)), jnp.ones((2, 3))
    assert body.mask(0, values) is values
    assert float(body.fan_in(0)) == 3.0


def test_free_neurons_are_known_as_zero():
    clamped = Clamped(
        jnp.full((1, 3), 7.0), jnp.array([[True, False, True]]), jnp.ones(1, bool)
    )
    np.testing.assert_array_equal(clamped.known, [[7.0, 0.0, 7.0]])
