"""The parts of BLUR: norms, bounds, forgetting, births, wirings; what may not be combined."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import (
    Body,
    ByActivity,
    ByWeights,
    Clamped,
    Normalisation,
    Plasticity,
    Saturation,
    Signal,
    Tier,
    Transfer,
    UnitColumns,
    make,
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


@pytest.fixture
def world(feedback):
    return Clamped.full(jax.random.normal(KEY, (BATCH, 3))), feedback(BATCH, 2)


@pytest.mark.parametrize(
    ("axes", "over"),
    [(("neurons",), 2), (("batch",), 1), (("batch", "neurons"), (1, 2))],
)
def test_quantities_have_zero_mean_and_unit_variance_over_the_axes(axes, over):
    unit = Normalisation([1.0, 2.0], [0.0, 0.5], axes)
    z = 3.0 + 5.0 * jax.random.normal(KEY, (2, 8, 9))
    z = z * jnp.arange(1.0, 10.0)[None, None] + jnp.arange(8.0)[None, :, None]
    found = np.asarray(unit(z, Body((9,)), 0))
    for c, (gain, shift) in enumerate([(1.0, 0.0), (2.0, 0.5)]):
        across = np.asarray(over) - 1 if np.ndim(over) == 0 else (0, 1)
        across = int(across) if np.ndim(across) == 0 else across
        np.testing.assert_allclose(found[c].mean(across), shift, atol=1e-5)
        np.testing.assert_allclose(found[c].std(across), gain, rtol=1e-4)
    # Over no other axes than these.
    for other in {1, 2} - set(np.ravel(over).tolist()):
        assert np.abs(found[0].mean(other - 1)).max() > 0.1


def test_layer_normalisation_treats_each_example_alone(world):
    inputs, _ = world
    alone = jax.tree.map(lambda x: x[:1], inputs)
    for axes, same in ((("neurons",), True), (("batch",), False)):
        rule = make("blur", genome="normalised", axes=axes)
        state = newborn(rule, 3, 8, 2)
        together = rule.predict(state, inputs, key=KEY)[1][0]
        by_itself = rule.predict(rule.rest(state, 1), alone, key=KEY)[1][0]
        assert np.allclose(together, by_itself, atol=1e-6) == same


def test_dead_neurons_are_not_normalised_over():
    unit = Normalisation([1.0], [0.0])
    alive = jnp.array([1.0, 1.0, 0.0, 1.0, 0.0])
    z = jax.random.normal(KEY, (1, 4, 5)).at[..., 2].set(100.0)
    found = unit(z, Body((5,), (alive,)), 0)[..., alive > 0]
    expected = unit(z[..., alive > 0], Body((3,)), 0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_layers_without_spread_have_a_slope():
    """A layer of one neuron, or silent inputs: nothing is divided by zero, there or back."""
    unit = Normalisation([1.0], [0.0])
    total = lambda z: unit(z, Body((1,)), 0).sum()  # noqa: E731
    value, slope = jax.value_and_grad(total)(jnp.full((1, 4, 1), 3.0))
    assert value == 0.0
    assert np.isfinite(slope).all()


def columns(synapses):
    """Lengths of incoming weights per state and neuron, of forward and backward synapses."""
    leaves = jax.tree.leaves(synapses)
    return [np.linalg.norm(np.asarray(leaf), axis=-2) for leaf in leaves]


def test_stored_unit_columns_have_length_one(world):
    rule = make("blur", genome="normalised", wiring="asymmetric")
    for constraints, unit in (((UnitColumns(),), True), ((), False)):
        one = dataclasses.replace(rule, stored=constraints)
        state, _ = presented(one, newborn(one, 3, 4, 2), *world)
        lengths = np.concatenate([np.ravel(c) for c in columns(state.synapses)])
        assert np.allclose(lengths, 1.0, atol=1e-6) == unit


@pytest.mark.slow
@pytest.mark.parametrize("wiring", ["asymmetric", "symmetric"])
def test_used_unit_columns_make_their_stored_length_meaningless(wiring, world):
    base = make("blur", genome="random", states=3)
    for constraints, same in (((UnitColumns(),), True), ((), False)):
        rule = dataclasses.replace(base, wiring=wiring, used=constraints)
        state = newborn(rule, 3, 4, 2)

        def rescaled(w):
            factors = jnp.exp(jax.random.normal(KEY, (w.shape[0], 1, w.shape[2])))
            return factors * w

        other = eqx.tree_at(lambda s: s.synapses, state, jax.tree.map(rescaled, state.synapses))
        a, b = (rule.predict(s, world[0], key=KEY)[1] for s in (state, other))
        assert np.allclose(a, b, atol=1e-6) == same
        # So are the states that feedback leaves, from what comes down.
        a, b = (presented(rule, s, *world)[0].neurons[1]["state"] for s in (state, other))
        assert np.allclose(a, b, atol=1e-5) == same


def test_columns_of_zeros_stay_zero_and_have_a_slope():
    zeros = jnp.zeros((2, 3, 4))
    assert not UnitColumns()(zeros).any()
    slope = jax.grad(lambda w: UnitColumns()(w).sum())(zeros)
    assert np.isfinite(slope).all()


def test_saturated_weights_keep_within_their_bound(world):
    rule = make("blur", genome="random", states=2)
    synapse = dataclasses.replace(rule.synapse, rate=50.0)
    rule = dataclasses.replace(rule, synapse=synapse)
    for bound in (0.3, 2.0):
        one = dataclasses.replace(rule, stored=(Saturation(bound),))
        state, _ = presented(one, newborn(one, 3, 4, 2), *world)
        largest = max(float(jnp.abs(w).max()) for w in jax.tree.leaves(state.synapses))
        assert 0.99 * bound < largest < bound * (1 + 1e-6)
    small = jnp.full((1, 1, 1), 1e-3)
    np.testing.assert_allclose(Saturation(0.3)(small), small, rtol=1e-4)


def grown(plasticity, steps, rows=4):
    """Lengths of columns after so many presentations to which synapses do not listen."""
    weights = jax.random.normal(KEY, (2, rows, 3)) * jnp.array([0.2, 1.0, 2.0])[None, None]
    a, b = (jax.random.normal(KEY, (2, BATCH, n)) for n in (rows, 3))

    def change(w, _):
        return plasticity.changed(w, a, b, None), None

    after, _ = jax.jit(lambda w: jax.lax.scan(change, w, length=steps))(weights)
    return np.linalg.norm(weights, axis=1), np.linalg.norm(after, axis=1)


def test_forgetting_by_weights_with_growth_drives_columns_to_length_one():
    deaf, rate, multiplier = jnp.zeros((2, 2)), 0.1, 0.8
    plasticity = Plasticity(
        deaf,
        deaf,
        keep=1.0 + rate * multiplier,
        rate=rate,
        forgetting=ByWeights(-multiplier),  # its size counts
    )
    before, after = grown(plasticity, 300)
    assert np.abs(before - 1.0).max() > 0.5
    np.testing.assert_allclose(after, 1.0, atol=1e-4)


def test_forgetting_by_weights_alone_shrinks_columns():
    deaf = jnp.zeros((2, 2))
    before, after = grown(Plasticity(deaf, deaf, rate=0.1, forgetting=ByWeights(0.8)), 5)
    assert (after < before).all()
    before, after = grown(Plasticity(deaf, deaf, rate=0.1), 5)
    np.testing.assert_array_equal(after, before)


def oja(forgetting):
    """One linear neuron whose synapses correlate state 1 with state 1."""
    first = jnp.zeros((2, 2)).at[0, 0].set(1.0)
    linear = ("linear", "linear")
    return dataclasses.replace(
        make("blur", genome="backprop"),
        forward=first,
        synapse=Plasticity(first, first, rate=0.02, forgetting=forgetting),
        hidden=linear,
        top=linear,
        meeting="additive",
        injects="target",
    )


def test_with_forgetting_by_activity_it_finds_the_first_principal_component(feedback):
    rng = np.random.default_rng(1)
    turned, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    rows = rng.normal(size=(200, 5)) * np.array([2.0, 1.2, 0.7, 0.5, 0.2]) @ turned
    rows -= rows.mean(0)
    inputs, heard = Clamped.full(jnp.asarray(rows, jnp.float32)), feedback(200, 1)
    rule = oja(ByActivity(1.0))

    def present(state, _):
        return presented(rule, state, inputs, heard)[0], None

    live = jax.jit(lambda s: jax.lax.scan(present, s, length=600)[0])
    weights = live(newborn(rule, 5, 1, batch=200)).synapses[0]["forward"][0, :, 0]
    first = np.linalg.svd(rows)[2][0]
    np.testing.assert_allclose(np.linalg.norm(weights), 1.0, atol=1e-4)
    np.testing.assert_allclose(np.abs(first @ weights[:-1]), 1.0, atol=1e-4)
    # Without it, they only grow.
    state = newborn(oja(None), 5, 1, batch=200)
    before, after = (
        np.linalg.norm(s.synapses[0]["forward"])
        for s in (state, presented(oja(None), state, inputs, heard)[0])
    )
    assert after > before


def test_wirings_are_as_they_say(world):
    for wiring, at_birth, later in (
        ("asymmetric", False, False),
        ("symmetric at birth", True, False),
    ):
        rule = make("blur", genome="normalised", wiring=wiring)
        state = newborn(rule, 3, 4, 2)
        after, _ = presented(rule, state, *world)
        for s, same in ((state, at_birth), (after, later)):
            for block in s.synapses:
                transposed = np.swapaxes(block["forward"][:, :-1], 1, 2)
                assert np.allclose(transposed, block["backward"]) == same
    rule = make("blur", genome="normalised", wiring="symmetric")
    assert all(set(block) == {"forward"} for block in newborn(rule, 3, 4, 2).synapses)


@pytest.mark.parametrize("births", ["independent", "alike"])
def test_weights_of_a_synapse_are_born_alike_or_not(births):
    rule = dataclasses.replace(make("blur", states=4), births=births)
    for leaf in jax.tree.leaves(newborn(rule, 5, 4, 3).synapses):
        weights = np.asarray(leaf)[:, :4]
        assert np.array_equal(weights[0], weights[3]) == (births == "alike")
        assert np.std(weights) > 0.1


@pytest.mark.parametrize(("birth", "bias"), [(None, None), (0.5, None), (2.0, 0.3), (None, 1)])
def test_birth_scales(birth, bias):
    rule = dataclasses.replace(make("blur"), birth=birth, bias_birth=bias)
    first, second = rule.init(Body((100, 400, 400)), key=KEY).synapses
    for block, inputs in ((first, 100), (second, 400)):
        weights, biases = block["forward"][:, :-1], block["forward"][:, -1]
        expected = (1.0 if birth is None else birth) / np.sqrt(inputs)
        np.testing.assert_allclose(weights.std(), expected, rtol=0.05)
        np.testing.assert_allclose(biases.std(), bias or 0.0, rtol=0.1)


def test_a_network_ages_only_where_a_rate_decays(world):
    rule = make("blur")
    assert newborn(rule, 3, 4, 2).memory is None
    aging = dataclasses.replace(rule, synapse=dataclasses.replace(rule.synapse, decay=0.5))
    state = newborn(aging, 3, 4, 2)
    for time in (1, 2):
        state, _ = presented(aging, state, *world)
        assert float(state.memory["time"]) == time


def test_options_change_what_it_reads_and_its_tier():
    for wiring, injects in itertools.product(["asymmetric", "symmetric"], ["target", "error"]):
        rule = dataclasses.replace(make("blur"), wiring=wiring, injects=injects)
        assert rule.reads == {Signal(injects)}
        assert rule.tier == (Tier.ERROR if wiring == "asymmetric" else Tier.GRADIENT)


LAYERED = {
    "hidden": lambda: Transfer(("tanh", "tanh"), Normalisation([1.0, 1.0], [0.0, 0.0])),
    "feedback": lambda: Transfer(("tanh", "tanh"), Normalisation([1.0, 1.0], [0.0, 0.0])),
    "used": lambda: (UnitColumns(),),
    "stored": lambda: (UnitColumns(),),
    "synapse": lambda: dataclasses.replace(make("blur").synapse, forgetting=ByWeights()),
    "backward_synapse": lambda: dataclasses.replace(
        make("blur").synapse, forgetting=ByWeights()
    ),
    "above": lambda: dataclasses.replace(make("blur"), used=(UnitColumns(),)),
}


@pytest.mark.parametrize("part", LAYERED)
def test_parts_that_look_at_the_layer_are_declared(part):
    rule = dataclasses.replace(make("blur"), **{part: LAYERED[part]()})
    assert rule.tier == Tier.LAYER


def test_parts_that_look_at_their_own_synapse_and_neuron_leave_the_tier_as_it_is():
    own = dataclasses.replace(make("blur").synapse, forgetting=ByActivity())
    rule = dataclasses.replace(make("blur"), stored=(Saturation(),), synapse=own)
    assert rule.tier == make("blur").tier == Tier.ERROR


def with_synapse(**changed):
    return lambda: {"synapse": dataclasses.replace(make("blur").synapse, **changed)}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"forward": np.ones((1, 1))}, r"`forward` must have at least two states, got shape"),
        ({"forward": np.ones((2, 3))}, r"`forward` must have shape \(2, 2\), got \(2, 3\)"),
        ({"backward": np.ones((3, 3))}, r"`backward` must have shape \(2, 2\), got \(3, 3\)"),
        (with_synapse(pre=np.ones(2)), r"`pre` must have shape \(2, 2\), got \(2,\)"),
        (with_synapse(post=np.ones((2, 2, 1))), r"`post` must have shape \(2, 2\)"),
        (with_synapse(pre=np.full((2, 2), np.nan)), "`pre` must be finite"),
        (with_synapse(rate=-0.1), "`rate` must be positive, got -0.1"),
        (with_synapse(rate=[0.1] * 3), r"`rate` must be a number or have shape \(2,\)"),
        (with_synapse(keep=[[1.0] * 2]), r"`keep` must be a number or have shape \(2,\)"),
        (with_synapse(decay=0.0), "`decay` must be positive, got 0.0"),
        (with_synapse(decay=[0.1]), r"`decay` must be a number or have shape \(2,\), got"),
        ({"gain": 0.0}, "`gain` must be positive, got 0.0"),
        ({"birth": -1.0}, "`birth` must be positive, got -1.0"),
        ({"bias_birth": 0.0}, "`bias_birth` must be positive, got 0.0"),
        ({"hidden": ("tanh",)}, r"`hidden` must name one activation per state \(2\)"),
        ({"top": ("tanh",) * 3}, r"`top` must name one activation per state \(2\)"),
        ({"feedback": ("tanh", "tahn")}, "unknown activation 'tahn'; did you mean 'tanh'"),
        ({"synapse_states": 3}, "`synapse_states` must be 1 or 2, got 3"),
        ({"wiring": "symetric"}, "unknown `wiring` 'symetric'; did you mean 'symmetric'"),
        ({"births": "alice"}, "unknown `births` 'alice'; did you mean 'alike'"),
        ({"meeting": "additiv"}, "unknown `meeting` 'additiv'; did you mean 'additive'"),
        ({"pre_source": "front"}, "unknown `pre_source` 'front'; "),
        ({"injects": "errors"}, r"unknown `injects` 'errors'; did you mean 'error'\?"),
        ({"gauge": "fix"}, r"unknown `gauge` 'fix'; did you mean 'fixed'\?"),
        (lambda: {"above": make("blur", states=3)}, "`above` must agree in states, wir"),
        (
            lambda: {"above": make("blur", genome="backprop")},
            "`above` must agree in states, wiring",
        ),
        (
            lambda: {"backward_synapse": make("blur", states=3).synapse},
            r"`pre` must have shape \(2, 2\), got \(3, 3\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(changed, message, unchecked):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make("blur"), **(changed() if callable(changed) else changed))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Normalisation([1.0], [0.0, 0.0]), "`gain` and `shift` must be vectors with"),
        (lambda: Normalisation(1.0, 0.0), r"got shapes \(\) and \(\)"),
        (lambda: Normalisation([1.0], [0.0], ()), r"`axes` must be one of .*, got \(\)"),
        (lambda: Normalisation([1.0], [0.0], ("rows",)), r"`axes` must be one of"),
        (lambda: Normalisation([1.0], [0.0], ("batch",) * 2), r"`axes` must be one of"),
        (lambda: Normalisation([np.inf], [0.0]), "`gain` must be finite"),
        (
            lambda: Transfer(("tanh",) * 2, Normalisation([1.0], [0.0])),
            r"`normalisation` must have one gain per state \(2\), got 1",
        ),
        (lambda: Transfer(("tan",)), "unknown activation 'tan'; did you mean 'tanh'"),
        (lambda: Saturation(0.0), "`bound` must be positive, got 0.0"),
        (lambda: ByWeights([1.0]), "`multiplier` must be one number"),
        (lambda: ByActivity(np.nan), "`multiplier` must be finite"),
    ],
)
def test_parts_out_of_range_are_refused(build, message, unchecked):
    with pytest.raises(ValueError, match=message):
        build()
