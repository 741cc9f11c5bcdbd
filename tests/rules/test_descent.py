"""SGD, Momentum and Adam against optax on gradients that autodiff takes of another network."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import plasticgym as pg
from plasticgym.rules import SGD, Adam, Momentum
from plasticgym.rules._adam_step import adam_step

ACTIVATIONS = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "linear": lambda z: z,
}
PAIRS = {
    "sgd": (lambda a: SGD(0.3, a), lambda: optax.sgd(0.3)),
    "momentum": (
        lambda a: Momentum(0.05, 0.8, activation=a),
        lambda: optax.sgd(0.05, momentum=0.8),
    ),
    "adam": (
        lambda a: Adam(0.02, 0.85, 0.99, 1e-6, activation=a),
        lambda: optax.adam(0.02, 0.85, 0.99, 1e-6),
    ),
}
LIMITS = {"float32": 1e-5, "float64": 1e-10}
KEY = jax.random.key(3)


def loss(weights, inputs, classes, activation):
    """Mean cross-entropy of a network written down once more."""
    hidden = inputs
    for i, w in enumerate(weights):
        z = hidden @ w[:-1] + w[-1][None]
        hidden = z if i == len(weights) - 1 else ACTIVATIONS[activation](z)
    return optax.softmax_cross_entropy_with_integer_labels(hidden, classes).mean()


def both(rule, optimizer, problem, activation):
    """The weights after a whole life, ours and theirs, from the same birth and stream."""

    def ours(life):
        return jax.lax.scan(
            lambda life, _: pg.envs.step(rule, problem, life),
            life,
            length=problem.presentations,
        )

    def theirs(life):
        def update(carry, rows):
            weights, moments = carry
            raw = problem.train.inputs[rows].astype(problem.mean.dtype)
            inputs = (raw - problem.mean[None]) / problem.deviation[None]
            classes = problem.train.classes[rows].astype(int)
            value, gradient = jax.value_and_grad(loss)(weights, inputs, classes, activation)
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


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize(
    ("name", "activation"),
    [("sgd", "relu"), ("sgd", "sigmoid"), ("momentum", "linear"), ("adam", "tanh")],
)
def test_it_equals_optax_over_fifty_presentations(name, activation, precision):
    wide = jax.enable_x64(True) if precision == "float64" else contextlib.nullcontext()
    with wide:
        rule, optimizer = PAIRS[name][0](activation), PAIRS[name][1]()
        problem = pg.envs.plane("xor", hidden=(6, 5), batch=8, presentations=50)
        (mine, losses), (weights, expected) = both(rule, optimizer, problem, activation)
        assert losses.dtype == precision
        assert losses.shape == (50,)
        np.testing.assert_allclose(losses, expected, atol=LIMITS[precision])
        for a, b in zip(mine, weights, strict=True):
            np.testing.assert_allclose(a, b, atol=LIMITS[precision], rtol=LIMITS[precision])


def test_the_moments_of_an_optimizer_are_states_of_its_synapses(xor):
    life = pg.envs.born(Adam(), xor, key=KEY)
    for block in life.state.synapses:
        assert {leaf.shape for leaf in block.values()} == {block["weight"].shape}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SGD(rate=-1.0), r"`rate` must be positive, got -1.0"),
        (lambda: SGD(rate=0.0), r"`rate` must be positive, got 0.0"),
        (lambda: SGD(rate=float("nan")), r"`rate` must be finite, got nan"),
        (lambda: Momentum(decay=1.0), r"`decay` must lie strictly in \(0, 1\), got 1.0"),
        (lambda: Momentum(rate=float("inf")), r"`rate` must be finite, got inf"),
        (lambda: Adam(decay_squares=0.0), r"`decay_squares` must lie strictly in \(0, 1\)"),
        (lambda: Adam(epsilon=-0.5), r"`epsilon` must be positive, got -0.5"),
        (lambda: SGD(activation="relo"), r"unknown activation 'relo'; did you mean 'relu'\?"),
        (
            lambda: Adam(activation="tanh'"),
            r"unknown activation \"tanh'\"; did you mean 'tanh'",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_adam_has_a_slope_where_nothing_ever_changes():
    """The root of a second moment of 0 has none, and made every meta-gradient NaN."""
    zeros = dict.fromkeys(("weight", "mean", "square"), jnp.zeros((1, 1)))

    def after(times):
        decays, one = (jnp.asarray(0.9), jnp.asarray(0.999)), jnp.asarray(1.0)
        moved = adam_step(
            zeros, times * jnp.zeros((1, 1)), one, rate=one, decays=decays, epsilon=one
        )
        return moved["weight"].sum()

    assert float(jax.grad(after)(jnp.asarray(1.0))) == 0.0
