"""Genomes of BLUR by name and by file."""

import dataclasses

import jax
import numpy as np
import pytest

from plasticgym.rules import (
    Blur,
    Body,
    Clamped,
    Tier,
    genome,
    make,
    named_leaves,
    read_genome,
    save_genome,
    shipped,
)
from plasticgym.rules._blur_genomes import STARTS

BODY = Body((3, 4, 2))


@pytest.mark.parametrize("name", list(STARTS))
def test_every_genome_has_a_name(name):
    rule, again = (make("blur", genome=name) for _ in range(2))
    assert isinstance(rule, Blur)
    assert np.array_equal(genome(rule), genome(again))
    assert jax.tree.structure(rule) == jax.tree.structure(again)


def test_without_a_name_it_is_the_hebbian_one():
    np.testing.assert_array_equal(genome(make("blur")), genome(make("blur", genome="hebbian")))


def test_shipped_is_what_the_package_holds():
    np.testing.assert_array_equal(
        genome(make("blur", genome="shipped")), genome(shipped("blur"))
    )


@pytest.mark.parametrize("states", [2, 3, 5])
@pytest.mark.parametrize("name", ["hebbian", "random", "normalised"])
def test_genomes_for_any_number_of_states(name, states):
    assert make("blur", genome=name, states=states).states == states


def test_random_genomes_differ_by_seed_and_are_as_the_authors_begin():
    a, b = (make("blur", genome="random", states=8, seed=seed) for seed in (0, 1))
    matrices = [a.forward, a.backward, a.synapse.pre, a.synapse.post]
    np.testing.assert_allclose(np.std(matrices), 1.0, atol=0.1)
    np.testing.assert_allclose(np.mean(matrices), 0.0, atol=0.15)
    for name, value in {"neuron_keep": 1, "neuron_rate": 1, "synapse.keep": 1}.items():
        assert float(named_leaves(a)[name]) == value
    np.testing.assert_allclose(a.synapse.rate, 1e-3)
    assert not np.allclose(a.forward, b.forward)


def test_without_noise_the_normalised_genome_begins_at_descent():
    quiet, noisy = (make("blur", genome="normalised", noise=n) for n in (0.0, 0.1))
    plain = named_leaves(make("blur", genome="descent"))
    for name in ("forward", "backward", "synapse.pre", "synapse.post"):
        found = np.asarray(named_leaves(quiet)[name])
        np.testing.assert_array_equal(found[:2, :2], plain[name])
        assert not found[2:].any()
        assert not found[:, 2:].any()
        assert 0.02 < np.std(named_leaves(noisy)[name] - found) < 0.2


def test_told_the_error_the_normalised_genome_descends(feedback):
    """Without noise and normalisation, its last block moves along the exact gradient."""
    options = {"genome": "normalised", "states": 2, "axes": (), "noise": 0.0}
    rule, body = make("blur", injects="error", **options), Body((3, 4, 3))
    state = rule.rest(rule.init(body, key=jax.random.key(0)), 8)
    inputs = Clamped.full(jax.random.normal(jax.random.key(1), (8, 3)))
    state, _ = rule.predict(state, inputs, key=jax.random.key(2))
    told = feedback(8, 3)
    before = rule.receive(state, told, key=jax.random.key(3))
    after = rule.adapt(before, key=jax.random.key(4))
    weights = [np.asarray(jax.tree.leaves(s.synapses[1])[0][0]) for s in (before, after)]
    hidden = np.asarray(state.neurons[1]["state"][0])
    hidden = np.concatenate([hidden, np.ones((8, 1))], axis=1)
    np.testing.assert_allclose(
        (weights[1] - weights[0]) / 0.3, hidden.T @ np.asarray(told.error) / 8, atol=1e-5
    )


def test_options_of_the_normalised_genome_reach_their_parts():
    rule = make("blur", genome="normalised", axes=("batch",), synapse_states=1)
    assert rule.hidden.normalisation.axes == ("batch",)
    assert rule.synapse.rate.shape == rule.synapse.decay.shape == (1,)
    assert rule.init(BODY, key=jax.random.key(0)).synapses[0]["forward"].shape == (1, 4, 4)
    bare = make("blur", genome="normalised", axes=(), feedback_axes=())
    assert bare.hidden.normalisation is bare.feedback.normalisation is None
    assert bare.tier == Tier.GRADIENT
    assert rule.tier == Tier.LAYER


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.safetensors"


def test_a_genome_file_is_a_genome(path):
    options = {"genome": "normalised", "states": 3, "wiring": "asymmetric", "axes": ["batch"]}
    rule = make("blur", **options)
    rule = dataclasses.replace(rule, gain=7.0)
    save_genome(path, rule, name="blur", options=options)
    again = make("blur", genome=str(path))
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    np.testing.assert_array_equal(genome(again), genome(rule))


def test_the_shipped_file_says_how_it_was_found():
    from plasticgym.rules._genome_file import shipped_genome

    found = read_genome(shipped_genome("blur"))
    assert found.rule == "blur"
    assert {"command", "seed", "problems"} <= set(found.provenance)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genome": "hebian"}, "unknown genome of blur 'hebian'; did you mean 'hebbian'"),
        (
            {"genome": "backprop", "states": 4},
            "'backprop' does not take these options: .*state",
        ),
        ({"genome": "descent", "rte": 1.0}, "'descent' does not take these options: .*rte"),
        ({"genome": "shipped", "states": 4}, "'shipped' does not take these options"),
        ({"genome": "nowhere.safetensors"}, "there is no genome file at nowhere"),
        ({"genome": "nowhere.safetensors", "states": 2}, "a genome file takes no options, got"),
        ({"genome": "backprop", "hidden": "tan"}, "unknown activation 'tan'"),
        ({"genome": "backprop", "rate": -1.0}, "`rate` must be positive, got -1.0"),
        ({"genome": "normalised", "axes": ("row",)}, "`axes` must be one of"),
    ],
)
def test_what_there_is_not_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make("blur", **options)


def test_a_file_of_another_rule_is_refused(path):
    save_genome(path, make("adam"), name="adam")
    with pytest.raises(ValueError, match="holds a genome of 'adam', not of 'blur'"):
        make("blur", genome=str(path))


@pytest.mark.parametrize("states", [1, 0, -2, 2.5, "2"])
@pytest.mark.parametrize("name", ["hebbian", "random", "normalised"])
def test_too_few_states_are_refused(name, states, unchecked):
    with pytest.raises(ValueError, match="`states` must be a whole number of at least 2, got"):
        make("blur", genome=name, states=states)
