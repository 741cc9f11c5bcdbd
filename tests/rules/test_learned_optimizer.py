"""The learned optimizer against its features and its network, written down once more."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Affine, Body, Clamped, LearnedOptimizer

KEY = jax.random.key(0)
BODY, ROWS = Body((4, 3, 2)), 6
DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
SCALES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000)


@eqx.filter_jit
def presented(rule, state, inputs, heard):
    """The network after one presentation, and the gradient that it met."""
    state, _ = rule.predict(state, Clamped.full(inputs), key=KEY)
    state = rule.receive(state, heard, key=KEY)
    return rule.adapt(state, key=KEY), [-d for d in pg.rules.multilayer.descent(state)]


def lived(rule, feedback, presentations=3, louder=1.0):
    """States before, between and after presentations, and their gradients."""
    states, gradients = [rule.rest(rule.init(BODY, key=KEY), ROWS)], []
    for seed in range(presentations):
        inputs = jax.random.normal(jax.random.key(seed), (ROWS, 4))
        heard = feedback(ROWS, 2, seed=seed)
        heard = eqx.tree_at(lambda f: f.error, heard, louder * heard.error)
        after, gradient = presented(rule, states[-1], inputs, heard)
        states.append(after)
        gradients.append(gradient)
    return states, gradients


@pytest.fixture(scope="module")
def rule():
    """Its steps are long, and `m` counts."""
    rule = pg.rules.make("learned-optimizer", seed=2)
    third = jnp.array([[300.0], [3e3]]) * rule.third.weight
    return eqx.tree_at(lambda r: r.third.weight, rule, third)


def test_a_step_is_what_the_network_says_of_nineteen_features(rule, feedback):
    states, gradients = lived(rule, feedback)
    layers = [rule.first, rule.second, rule.third]
    layers = [[np.asarray(part, np.float64) for part in (a.weight, a.bias)] for a in layers]
    for block in range(2):
        momenta = np.zeros((6, *states[0].synapses[block]["weight"].shape))
        for t, gradient in enumerate(gradients):
            g = np.asarray(gradient[block], np.float64)
            w = np.asarray(states[t].synapses[block]["weight"], np.float64)
            momenta = np.stack(
                [b * m + (1 - b) * g for b, m in zip(DECAYS, momenta, strict=True)]
            )
            local = [x / np.sqrt((x**2).mean() + 1e-5) for x in (g, w, *momenta)]
            time = [np.full(g.shape, np.tanh(t / scale - 1)) for scale in SCALES]
            x = np.stack([*local, *time], -1)
            assert x.shape[-1] == 19
            for depth, (weight, bias) in enumerate(layers):
                x = x @ weight.T + bias
                x = np.maximum(x, 0) if depth < 2 else x
            step = -1e-3 * x[..., 0] * np.exp(1e-3 * x[..., 1])
            after = states[t + 1].synapses[block]
            np.testing.assert_allclose(after["weight"], w + step, atol=1e-5)
            np.testing.assert_allclose(after["momenta"], momenta, atol=1e-6)
            assert np.abs(step).max() > 3e-3
            assert np.abs(x[..., 1]).max() > 100


def choosing(feature, strength):
    """The genome whose `d` is one feature, as the difference of two relu units."""
    first, second, third = np.zeros((32, 19)), np.eye(32), np.zeros((2, 32))
    first[:2, feature], third[0, :2] = (1.0, -1.0), (strength, -strength)
    parts = [(first, 32), (second, 32), (third, 2)]
    return LearnedOptimizer(*(Affine(w, np.zeros(n)) for w, n in parts))


def test_a_genome_that_descends_the_normalised_gradient(feedback):
    (before, after), (gradients,) = lived(choosing(0, 20.0), feedback, presentations=1)
    for old, new, g in zip(before.synapses, after.synapses, gradients, strict=True):
        step = np.ravel(new["weight"] - old["weight"])
        cosine = -step @ np.ravel(g) / np.linalg.norm(step) / np.linalg.norm(g)
        np.testing.assert_allclose(cosine, 1.0, atol=1e-5)
        np.testing.assert_allclose(np.sqrt((step**2).mean()), 0.02, rtol=1e-3)


def test_a_step_does_not_depend_on_the_scale_of_the_loss(rule, feedback):
    """The weights of relu networks move the same whether the loss is counted in cents."""
    quiet, loud = (lived(rule, feedback, 2, louder)[0][-1] for louder in (1e3, 1e5))
    for a, b in zip(quiet.synapses, loud.synapses, strict=True):
        np.testing.assert_allclose(a["weight"], b["weight"], atol=5e-4)
    small = lived(rule, feedback, 2, 1e-3)[0][-1]  # where 1e-5 outweighs the gradient
    assert np.abs(small.synapses[0]["weight"] - loud.synapses[0]["weight"]).max() > 5e-3


@pytest.mark.slow
def test_the_shipped_genome_learns_what_an_untrained_one_does_not():
    keys = jax.random.split(KEY, 4)
    problem = pg.envs.digits()
    scores = [
        float(pg.envs.lives(rule, problem, keys=keys).tests.score.mean())
        for rule in (pg.rules.make("learned-optimizer"), pg.rules.shipped("learned-optimizer"))
    ]
    assert scores[0] < 0.3
    assert scores[1] > 0.8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genome": "shiped"}, '`genome` must be "random", "shipped" or a .safetensors file'),
        ({"genome": "no.safetensors"}, "there is no genome file at no.safetensors"),
        ({"activation": "rely"}, "unknown activation 'rely'; did you mean 'relu'"),
    ],
)
def test_a_genome_that_there_is_not_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pg.rules.make("learned-optimizer", **options)


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_layers_of_another_size_are_refused(rule, name):
    wrong = {name: Affine.drawn(5, 4, key=KEY)}
    layers = {each: getattr(rule, each) for each in ("first", "second", "third")}
    with pytest.raises(ValueError, match=rf"`{name}` must have weights of shape .* \(4, 5\)"):
        LearnedOptimizer(**(layers | wrong))
