"""What every rule keeps to in one presentation. No branch on a member's name."""

import dataclasses
import itertools
import math
import re
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PyTree

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Feedback, Signal, State, Tier, genome, with_genome

KEY, OTHER_KEY = jax.random.key(0), jax.random.key(1)
LAYERED, RECURRENT, BATCH = Body((5, 4, 6, 3)), Body((5,)), 8


@pytest.fixture
def body(rule, home) -> Body:
    """One in which the rule lives; both have five inputs."""
    return home(rule, layered=LAYERED, recurrent=RECURRENT)


@pytest.fixture
def heard(body, feedback) -> Feedback:
    return feedback(BATCH, body.layers[-1])


@pytest.fixture
def inputs() -> Clamped:
    return Clamped.full(jax.random.normal(KEY, (BATCH, 5)))


class Presented(NamedTuple):
    """A newborn network, and what it is after each stage of one presentation."""

    newborn: State
    predicted: State
    outputs: Array
    received: State
    adapted: State


def presented(rule, inputs, feedback, key) -> Presented:
    """In which no signal is blanked."""
    body = LAYERED if feedback.error.shape[1] == LAYERED.layers[-1] else RECURRENT
    newborn = rule.rest(rule.init(body, key=KEY), len(inputs.values))
    predicted, outputs = rule.predict(newborn, inputs, key=key)
    received = rule.receive(predicted, feedback, key=key)
    adapted = rule.adapt(received, key=key)
    return Presented(newborn, predicted, outputs, received, adapted)


# The one program of this file, compiled once per rule and number of rows.
present = eqx.filter_jit(presented)


