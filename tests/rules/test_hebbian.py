"""What Hebbian rules of one equation converge to: correlations, novelty, components."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import AntiHebb, Body, Clamped, Hebb, Oja, Sanger

KEY = jax.random.key(0)


def lived(rule, inputs, outputs, epochs):
    """The first block's weights after meeting the same rows `epochs` times."""
    state = rule.init(Body((inputs.shape[1], outputs)), key=KEY)
    state = rule.rest(state, inputs.shape[0])

    def presentation(state, _):
        state, _ = rule.predict(state, Clamped.full(inputs), key=KEY)
        return rule.adapt(state, key=KEY), None

    scan = jax.jit(lambda state: jax.lax.scan(presentation, state, length=epochs)[0])
    return scan(state).synapses[0]["weight"]


@pytest.fixture
def inputs():
    rng = np.random.default_rng(1)
    turned, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    rows = rng.normal(size=(200, 5)) * np.array([2.0, 1.0, 0.7, 0.5, 0.2]) @ turned
    return jnp.asarray(rows - rows.mean(0), jnp.float32)


def test_oja_finds_the_first_principal_component(inputs):
    weights = lived(Oja(rate=0.02), inputs, outputs=1, epochs=600)[:, 0]
    first = np.linalg.svd(np.asarray(inputs))[2][0]
    np.testing.assert_allclose(np.linalg.norm(weights), 1.0, atol=1e-4)
    np.testing.assert_allclose(abs(first @ weights), 1.0, atol=1e-5)


def test_several_outputs_of_oja_all_find_the_same_component(inputs):
    weights = lived(Oja(rate=0.02), inputs, outputs=3, epochs=600)
    first = np.linalg.svd(np.asarray(inputs))[2][0]
    np.testing.assert_allclose(np.abs(first @ weights), 1.0, atol=1e-4)


def test_hebbs_weights_settle_at_rate_over_decay_times_the_correlation():
    """Two layers: the first block drives tanh units, the correlation of which is settled."""
    rule = Hebb(rate=0.05, decay=0.2)
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(64, 4)), jnp.float32)
    state = rule.rest(rule.init(Body((4, 3, 2)), key=KEY), 64)

    def presentation(state, _):
        state, _ = rule.predict(state, Clamped.full(inputs), key=KEY)
        return rule.adapt(state, key=KEY), None

    settled = jax.jit(lambda s: jax.lax.scan(presentation, s, length=400)[0])(state)
    final = rule.predict(settled, Clamped.full(inputs), key=KEY)[0]
    for layer, block in enumerate(settled.synapses):
        x, y = (np.asarray(final.neurons[i]["activity"]) for i in (layer, layer + 1))
        correlation = np.append(x, np.ones((64, 1)), axis=1).T @ y / 64
        np.testing.assert_allclose(block["weight"], 0.25 * correlation, atol=1e-5)


def test_hebbs_weights_reach_the_closed_form_at_its_own_speed():
    """Inputs of one sign and a saturated unit: y = 1, so the fixed point is known outright."""
    inputs = jnp.full((4, 2), 50.0)
    rule = Hebb(rate=0.1, decay=0.5)
    state = rule.init(Body((2, 1, 1)), key=KEY)
    start = jnp.ones((3, 1))
    state = rule.rest(pg.rules.State(state.body, (), ({"weight": start}, state.synapses[1])), 4)
    for steps in range(1, 4):
        state, _ = rule.predict(state, Clamped.full(inputs), key=KEY)
        state = rule.adapt(state, key=KEY)
        fixed = np.array([[10.0], [10.0], [0.2]])  # rate / decay times x y
        expected = fixed + 0.5**steps * (1.0 - fixed)
        np.testing.assert_allclose(state.synapses[0]["weight"], expected, rtol=1e-5)


@pytest.mark.parametrize("share", [0.8, 1.25])
def test_hebbs_weights_grow_or_die_by_the_largest_correlation(inputs, share):
    """Of a linear neuron, by the closed form; a decay of 1 share just keeps its weights."""
    largest = float(np.linalg.eigvalsh(np.asarray(inputs.T @ inputs) / 200).max())
    rule = Hebb(rate=0.1, decay=0.1 * largest * share)
    sooner, later = (np.linalg.norm(lived(rule, inputs, outputs=1, epochs=n)) for n in (60, 90))
    expected = (1.0 + 0.1 * largest * (1.0 - share)) ** 30
    np.testing.assert_allclose(later / sooner, expected, rtol=1e-2)
    assert later > 10.0 if share < 1 else later < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize(
    "problem",
    [
        lambda: pg.envs.digits(hidden=(32,), batch=32, presentations=400),
        lambda: pg.envs.plane("moons", hidden=(20,), batch=32, presentations=400),
    ],
)
def test_hebb_is_alive_and_finite_with_its_defaults(problem):
    def spread(rule, problem, before, after):
        return after.state.neurons[-1]["activity"].std()

    keys = jax.random.split(KEY, 4)
    record = pg.envs.lives(Hebb(), problem(), keys=keys, probes=(spread,))
    assert not record.diverged.any()
    assert 0.1 < record.probes[0].min() < record.probes[0].max() < 10.0


def test_sanger_finds_the_leading_components_in_order(inputs):
    weights = lived(Sanger(rate=0.1), inputs, outputs=3, epochs=800)
    leading = np.linalg.svd(np.asarray(inputs))[2][:3]
    np.testing.assert_allclose(np.abs(leading @ weights), np.eye(3), atol=1e-3)


def test_neurons_of_sanger_for_which_no_component_is_left_fall_silent(inputs):
    line = inputs * jnp.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
    answers = line @ lived(Sanger(rate=0.1), line, outputs=3, epochs=800)
    deviations = np.std(answers, axis=0)
    np.testing.assert_allclose(deviations[0], np.std(line[:, 0]), rtol=1e-4)
    assert deviations[1:].max() < 0.1 * deviations[0]


def test_anti_hebbian_weights_keep_what_is_orthogonal_to_the_inputs():
    """Under a tanh unit as under a linear one: answers to what was met go, others stay."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    inputs = Clamped.full(jnp.asarray(rng.normal(size=(32, 3)) @ basis[:3], jnp.float32))
    rule = AntiHebb(rate=0.5)
    born = rule.rest(rule.init(Body((6, 4, 2)), key=KEY), 32)

    def presentation(state, _):
        state, _ = rule.predict(state, inputs, key=KEY)
        return rule.adapt(state, key=KEY), None

    later = jax.jit(lambda s: jax.lax.scan(presentation, s, length=300)[0])(born)
    before, after = (np.asarray(s.synapses[0]["weight"]) for s in (born, later))
    np.testing.assert_allclose(after, basis[3:].T @ basis[3:] @ before, atol=1e-5)
    assert np.abs(before - after).max() > 0.1
    np.testing.assert_allclose(rule.predict(later, inputs, key=KEY)[1], 0.0, atol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Oja(rate=-0.5), r"`rate` must be positive, got -0.5"),
        (lambda: Hebb(rate=0.0), r"`rate` must be positive, got 0.0"),
        (lambda: Hebb(decay=1.5), r"`decay` must lie strictly in \(0, 1\), got 1.5"),
        (lambda: Hebb(activation="than"), r"unknown activation 'than'; did you mean 'tanh'"),
        (lambda: AntiHebb(rate=0.0), r"`rate` must be positive, got 0.0"),
        (
            lambda: AntiHebb(activation="rule"),
            r"unknown activation 'rule'; did you mean 'relu'",
        ),
        (lambda: Sanger(rate=-1.0), r"`rate` must be positive, got -1.0"),
    ],
)
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
