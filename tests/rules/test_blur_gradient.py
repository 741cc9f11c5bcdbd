"""BLUR and the gradient: genomes that are exactly it, and that learned ones are not."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import plasticgym as pg
from plasticgym.rules import Blur, Body, Clamped, Feedback, State, make

KEY = jax.random.key(0)
BATCH = 6
born = eqx.filter_jit(pg.envs.born)
SIGMA = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "linear": lambda z: z}


def network(weights, inputs, hidden):
    """The outputs of a layered network written down once more."""
    for i, w in enumerate(weights):
        z = inputs @ w[:-1] + w[-1][None]
        inputs = z if i == len(weights) - 1 else SIGMA[hidden](z)
    return inputs


# Of one-hot targets t and outputs y; BLUR is told of classes as signs.
LOSSES = {
    "squared": lambda y, t: 0.5 * ((y - t) ** 2).sum(),
    "cross-entropy": lambda y, t: -(jax.nn.log_softmax(y) * t).sum(),
    "minus the product": lambda y, t: -(y * (2 * t - 1)).sum(),
    "squared, of signs": lambda y, t: 0.5 * ((y - (2 * t - 1)) ** 2).sum(),
}


def change_and_gradient(rule, layers, hidden, loss):
    """What one presentation changes at each block, and minus the gradient of the mean loss."""
    rng = np.random.default_rng(sum(layers))
    inputs = jnp.asarray(rng.normal(size=(BATCH, layers[0])), jnp.float32)
    target = jnp.asarray(np.eye(layers[-1])[rng.integers(0, layers[-1], BATCH)], jnp.float32)
    biases = [rng.normal(size=n) for n in layers[1:]]

    def total(weights):
        return LOSSES[loss](network(weights, inputs, hidden), target) / BATCH

    @jax.jit
    def present():
        state = rule.init(Body(layers), key=KEY)
        synapses = tuple(
            {"forward": block["forward"].at[:, -1].set(jnp.asarray(b, jnp.float32)[None])}
            for block, b in zip(state.synapses, biases, strict=True)
        )
        state = rule.rest(State(state.body, (), synapses), BATCH)
        state, outputs = rule.predict(state, Clamped.full(inputs), key=KEY)
        error = -jax.grad(LOSSES[loss])(outputs, target)
        feedback = Feedback(
            Clamped.full(target), error, jnp.zeros(BATCH), jnp.zeros(BATCH, bool)
        )
        state = rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY)
        before = [block["forward"][0] for block in synapses]
        after = [block["forward"][0] for block in state.synapses]
        return [b - a for a, b in zip(before, after, strict=True)], jax.grad(total)(before)

    changes, gradients = present()
    return changes, [-g for g in gradients]


def furthest(changes, expected):
    """The largest deviation relative to the largest entry, over all blocks."""
    scale = max(float(jnp.abs(e).max()) for e in expected)
    pairs = zip(changes, expected, strict=True)
    return max(float(jnp.abs(c - e).max()) for c, e in pairs) / scale


def some_networks():
    """Depths 1 to 4, each with either activation, sizes and losses drawn."""
    rng = np.random.default_rng(0)
    for depth in (1, 2, 3, 4):
        for hidden in ("tanh", "sigmoid"):
            sizes = tuple(int(n) for n in rng.integers(2, 7, depth + 1))
            yield sizes, hidden, ("squared", "cross-entropy")[rng.integers(2)]


@pytest.mark.parametrize(("layers", "hidden", "loss"), list(some_networks()))
def test_the_backpropagation_genome_descends_the_gradient(layers, hidden, loss):
    rule = make("blur", genome="backprop", rate=1.0, hidden=hidden)
    assert furthest(*change_and_gradient(rule, layers, hidden, loss)) < 1e-5


@pytest.mark.parametrize("matrix", ["forward", "post"])
def test_transposing_or_reversing_a_matrix_breaks_backpropagation(matrix):
    rule = make("blur", genome="backprop", rate=1.0)
    broken = {
        "forward": lambda: dataclasses.replace(rule, forward=rule.forward.T),
        "post": lambda: eqx.tree_at(lambda r: r.synapse.post, rule, rule.synapse.post[::-1]),
    }[matrix]()
    changes = change_and_gradient(broken, (3, 6, 4, 3), "tanh", "cross-entropy")
    assert furthest(*changes) > 1e-1


@pytest.mark.parametrize("loss", ["squared", "minus the product"])
def test_raw_targets_in_the_place_of_errors_descend_minus_their_product(loss):
    """-sum t y, which is not the squared error."""
    rule = make("blur", genome="backprop", rate=1.0)
    rule = dataclasses.replace(rule, injects="target")
    far = furthest(*change_and_gradient(rule, (3, 5, 4, 2), "tanh", loss))
    assert far < 1e-5 if loss == "minus the product" else far > 1e-1


@pytest.mark.parametrize("layers", [(4, 3), (3, 5, 2), (3, 4, 5, 2)])
def test_the_descent_genome_is_the_gradient_of_the_squared_error(layers):
    rule = make("blur", genome="descent", rate=1.0)
    assert furthest(*change_and_gradient(rule, layers, "linear", "squared, of signs")) < 1e-5


def test_the_descent_genome_needs_the_forward_state():
    rule = dataclasses.replace(make("blur", genome="descent", rate=1.0), pre_source="backward")
    changes = change_and_gradient(rule, (3, 5, 4, 2), "linear", "squared, of signs")
    assert furthest(*changes) > 1e-1


def test_a_life_of_the_backpropagation_genome_is_gradient_descent():
    problem = pg.envs.plane("xor", hidden=(6, 5), batch=8, presentations=20)
    rule = make("blur", genome="backprop", rate=0.2)
    life = born(rule, problem, key=KEY)

    def loss(weights, world):
        outputs = network(weights, problem.observe(world).known, "tanh")
        return problem.respond(world, outputs)[2].loss

    @jax.jit
    def descent(weights, world):
        def update(carry, _):
            weights, world = carry
            value, gradient = jax.value_and_grad(loss)(weights, world)
            world = problem.respond(world, jnp.zeros((8, 2)))[0]
            return (jax.tree.map(lambda w, g: w - 0.2 * g, weights, gradient), world), value

        (weights, _), losses = jax.lax.scan(update, (weights, world), length=20)
        return weights, losses

    @eqx.filter_jit
    def lived(life):
        step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
        life, outcomes = jax.lax.scan(step, life, length=20)
        return [block["forward"][0] for block in life.state.synapses], outcomes.loss

    weights = [block["forward"][0] for block in life.state.synapses]
    (mine, losses), (theirs, expected) = lived(life), descent(weights, life.world)
    assert len(np.unique(expected)) == 20
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    for block, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(block, other, atol=1e-5)


def asymmetry(rule: Blur) -> float:
    """Of the Jacobian of all changes of forward weights by these weights; 0 for a gradient.

    The largest entry of J - J^T relative to that of J.
    """
    rng = np.random.default_rng(2)
    state = rule.rest(rule.init(Body((3, 4, 2)), key=KEY), BATCH)
    # Of moderate size, so that no neuron is saturated.
    born_as = jax.tree.map(lambda w: 0.5 * w, state.synapses)
    inputs = Clamped.full(jnp.asarray(rng.normal(size=(BATCH, 3))))
    target = jnp.asarray(np.eye(2)[rng.integers(0, 2, BATCH)])
    forward = [block["forward"] for block in born_as]
    vector, restore = ravel_pytree(forward)

    @jax.jit
    @jax.jacobian
    def jacobian(vector):
        synapses = tuple(
            block | {"forward": w} for block, w in zip(born_as, restore(vector), strict=True)
        )
        start = eqx.tree_at(lambda s: s.synapses, state, synapses)
        after, outputs = rule.predict(start, inputs, key=KEY)
        error = target - jax.nn.softmax(outputs)
        feedback = Feedback(
            Clamped.full(target), error, jnp.zeros(BATCH), jnp.zeros(BATCH, bool)
        )
        after = rule.adapt(rule.receive(after, feedback, key=KEY), key=KEY)
        changed = [block["forward"] for block in after.synapses]
        return ravel_pytree(changed)[0] - vector

    matrix = np.asarray(jacobian(vector))
    assert np.abs(matrix).max() > 0
    return float(np.abs(matrix - matrix.T).max() / np.abs(matrix).max())


@pytest.mark.parametrize("hidden", ["tanh", "sigmoid"])
def test_what_backpropagation_changes_is_a_gradient(hidden):
    with jax.enable_x64(True):
        assert asymmetry(make("blur", genome="backprop", hidden=hidden)) < 1e-6


@pytest.mark.parametrize("options", [{"genome": "random", "seed": s} for s in range(3)])
def test_what_random_genomes_change_is_no_gradient(options):
    with jax.enable_x64(True):
        assert asymmetry(make("blur", **options)) > 1e-3


def test_what_the_shipped_genome_changes_is_no_gradient():
    with jax.enable_x64(True):
        assert asymmetry(make("blur", genome="shipped")) > 1e-3