def same(one: PyTree, other: PyTree) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def shapes(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def test_a_presentation_keeps_structure_shapes_and_dtypes(rule, inputs, heard):
    stages = jax.eval_shape(lambda: presented(rule, inputs, heard, KEY))
    assert stages.outputs.shape == heard.error.shape
    assert stages.outputs.dtype == jnp.float32
    for state in (stages.predicted, stages.received, stages.adapted):
        assert jax.tree.structure(state) == jax.tree.structure(stages.newborn)
        assert shapes(state) == shapes(stages.newborn)


def test_neurons_lead_to_batch_and_synapses_join_neighbours(rule, body):
    state = jax.eval_shape(lambda: rule.rest(rule.init(body, key=KEY), BATCH))
    assert len(state.neurons) == len(body.layers)
    joined = list(itertools.pairwise(body.layers)) or [body.layers * 2]
    assert len(state.synapses) == len(joined)
    if any(isinstance(layer, tuple) for layer in state.neurons):
        pytest.skip("its layers are shared out")
    for n, layer in zip(body.layers, state.neurons, strict=True):
        for leaf in jax.tree.leaves(layer):
            assert leaf.shape[-1] == n
            # Rows of a combinator's own may ride along, and replicas stand in front of theirs.
            assert math.prod(leaf.shape[:-1]) >= BATCH
    for (pre, post), block in zip(joined, state.synapses, strict=True):
        forward = {(pre, post), (pre + 1, post)}
        backward = {(post, pre), (post + 1, pre), (post, pre + 1), (body.layers[-1], post)}
        leaves = jax.tree.leaves(block)
        assert leaves
        assert all(leaf.shape[-2:] in forward | backward for leaf in leaves)


def test_what_it_remembers_outlasts_a_presentation(rule, body, inputs, heard):
    """A rule that uses no memory hands on the one it is given."""
    marked = jax.eval_shape(lambda: rule.init(body, key=KEY))
    if marked.memory is not None:
        pytest.skip("it has a memory of its own")

    def traced():
        state = dataclasses.replace(rule.init(body, key=KEY), memory=jnp.ones(7))
        state, _ = rule.predict(rule.rest(state, BATCH), inputs, key=KEY)
        state = rule.receive(state, heard, key=KEY)
        return rule.adapt(state, key=KEY).memory

    assert jax.eval_shape(traced).shape == (7,)


def test_it_says_what_it_reads_and_how_local_it_is(rule):
    text = " ".join(type(rule).__doc__.split())
    assert re.search(rf"\btier [^.]*\b{rule.tier}\b", text)
    assert re.search(r"\b[Rr]eads?\b", text)


def test_a_newborn_network_has_no_batch(rule, body):
    newborn = jax.eval_shape(lambda: rule.init(body, key=KEY))
    assert jax.tree.leaves(newborn.neurons) == []


def test_what_it_declares_is_of_the_right_kind(rule):
    assert isinstance(rule.reads, frozenset)
    assert all(isinstance(signal, Signal) for signal in rule.reads)
    assert isinstance(rule.tier, Tier)


def test_predict_and_receive_leave_synapses_untouched(rule, inputs, heard):
    def traced():
        newborn, predicted, _, received, _ = presented(rule, inputs, heard, KEY)
        before = jax.tree.leaves(newborn.synapses)
        for after in (predicted, received):
            for old, new in zip(before, jax.tree.leaves(after.synapses), strict=True):
                assert new is old

    jax.eval_shape(traced)


def test_it_sees_exactly_the_signals_that_it_declares(rule, body, inputs, heard, feedback):
    """In its synapses, or in what it remembers for later."""
    others = feedback(BATCH, body.layers[-1], seed=1)
    others = dataclasses.replace(others, boundary=jnp.zeros_like(heard.boundary))
    reference = present(rule, inputs, heard, KEY).adapted
    for signal in Signal:
        changed = dataclasses.replace(heard, **{str(signal): getattr(others, str(signal))})
        after = present(rule, inputs, changed, KEY).adapted
        kept = same((reference.synapses, reference.memory), (after.synapses, after.memory))
        assert kept == (signal not in rule.reads), signal


def test_blanked_signals_are_zero(rule, feedback):
    heard = feedback(BATCH, 3).only(rule.reads)
    for signal in Signal:
        value = getattr(heard, str(signal))
        value = value.mask if signal is Signal.TARGET else value
        assert bool(jnp.any(value)) == (signal in rule.reads)


def test_same_key_same_presentation_and_outputs_without_noise(rule, inputs, heard):
    first, again, other = (present(rule, inputs, heard, k) for k in (KEY, KEY, OTHER_KEY))
    assert same(first, again)
    assert same(first.outputs, other.outputs)


def test_it_averages_over_the_rows_of_its_batch(rule, inputs, heard):
    """Unless noise differs from row to row: then the rows of twice the batch are others."""
    once, other = (present(rule, inputs, heard, key) for key in (KEY, OTHER_KEY))
    if not same(once.received.neurons, other.received.neurons):
        pytest.skip("its neurons are noisy")
    # Each row beside itself, so that blocks of rows keep what they hold.
    twice = jax.tree.map(lambda x: jnp.repeat(x, 2, axis=0), (inputs, heard))
    twice = present(rule, *twice, KEY)
    before, *after = (
        jax.tree.leaves(state.synapses) for state in (once.newborn, once.adapted, twice.adapted)
    )
    for a, b in zip(*after, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    moved = [not np.array_equal(a, b) for a, b in zip(before, after[0], strict=True)]
    assert any(moved)


def test_genomes_of_one_rule_share_one_compilation(rule, inputs, heard, compilations):
    vector = genome(rule)
    others = [with_genome(rule, vector + shift) for shift in (0.1, -0.1)]
    expected = present(rule, inputs, heard, KEY)
    # Without weights outputs are 0, whatever the genes.
    silent = not any(np.any(x) for x in jax.tree.leaves(expected.newborn.synapses))
    compilations.clear()
    for other in others:
        assert same(present(other, inputs, heard, KEY), expected) == silent
    assert compilations == []


def test_birth_scales_count_only_living_neurons(rule):
    """A quarter of a wide layer is born like a layer a quarter as wide."""
    if not pg.rules.accepts(rule, LAYERED):
        pytest.skip("it has no hidden layer")
    alive = (jnp.ones(64), jnp.tile(jnp.array([1.0, 0.0, 0.0, 0.0]), 64), jnp.ones(64))
    small = rule.init(Body((64, 64, 64)), key=KEY).synapses
    large = rule.init(Body((64, 256, 64), alive), key=KEY).synapses
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        expected = np.std(a[..., :64, :])
        found = np.std(b[..., : 256 if b.shape[-2] > 255 else 64, :])
        np.testing.assert_allclose(found, expected, rtol=0.06)


def test_a_body_without_layers_is_refused(rule):
    with pytest.raises(ValueError, match=r"`(body|layers)` must"):
        rule.init(Body(()), key=KEY)


def test_layers_or_a_population_may_be_refused_and_not_both(rule):
    refused = [body for body in (LAYERED, RECURRENT) if not pg.rules.accepts(rule, body)]
    assert len(refused) < 2
    for body in refused:
        with pytest.raises(ValueError, match=r"`body` must .* got"):
            rule.init(body, key=KEY)
