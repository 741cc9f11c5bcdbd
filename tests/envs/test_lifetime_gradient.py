"""Gradients through lives, kept whole or computed again in segments."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import live
from plasticgym.rules import SGD, genome, with_genome

KEY = jax.random.key(5)
RULE = SGD(rate=0.3, activation="tanh")


def weight_norm(rule, problem, before, after):
    return sum(jnp.square(w).sum() for w in jax.tree.leaves(after.state.synapses))


def test_meta_gradients_equal_finite_differences():
    with jax.enable_x64(True):
        problem = pg.envs.plane("xor", hidden=(4,), batch=8, presentations=6)
        rule = SGD(rate=0.3, activation="tanh")

        @jax.jit
        def meta_loss(vector):
            record = live(with_genome(rule, vector), problem, key=KEY)
            return record.losses.mean() + record.tests.loss[-1]

        at = genome(rule)
        slope = jax.jit(jax.grad(meta_loss))(at)
        small = 1e-5
        expected = (meta_loss(at + small) - meta_loss(at - small)) / (2 * small)
        assert slope.dtype == jnp.float64
        assert abs(float(expected)) > 1e-3
        np.testing.assert_allclose(slope, [expected], rtol=1e-7)


@pytest.fixture(scope="module")
def whole(xor):
    """A life with tests on the way and probes, kept whole, and its meta-gradient."""
    return recorded(RULE, xor, None)


@eqx.filter_jit
def recorded(rule, problem, segment):
    def meta_loss(vector):
        record = live(
            with_genome(rule, vector),
            problem,
            key=KEY,
            probes=(weight_norm,),
            tests=(2, 5),
            segment=segment,
        )
        return record.losses.mean() + record.tests.loss.mean(), record

    gradient, record = jax.grad(meta_loss, has_aux=True)(genome(rule))
    return record, gradient


@pytest.mark.slow
@pytest.mark.parametrize("segment", [1, 2, 4, 100])
def test_a_life_in_segments_is_the_same_life(xor, whole, segment):
    """Of six presentations: segments that fit, that leave a rest, and longer than it."""
    record, gradient = recorded(RULE, xor, segment)
    expected, slope = whole
    assert jax.tree.structure(record) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(record), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert abs(float(slope[0])) > 1e-3
    np.testing.assert_allclose(gradient, slope, rtol=1e-5)


@pytest.mark.slow
def test_segments_save_memory_on_the_way_back():
    problem = pg.envs.plane("xor", hidden=(16,), batch=32, presentations=256)

    def needed(segment):
        compiled = recorded.lower(RULE, problem, segment).compile()
        return compiled.compiled.memory_analysis().temp_size_in_bytes

    assert needed(16) < needed(None) / 2


@pytest.mark.parametrize("segment", [0, -1, 2.5, "2"])
def test_segments_are_positive_whole_numbers(xor, segment, unchecked):
    with pytest.raises(ValueError, match="`segment` must be a positive whole number, got"):
        live(RULE, xor, key=KEY, segment=segment)
