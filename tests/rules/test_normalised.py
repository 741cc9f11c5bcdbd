"""Normalised descent against optax on gradients that autodiff takes of another network."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Normalisation, NormalisedAdam, NormalisedSGD

KEY = jax.random.key(3)


def options(top):
    """Everything away from its default; made here, for its precision is that of the test."""
    return {"gain": 0.8, "norm": Normalisation([1.3], [0.2]), "top": top, "decay": 0.2}


PAIRS = {
    "sgd": (lambda top: NormalisedSGD(0.3, **options(top)), lambda: optax.sgd(inverse(0.3))),
    "adam": (
        lambda top: NormalisedAdam(
            0.05, momentum=0.85, momentum_squares=0.99, epsilon=1e-6, **options(top)
        ),
        lambda: optax.adam(inverse(0.05), 0.85, 0.99, 1e-6),
    ),
}
LIMITS = {"float32": 2e-4, "float64": 1e-10}


def inverse(rate):
    """The schedule of a rate that decays: eta / (1 + d t)."""
    return lambda count: rate / (1.0 + 0.2 * count)


def loss(weights, inputs, classes, top):
    """Mean cross-entropy of a network with layer normalisation, written down once more."""
    hidden = inputs
    for w in weights[:-1]:
        z = hidden @ w[:-1] + w[-1][None]
        centred = z - z.mean(1, keepdims=True)
        z = centred / jnp.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
        hidden = jnp.tanh(1.3 * z + 0.2)
    outputs = hidden @ weights[-1][:-1] + weights[-1][-1][None]
    outputs = 0.8 * (jnp.tanh(outputs) if top == "tanh" else outputs)
    return optax.softmax_cross_entropy_with_integer_labels(outputs, classes).mean()


def both(rule, optimizer, problem, top):
    """The weights after a whole life, ours and theirs, from the same birth and stream."""

    def ours(life):
        step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
        return jax.lax.scan(step, life, length=problem.presentations)

    def theirs(life):
        def update(carry, rows):
            weights, moments = carry
            raw = problem.train.inputs[rows].astype(problem.mean.dtype)
            inputs = (raw - problem.mean[None]) / problem.deviation[None]
            classes = problem.train.classes[rows].astype(int)
            value, gradient = jax.value_and_grad(loss)(weights, inputs, classes, top)
            with jax.numpy_dtype_promotion("standard"):  # optax counts in whole numbers
                updates, moments = optimizer.update(gradient, moments, weights)
            return (optax.apply_updates(weights, updates), moments), value

        weights = [block["weight"] for block in life.state.synapses]
        return jax.lax.scan(update, (weights, optimizer.init(weights)), life.world.order)

    @jax.jit
    def run(key):
        life = pg.envs.born(rule, problem, key=key)
        (after, outcomes), ((weights, _), losses) = ours(life), theirs(life)
        mine = [block["weight"] for block in after.state.synapses]
        return (mine, outcomes.loss), (weights, losses)

    return run(KEY)


@pytest.mark.parametrize(
    ("name", "top", "precision"),
    [
        ("sgd", "linear", "float32"),
        ("sgd", "tanh", "float64"),
        ("adam", "linear", "float64"),
        ("adam", "tanh", "float32"),
    ],
)
def test_it_equals_optax_with_a_decaying_rate(name, top, precision):
    wide = jax.enable_x64(True) if precision == "float64" else contextlib.nullcontext()
    with wide:
        rule, optimizer = PAIRS[name][0](top), PAIRS[name][1]()
        problem = pg.envs.plane("xor", hidden=(6, 5), batch=8, presentations=25)
        (mine, losses), (weights, expected) = both(rule, optimizer, problem, top)
        assert losses.dtype == precision
        assert len(np.unique(losses)) == 25
        np.testing.assert_allclose(losses, expected, atol=LIMITS[precision])
        for a, b in zip(mine, weights, strict=True):
            np.testing.assert_allclose(a, b, atol=LIMITS[precision], rtol=LIMITS[precision])


@pytest.mark.parametrize("build", [NormalisedSGD, NormalisedAdam])
def test_birth_scales(build):
    for birth, bias in ((1.0, 0.1), (0.5, 2.0)):
        rule = build(birth=birth, bias_birth=bias)
        first, second = rule.init(Body((100, 400, 400)), key=KEY).synapses
        for block, inputs in ((first, 100), (second, 400)):
            weights, biases = block["weight"][:-1], block["weight"][-1]
            np.testing.assert_allclose(weights.std(), birth / np.sqrt(inputs), rtol=0.05)
            np.testing.assert_allclose(biases.std(), bias, rtol=0.1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: NormalisedSGD(rate=-1.0), "`rate` must be positive, got -1.0"),
        (lambda: NormalisedSGD(decay=0.0), "`decay` must be positive, got 0.0"),
        (lambda: NormalisedSGD(birth=0.0), "`birth` must be positive, got 0.0"),
        (lambda: NormalisedSGD(top="tan"), r"unknown activation 'tan'; did you mean 'tanh'"),
        (lambda: NormalisedAdam(momentum=1.0), r"`momentum` must lie strictly in \(0, 1\)"),
        (lambda: NormalisedAdam(gain=0.0), "`gain` must be positive, got 0.0"),
        (
            lambda: NormalisedSGD(norm=Normalisation([1.0] * 2, [0.0] * 2)),
            r"`norm` must be of one state, got 2",
        ),
        (
            lambda: NormalisedAdam(norm=Normalisation([1.0] * 2, [0.0] * 2)),
            r"`norm` must be of one state, got 2",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
