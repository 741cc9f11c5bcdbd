"""Rules that live in one body, or learn from rewards alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Chemotaxis, Clamped, FixedWeights, GatedPolicy, Homeostat

KEY = jax.random.key(0)
LAYERS, BATCH = (3, 4, 2), 5


def inputs(starts=True):
    values = jax.random.normal(KEY, (BATCH, 3))
    return Clamped(values, jnp.ones(values.shape, bool), jnp.full(BATCH, starts))


@eqx.filter_jit
def presented(rule, state, given, heard, key):
    state, outputs = rule.predict(state, given, key=key)
    return rule.adapt(rule.receive(state, heard, key=key), key=key), outputs


def newborn(rule, layers=LAYERS):
    return rule.rest(rule.init(Body(layers), key=KEY), BATCH)


def rewarded(feedback, reward):
    heard = feedback(BATCH, 2)
    return eqx.tree_at(lambda f: f.reward, heard, jnp.full(BATCH, float(reward)))


def test_fixed_weights_say_what_their_genome_says_and_stay(feedback):
    weights = jnp.arange(26.0) / 26.0
    rule = FixedWeights(LAYERS, weights)
    state = newborn(rule)
    after, outputs = presented(rule, state, inputs(), feedback(BATCH, 2), KEY)
    first, second = np.asarray(weights[:16]).reshape(4, 4), np.asarray(weights[16:])
    h = np.tanh(np.asarray(inputs().values) @ first[:-1] + first[-1])
    second = second.reshape(5, 2)
    np.testing.assert_allclose(outputs, h @ second[:-1] + second[-1], rtol=1e-4)
    for a, b in zip(state.synapses, after.synapses, strict=True):
        assert np.array_equal(a["weight"], b["weight"])
    assert pg.rules.genome(FixedWeights(LAYERS)).size == 26


def test_a_gated_policy_remembers_over_episodes_what_it_was_paid(feedback):
    rule = GatedPolicy(LAYERS)
    kept = newborn(rule)
    told = {}
    for reward in (0.0, 1.0):
        state = presented(rule, kept, inputs(), rewarded(feedback, reward), KEY)[0]
        assert np.array_equal(state.synapses[0]["weight"], kept.synapses[0]["weight"])
        told[reward] = presented(rule, state, inputs(), rewarded(feedback, 0.0), KEY)[1]
    assert not np.allclose(told[0.0], told[1.0], atol=1e-4)
    first = presented(rule, kept, inputs(), rewarded(feedback, 0.0), KEY)[1]
    assert not np.allclose(told[0.0], first, atol=1e-4)


def test_a_gated_policy_is_its_equation():
    rule = GatedPolicy(LAYERS)
    state = newborn(rule)
    _, outputs = rule.predict(state, inputs(), key=KEY)
    lower = np.asarray(state.synapses[0]["weight"])
    x, n = np.asarray(inputs().values), 3 + 2 + 3  # inputs, outputs, reward, starts, 1
    u = np.concatenate([x, np.zeros((BATCH, 3)), np.ones((BATCH, 2))], 1)
    assert lower.shape == (3, n + 4, 4)
    z = 1 / (1 + np.exp(-u @ lower[0, :n]))
    h = z * np.tanh(u @ lower[2, :n])  # which was 0
    top = np.asarray(state.synapses[1]["weight"])
    np.testing.assert_allclose(outputs, h @ top[:-1] + top[-1], rtol=1e-4, atol=1e-5)


def test_chemotaxis_moves_only_where_it_is_disappointed(feedback):
    rule = Chemotaxis(rate=0.5)
    state = newborn(rule)
    weight = lambda s: np.asarray(s.synapses[0]["weight"])  # noqa: E731
    glad, _ = presented(rule, state, inputs(), rewarded(feedback, 0.3), KEY)
    assert np.array_equal(weight(glad), weight(state))
    small, _ = presented(rule, state, inputs(), rewarded(feedback, -0.2), KEY)
    large, _ = presented(rule, state, inputs(), rewarded(feedback, -1.0), KEY)
    moved = [np.abs(weight(s) - weight(state)).mean() for s in (small, large)]
    assert 0.0 < moved[0] < 0.5 * moved[1]
    # Beyond 1 / rate nothing of the old weights is left.
    for other in (-2.0, -9.0):
        new, _ = presented(rule, state, inputs(), rewarded(feedback, other), KEY)
        drawn = rule._drawn(Body(LAYERS), key=KEY)[0]
        np.testing.assert_allclose(weight(new), drawn, atol=1e-6)


def test_under_chemotaxis_weights_stay_as_large_as_at_birth(feedback):
    rule, layers = Chemotaxis(rate=0.6, decay_reward=0.999), (60, 50, 2)
    begun = rule.rest(rule.init(Body(layers), key=KEY), 1)
    given = Clamped.full(jnp.ones((1, 60)))
    heard = jax.tree.map(lambda x: x[:1], rewarded(feedback, -1.0))

    @jax.jit
    def later(state):
        def step(state, key):
            return presented(rule, state, given, heard, key)[0], None

        return jax.lax.scan(step, state, jax.random.split(KEY, 20))[0]

    before, after = (s.synapses[0]["weight"][:-1] for s in (begun, later(begun)))
    np.testing.assert_allclose(after.std(), before.std(), rtol=0.05)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.1


def test_a_homeostat_bears_a_want_and_then_draws_all_anew(feedback):
    rule = Homeostat(0.4, content=-1.0)
    other = jax.random.key(1)  # than at birth
    state = newborn(rule)
    deficits, anew = [], []
    # A want of 1, of 1, contentment that makes up for half of one, then 2.
    for reward in (-2.0, -2.0, -0.5, -3.0, -2.0):
        after, _ = presented(rule, state, inputs(), rewarded(feedback, reward), other)
        weights = zip(state.synapses, after.synapses, strict=True)
        anew.append([not np.array_equal(a["weight"], b["weight"]) for a, b in weights])
        deficits.append(float(after.neurons[1]["deficit"][0, 0]))
        state = rule.rest(after, BATCH) if reward == -0.5 else after  # nor does it forget
    np.testing.assert_allclose(deficits, [0.4, 0.8, 0.6, 0.0, 0.4], atol=1e-6)
    assert anew == [[n == 3] * 2 for n in range(5)]


def test_a_homeostat_is_born_around_its_mean_and_its_outputs_around_nothing():
    rule = Homeostat(birth=[*np.linspace(0.1, 1.2, 12), *[3.0] * 8], layers=LAYERS, seed=3)
    assert rule.mean.shape == (16,)
    keys = jax.random.split(KEY, 400)
    drawn = jax.vmap(lambda key: rule.init(Body(LAYERS), key=key))(keys).synapses
    below, top = (np.asarray(block["weight"]) for block in drawn)
    np.testing.assert_allclose(below.mean(0), rule.mean.reshape(4, 4), atol=0.12)
    expected = np.linspace(0.1, 1.2, 12).reshape(3, 4) / np.sqrt(3)
    np.testing.assert_allclose(below[:, :3].std(0), expected, rtol=0.15)
    np.testing.assert_allclose(below[:, 3].std(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(top[:, :4].mean(0), 0.0, atol=0.3)
    np.testing.assert_allclose(top[:, :4].std(0), 1.5, rtol=0.15)
    assert not top[:, 4].any()


def test_a_homeostat_of_the_pendulum_is_born_with_features_and_a_sign_to_find_out():
    rule = pg.rules.make("homeostat", genome="pendulum")
    keys = jax.random.split(KEY, 64)
    drawn = jax.vmap(lambda key: rule.init(Body(rule.layers), key=key))(keys).synapses
    *below, top = (np.asarray(block["weight"]) for block in drawn)
    assert all((w.std(0) < 0.5 * np.abs(w.mean(0)).max()).all() for w in below)
    assert 0.2 < (top[:, 0] > 0).mean() < 0.8


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: pg.rules.make("homeostat", genome="pendulm"),
            "unknown genome of homeostat 'pendulm'; did you mean 'pendulum'",
        ),
        (
            lambda: pg.rules.make("homeostat", genome="a.safetensors", rate=1.0),
            r"a genome file takes no options, got \['rate'\]",
        ),
        (lambda: FixedWeights(LAYERS, jnp.ones(25)), r"`weights` must have shape \(26,\)"),
        (lambda: FixedWeights(LAYERS, activation="tan"), "'tan'; did you mean 'tanh'"),
        (lambda: newborn(FixedWeights((3, 2))), r"`body` must have layers \(3, 2\)"),
        (lambda: GatedPolicy((3, 2)), "`layers` must be inputs, hidden and outputs"),
        (lambda: GatedPolicy(LAYERS, jnp.ones(3)), r"`weights` must have shape \("),
        (lambda: newborn(GatedPolicy((3, 5, 2))), r"`body` must have layers \(3, 5, 2\)"),
        (lambda: Homeostat(rate=0.0), "`rate` must be positive, got 0"),
        (
            lambda: Homeostat(mean=np.ones(3)),
            r"`mean` must have shape None where `layers` is N",
        ),
        (
            lambda: Homeostat(birth=np.ones(21), layers=LAYERS),
            r"`birth` must have shape \(20,\) where `layers` is \(3, 4, 2\), got \(21,\)",
        ),
        (lambda: newborn(Homeostat(layers=LAYERS), (3, 2)), r"`body` must have layers \(3, 4"),
        (lambda: Chemotaxis(rate=0.0), "`rate` must be positive, got 0"),
        (lambda: Chemotaxis(decay_reward=1.0), r"`decay_reward` must lie strictly in \(0, 1\)"),
    ],
)
def test_bad_input_is_refused(build, message, unchecked):
    with pytest.raises(ValueError, match=message):
        build()
