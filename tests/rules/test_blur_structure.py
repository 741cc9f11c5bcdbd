"""BLUR's sizes, its laws of batches, its symmetries, and genomes that fit other networks."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import (
    Blur,
    Body,
    Clamped,
    Feedback,
    Plasticity,
    gene_names,
    genome,
    make,
    named_leaves,
    with_genome,
)

KEY = jax.random.key(0)
BATCH = 6


@eqx.filter_jit
def presented(rule, state, inputs, feedback):
    """The network after one presentation, and its outputs."""
    state, outputs = rule.predict(state, inputs, key=KEY)
    return rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY), outputs


def newborn(rule, *layers, batch=BATCH):
    return rule.rest(rule.init(Body(layers), key=KEY), batch)


def moderate(states=2, **options):
    """A random genome of moderate size, so that all paths carry something."""
    rule = make("blur", genome="random", states=states)
    rule = with_genome(rule, 0.5 * genome(rule))
    synapse = dataclasses.replace(rule.synapse, keep=0.9, rate=0.3)
    return dataclasses.replace(rule, synapse=synapse, neuron_keep=0.8, **options)


@pytest.mark.parametrize(("states", "numbers"), [(2, 20), (4, 68), (8, 260)])
@pytest.mark.parametrize("kind", ["hebbian", "random"])
def test_four_matrices_and_four_scalars(kind, states, numbers):
    rule = make("blur", genome=kind, states=states)
    names = [name.partition("[")[0] for name in gene_names(rule)]
    assert len([name for name in names if name != "gain"]) == numbers
    assert genome(rule).size == numbers + 1


def test_fixing_gauges_leaves_the_size():
    rule = make("blur")
    assert genome(dataclasses.replace(rule, gauge="fixed")).size == genome(rule).size


def test_numbers_of_weights():
    body = Body((784, 512, 256, 10))

    def weights(rule):
        state = jax.eval_shape(lambda: rule.init(body, key=KEY))
        return sum(leaf.size for leaf in jax.tree.leaves(state.synapses))

    assert weights(make("blur", genome="backprop")) == 535_818
    assert weights(make("blur", states=4)) == 4_283_432


def changes(rule, state, inputs, heard):
    """What a presentation adds to the kept weights, per leaf of the synapses."""
    after = presented(rule, rule.rest(state, len(heard.reward)), inputs, heard)[0]
    keep = rule.synapse.keep
    pairs = zip(jax.tree.leaves(state.synapses), jax.tree.leaves(after.synapses), strict=True)
    return [np.asarray(new - keep * old) for old, new in pairs]


def test_a_change_is_the_weighted_mean_over_parts_of_the_batch(feedback):
    rule = moderate(3)
    state = newborn(rule, 4, 5, 3)
    heard, inputs = feedback(BATCH, 3), Clamped.full(jax.random.normal(KEY, (BATCH, 4)))
    parts = [
        jax.tree.map(lambda x, s=s: x[s], (inputs, heard)) for s in (slice(2), slice(2, None))
    ]
    whole = changes(rule, state, inputs, heard)
    first, second = (changes(rule, state, *part) for part in parts)
    for h, a, b in zip(whole, first, second, strict=True):
        np.testing.assert_allclose(h, (2 * a + 4 * b) / 6, atol=1e-6)
        assert np.abs(a - b).max() > 1e-3


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_rank_of_a_change_is_at_most_the_batch(batch, feedback):
    with jax.enable_x64(True):
        rule = moderate(3)
        state = newborn(rule, 7, 6, 8)
        inputs = Clamped.full(jax.random.normal(KEY, (batch, 7)))
        ranks = [
            np.linalg.matrix_rank(channel, tol=1e-9)
            for change in changes(rule, state, inputs, feedback(batch, 8))
            for channel in change
        ]
    assert len(ranks) == 12
    assert max(ranks) == min(ranks) == batch


def test_a_batch_without_signal_only_decays_synapses():
    """With targets masked, inputs zero and linear neurons without bias, W becomes f~ W."""
    rule = make("blur")
    rule = eqx.tree_at(lambda r: r.synapse.keep, rule, jnp.asarray(0.5))
    state = newborn(rule, 3, 4, 2)
    nothing = Clamped(jnp.zeros((BATCH, 2)), jnp.zeros((BATCH, 2), bool), jnp.ones(BATCH, bool))
    feedback = Feedback(
        nothing, jnp.zeros((BATCH, 2)), jnp.zeros(BATCH), jnp.zeros(BATCH, bool)
    )
    after, _ = presented(rule, state, Clamped.full(jnp.zeros((BATCH, 3))), feedback)
    for s, t in zip(
        jax.tree.leaves(state.synapses), jax.tree.leaves(after.synapses), strict=True
    ):
        np.testing.assert_allclose(t, 0.5 * s, atol=1e-7)


# Symmetries: another genome, and another birth, with the same life. Each maps a rule and
# the synapses of a newborn network; `s` is no power of 2, so that rounding shows.
S = 1.7


def synapse_scaled(rule, **factors):
    changed = {name: getattr(rule.synapse, name) * f for name, f in factors.items()}
    return dataclasses.replace(rule, synapse=dataclasses.replace(rule.synapse, **changed))


def rate_against_pre(rule, synapses):
    return synapse_scaled(rule, rate=S, pre=1 / S), synapses


def neuron_rate_against_mixing(rule, synapses):
    return dataclasses.replace(
        rule,
        neuron_rate=S * rule.neuron_rate,
        forward=rule.forward / S,
        backward=rule.backward / S,
    ), synapses


def pre_column_against_post_row(rule, synapses):
    column = jnp.array([1.0, S, 1 / S, 2.3])
    return synapse_scaled(rule, pre=column[None], post=1 / column[:, None]), synapses


def weights_against_mixing(rule, synapses):
    each = jnp.array([S, 0.6, 1 / S, 2.3])
    rule = synapse_scaled(rule, post=each[:, None])
    mixing = {n: getattr(rule, n) / each[None] for n in ("forward", "backward")}
    scaled = jax.tree.map(lambda w: w * each[:, None, None], synapses)
    return dataclasses.replace(rule, **mixing), scaled


def further_states_permuted(rule, synapses):
    order = np.array([0, 1, 3, 2])
    both = lambda m: m[order][:, order]  # noqa: E731
    synapse = Plasticity(
        both(rule.synapse.pre), both(rule.synapse.post), rule.synapse.keep, rule.synapse.rate
    )
    rule = dataclasses.replace(
        rule, forward=both(rule.forward), backward=both(rule.backward), synapse=synapse
    )
    return rule, jax.tree.map(lambda w: w[order], synapses)


def hidden_neurons_permuted(rule, synapses):
    order = np.array([2, 0, 3, 1])
    first, second = synapses
    rows = np.append(order, 4)  # the bias stays
    return rule, (
        {"forward": first["forward"][:, :, order], "backward": first["backward"][:, order]},
        {"forward": second["forward"][:, rows], "backward": second["backward"][:, :, order]},
    )


SYMMETRIES = [
    rate_against_pre,
    neuron_rate_against_mixing,
    pre_column_against_post_row,
    weights_against_mixing,
    further_states_permuted,
    hidden_neurons_permuted,
]


@eqx.filter_jit
def outputs_of_five(rule, synapses, inputs, heard):
    state = rule.rest(rule.init(Body((3, 4, 2)), key=KEY), BATCH)

    def present(state, _):
        state, outputs = presented(rule, state, inputs, heard)
        return state, outputs

    state = eqx.tree_at(lambda s: s.synapses, state, synapses)
    return jax.lax.scan(present, state, length=5)[1]


@pytest.fixture
def world(feedback):
    return Clamped.full(jax.random.normal(KEY, (BATCH, 3), float)), feedback(BATCH, 2)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_symmetries_hold_over_five_presentations(symmetry, feedback):
    with jax.enable_x64(True):
        rule = moderate(4)
        born = rule.init(Body((3, 4, 2)), key=KEY).synapses
        heard = jax.tree.map(
            lambda x: x.astype(float) if x.dtype != bool else x, feedback(6, 2)
        )
        world = Clamped.full(jax.random.normal(KEY, (BATCH, 3), float)), heard
        other, others = symmetry(rule, born)
        expected = outputs_of_five(rule, born, *world)
        found = outputs_of_five(other, others, *world)
        # The genome alone is another rule, or the birth alone another network.
        broken = outputs_of_five(*((rule, others) if other is rule else (other, born)), *world)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(expected[4] - expected[0]).max() > 1e-2
    alone = symmetry in SYMMETRIES[:3] or symmetry is hidden_neurons_permuted
    assert (np.abs(broken - expected).max() > 1e-3) != alone


# What a gauge leaves free: scales of matrices alone.


def mixing_scaled(rule):
    return dataclasses.replace(rule, forward=S * rule.forward, backward=S * rule.backward)


def pre_columns_scaled(rule):
    return synapse_scaled(rule, pre=jnp.array([[1.0, S, 1 / S, 2.3]]))


def post_scaled(rule):
    return synapse_scaled(rule, post=S)


@pytest.mark.parametrize("scaled", [mixing_scaled, pre_columns_scaled, post_scaled])
def test_with_fixed_gauges_scales_of_matrices_do_not_matter(scaled, world):
    rule = moderate(4)
    born = rule.init(Body((3, 4, 2)), key=KEY).synapses
    for gauge in ("free", "fixed"):
        one = dataclasses.replace(rule, gauge=gauge)
        a, b = (outputs_of_five(r, born, *world) for r in (one, scaled(one)))
        assert np.allclose(a, b, atol=1e-5) == (gauge == "fixed")


def test_gauges_are_fixed_in_every_layer_and_in_backward_synapses(world):
    backward = moderate(4).synapse
    above = moderate(4, gauge="fixed")
    rule = moderate(4, gauge="fixed", backward_synapse=backward, above=above)
    born = rule.init(Body((3, 4, 2)), key=KEY).synapses
    scaled = dataclasses.replace(
        rule,
        above=mixing_scaled(above),
        backward_synapse=dataclasses.replace(backward, post=S * backward.post),
    )
    a, b = (outputs_of_five(r, born, *world) for r in (rule, scaled))
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("kind", ["backprop"])
def test_fixed_gauges_leave_backpropagation_as_it_was(kind, world):
    rule = make("blur", genome=kind, rate=0.3)
    born = rule.init(Body((3, 4, 2)), key=KEY).synapses
    fixed = dataclasses.replace(rule, gauge="fixed")
    a, b = (outputs_of_five(r, born, *world) for r in (rule, fixed))
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_matrix_of_zeros_can_be_fixed():
    """Its length is nothing to divide by, nor is there a slope to lose."""
    rule = dataclasses.replace(moderate(4, gauge="fixed"), backward=jnp.zeros((4, 4)))
    rule = synapse_scaled(rule, pre=jnp.zeros((1, 4)), post=jnp.zeros((4, 1)))

    def total(vector):
        fixed = with_genome(rule, vector).at(0)
        return sum(leaf.sum() for leaf in named_leaves(fixed).values())

    value, slope = jax.value_and_grad(total)(genome(rule))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def widened(rule: Blur):
    """The same genome for two states more, with zero rows and columns."""
    wide = lambda m: jnp.pad(m, ((0, 2), (0, 2)))  # noqa: E731
    synapse = dataclasses.replace(
        rule.synapse, pre=wide(rule.synapse.pre), post=wide(rule.synapse.post)
    )
    return dataclasses.replace(
        make("blur", states=rule.states + 2),
        forward=wide(rule.forward),
        backward=wide(rule.backward),
        synapse=synapse,
        neuron_keep=rule.neuron_keep,
        neuron_rate=rule.neuron_rate,
        gain=rule.gain,
        synapse_states=rule.states + 2 if rule.synapse_states > 1 else 1,
    )


@pytest.mark.parametrize("synapse_states", [1, 2])
def test_silent_states_change_nothing(synapse_states, world):
    narrow = moderate(2, synapse_states=synapse_states)
    wide = widened(narrow)
    a, b = (newborn(rule, 3, 4, 2).synapses for rule in (narrow, wide))
    b = jax.tree.map(lambda n, w: w.at[:synapse_states].set(n), a, b)
    expected, found = (outputs_of_five(r, s, *world) for r, s in ((narrow, a), (wide, b)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert len(np.unique(expected[:, 0, 0])) == 5
    (a, _), (b, _) = (
        presented(r, eqx.tree_at(lambda s: s.synapses, newborn(r, 3, 4, 2), s), *world)
        for r, s in ((narrow, a), (wide, b))
    )
    for n, w in zip(jax.tree.leaves(a.synapses), jax.tree.leaves(b.synapses), strict=True):
        # The same sums but for zeros, which a compiler may yet round in another order.
        np.testing.assert_allclose(w[:synapse_states], n, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("layers", [(2, 2), (7, 3, 5), (3, 4, 4, 4, 6)])
@pytest.mark.parametrize("kind", ["hebbian", "normalised", "shipped"])
def test_one_genome_runs_on_any_body(kind, layers, feedback):
    rule = make("blur", genome=kind)
    state = newborn(rule, *layers)
    inputs = Clamped.full(jax.random.normal(KEY, (BATCH, layers[0])))
    after, outputs = presented(rule, state, inputs, feedback(BATCH, layers[-1]))
    assert outputs.shape == (BATCH, layers[-1])
    assert np.isfinite(outputs).all()
    for s, t in zip(state.synapses, after.synapses, strict=True):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(t))
        assert not np.array_equal(s["forward"], t["forward"])
