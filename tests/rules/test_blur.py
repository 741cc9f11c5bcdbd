"""BLUR: backpropagation as a special case, sizes, genomes that fit other states and bodies."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import SGD, Blur, Body, Clamped, Feedback, State, genome, with_genome

KEY = jax.random.key(0)
BATCH = 6
born = eqx.filter_jit(pg.envs.born)
SIGMA = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "linear": lambda z: z}


@eqx.filter_jit
def presented(rule, state, inputs, feedback):
    """The network after one presentation, and its outputs."""
    state, outputs = rule.predict(state, inputs, key=KEY)
    return rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY), outputs


def network(weights, inputs, hidden):
    """The outputs of a layered network written down once more."""
    for i, w in enumerate(weights):
        z = inputs @ w[:-1] + w[-1][None]
        inputs = z if i == len(weights) - 1 else SIGMA[hidden](z)
    return inputs


LOSSES = {
    "squared": lambda outputs, target: 0.5 * ((outputs - target) ** 2).sum(),
    "cross-entropy": lambda outputs, target: -(jax.nn.log_softmax(outputs) * target).sum(),
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


@pytest.mark.parametrize(
    ("layers", "hidden", "loss"),
    [
        ((4, 3), "tanh", "squared"),
        ((4, 5, 3), "sigmoid", "squared"),
        ((3, 6, 4, 3), "tanh", "cross-entropy"),
        ((3, 4, 5, 4, 2), "sigmoid", "cross-entropy"),
        ((3, 4, 5, 4, 2), "linear", "squared"),
    ],
)
def test_the_backpropagation_genome_descends_the_gradient(layers, hidden, loss):
    rule = Blur.backpropagation(rate=1.0, hidden=hidden)
    assert furthest(*change_and_gradient(rule, layers, hidden, loss)) < 1e-5


@pytest.mark.parametrize("matrix", ["forward", "post"])
def test_transposing_or_reversing_a_matrix_breaks_backpropagation(matrix):
    rule = Blur.backpropagation(rate=1.0)
    other = {"forward": rule.forward.T, "post": rule.post[::-1]}[matrix]
    broken = dataclasses.replace(rule, **{matrix: other})
    changes = change_and_gradient(broken, (3, 6, 4, 3), "tanh", "cross-entropy")
    assert furthest(*changes) > 1e-1


def test_a_life_of_the_backpropagation_genome_is_a_life_of_sgd():
    problem = pg.envs.plane("xor", hidden=(6, 5), batch=8, presentations=20)
    blur, sgd = Blur.backpropagation(rate=0.2), SGD(rate=0.2, activation="tanh")
    a, b = (born(rule, problem, key=KEY) for rule in (blur, sgd))
    same = tuple({"weight": block["forward"][0]} for block in a.state.synapses)
    b = eqx.tree_at(lambda life: life.state.synapses, b, same)

    @eqx.filter_jit
    def rest_of_life(rule, life):
        step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
        life, outcomes = jax.lax.scan(step, life, length=20)
        return life.state.synapses, outcomes.loss

    mine, losses = rest_of_life(blur, a)
    theirs, expected = rest_of_life(sgd, b)
    np.testing.assert_allclose(losses, expected, atol=1e-5)
    for block, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(block["forward"][0], other["weight"], atol=1e-5)


@pytest.mark.parametrize(("states", "numbers"), [(2, 20), (4, 68), (8, 260)])
def test_four_matrices_and_four_scalars(states, numbers):
    rule = Blur.hebbian(states)
    names = [name.partition("[")[0] for name in pg.rules.gene_names(rule)]
    assert len([name for name in names if name != "gain"]) == numbers
    assert genome(rule).size == numbers + 1


def test_numbers_of_weights():
    body = Body((784, 512, 256, 10))

    def weights(rule):
        state = jax.eval_shape(lambda: rule.init(body, key=KEY))
        return sum(leaf.size for leaf in jax.tree.leaves(state.synapses))

    assert weights(Blur.backpropagation()) == 535_818
    assert weights(Blur.hebbian(states=4)) == 4_283_432


def widened(rule: Blur) -> Blur:
    """The same genome for two states more, with zero rows and columns."""
    wider = Blur.hebbian(rule.states + 2)
    matrices = {
        name: jnp.pad(getattr(rule, name), ((0, 2), (0, 2)))
        for name in ("forward", "backward", "pre", "post")
    }
    scalars = ("neuron_keep", "neuron_rate", "synapse_keep", "synapse_rate", "gain")
    return dataclasses.replace(wider, **matrices, **{n: getattr(rule, n) for n in scalars})


def test_silent_states_change_nothing(xor):
    # Random matrices of moderate size, so that all paths carry something.
    narrow = Blur.random(2, key=KEY)
    narrow = with_genome(narrow, 0.5 * genome(narrow))
    wide = widened(narrow)
    a, b = (born(rule, xor, key=KEY) for rule in (narrow, wide))
    synapses = jax.tree.map(lambda n, w: w.at[:2].set(n), a.state.synapses, b.state.synapses)
    b = eqx.tree_at(lambda life: life.state.synapses, b, synapses)

    @eqx.filter_jit
    def rest_of_life(rule, life):
        step = lambda life, _: pg.envs.step(rule, xor, life)  # noqa: E731
        return jax.lax.scan(step, life, length=xor.presentations)

    (a, expected), (b, found) = rest_of_life(narrow, a), rest_of_life(wide, b)
    assert np.array_equal(found.loss, expected.loss)
    assert len(np.unique(expected.loss)) == xor.presentations
    for n, w in zip(
        jax.tree.leaves(a.state.synapses), jax.tree.leaves(b.state.synapses), strict=True
    ):
        assert np.array_equal(w[:2], n)


@pytest.mark.parametrize("layers", [(2, 2), (7, 3, 5), (3, 4, 4, 4, 6)])
def test_one_genome_runs_on_any_body(layers, feedback):
    rule = with_genome(Blur.hebbian(), genome(Blur.hebbian()) + 0.3)
    state = rule.rest(rule.init(Body(layers), key=KEY), BATCH)

    inputs = Clamped.full(jax.random.normal(KEY, (BATCH, layers[0])))
    after, outputs = presented(rule, state, inputs, feedback(BATCH, layers[-1]))
    assert outputs.shape == (BATCH, layers[-1])
    assert np.isfinite(outputs).all()
    for s, t in zip(
        jax.tree.leaves(state.synapses), jax.tree.leaves(after.synapses), strict=True
    ):
        assert np.isfinite(t).all()
        assert not np.array_equal(s, t)


def test_a_batch_without_signal_only_decays_synapses():
    """With targets masked, inputs zero and linear neurons without bias, W becomes f~ W."""
    rule = dataclasses.replace(Blur.hebbian(), synapse_keep=0.5)
    state = rule.rest(rule.init(Body((3, 4, 2)), key=KEY), BATCH)
    nothing = Clamped(jnp.zeros((BATCH, 2)), jnp.zeros((BATCH, 2), bool), jnp.ones(BATCH, bool))
    feedback = Feedback(
        nothing, jnp.zeros((BATCH, 2)), jnp.zeros(BATCH), jnp.zeros(BATCH, bool)
    )
    after, _ = presented(rule, state, Clamped.full(jnp.zeros((BATCH, 3))), feedback)
    for s, t in zip(
        jax.tree.leaves(state.synapses), jax.tree.leaves(after.synapses), strict=True
    ):
        np.testing.assert_allclose(t, 0.5 * s, atol=1e-7)


def test_one_synapse_learns_as_its_equation_says():
    """One neuron on one input, k = 2, every matrix full: against the formula by hand."""
    rng = np.random.default_rng(0)
    nu, mu, pre, post = rng.normal(size=(4, 2, 2)) * 0.5
    scalars = {
        "neuron_keep": 0.8,
        "neuron_rate": 0.7,
        "synapse_keep": 0.9,
        "synapse_rate": 0.3,
        "gain": 2.0,
    }
    rule = dataclasses.replace(
        Blur.hebbian(), forward=nu, backward=mu, pre=pre, post=post, **scalars
    )
    f, eta, keep, rate = (scalars[n] for n in list(scalars)[:4])
    state = rule.rest(rule.init(Body((1, 1, 1)), key=KEY), 2)
    x, t = np.array([0.3, -0.6]), np.array([1.0, 0.0])
    (w1, v1), (w2, v2) = (
        (np.asarray(b["forward"], float), np.asarray(b["backward"], float))
        for b in state.synapses
    )
    one = np.ones((2, 2))
    a0 = np.stack([x, 0 * x], 1)  # rows, states
    a1 = np.tanh(eta * ((a0 @ nu) * w1[:, 0, 0] + (one @ nu) * w1[:, 1, 0]))
    a2 = np.tanh(eta * ((a1 @ nu) * w2[:, 0, 0] + (one @ nu) * w2[:, 1, 0]))
    outputs = 2.0 * a2[:, :1]
    a2 = np.stack([a2[:, 0], 2 * t - 1], 1)
    a1 = np.tanh(f * a1 + eta * (a2 @ mu) * v2[:, 0, 0])

    def hebb(a, b):
        return ((a @ pre) * (b @ post.T)).mean(0)

    new = {
        "w1": keep * w1[:, 0, 0] + rate * hebb(a0, a1),
        "b1": keep * w1[:, 1, 0] + rate * hebb(one, a1),
        "v1": keep * v1[:, 0, 0] + rate * hebb(a1, a0),
        "w2": keep * w2[:, 0, 0] + rate * hebb(a1, a2),
        "v2": keep * v2[:, 0, 0] + rate * hebb(a2, a1),
    }
    feedback = Feedback(
        Clamped.full(jnp.asarray(t[:, None], jnp.float32)),
        jnp.zeros((2, 1)),
        jnp.zeros(2),
        jnp.zeros(2, bool),
    )
    inputs = Clamped.full(jnp.asarray(x[:, None], jnp.float32))
    state, found = presented(rule, state, inputs, feedback)
    first, second = state.synapses
    np.testing.assert_allclose(found, outputs, rtol=1e-5)
    for name, value in [
        ("w1", first["forward"][:, 0, 0]),
        ("b1", first["forward"][:, 1, 0]),
        ("v1", first["backward"][:, 0, 0]),
        ("w2", second["forward"][:, 0, 0]),
        ("v2", second["backward"][:, 0, 0]),
    ]:
        np.testing.assert_allclose(value, new[name], atol=1e-6, err_msg=name)


def test_random_genomes_differ_by_key():
    a, b = (Blur.random(3, key=key) for key in jax.random.split(KEY))
    assert not np.allclose(genome(a), genome(b))
    assert a.states == b.states == 3


def test_options_change_what_it_reads_and_its_tier():
    reads, tiers = pg.rules.Signal, pg.rules.Tier
    for wiring, injects in itertools.product(["asymmetric", "symmetric"], ["target", "error"]):
        rule = dataclasses.replace(Blur.hebbian(), wiring=wiring, injects=injects)
        assert rule.reads == {reads(injects)}
        assert rule.tier == (tiers.ERROR if wiring == "asymmetric" else tiers.GRADIENT)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"forward": np.ones((1, 1))},
            r"`forward` must have at least two states, got shape \(1",
        ),
        ({"forward": np.ones((2, 3))}, r"`forward` must have shape \(2, 2\), got \(2, 3\)"),
        ({"backward": np.ones((3, 3))}, r"`backward` must have shape \(2, 2\), got \(3, 3\)"),
        ({"pre": np.ones(2)}, r"`pre` must have shape \(2, 2\), got \(2,\)"),
        ({"post": np.ones((2, 2, 1))}, r"`post` must have shape \(2, 2\)"),
        ({"pre": np.full((2, 2), np.nan)}, "`pre` must be finite"),
        ({"synapse_rate": -0.1}, "`synapse_rate` must be positive, got -0.1"),
        ({"gain": 0.0}, "`gain` must be positive, got 0.0"),
        ({"hidden": ("tanh",)}, r"`hidden` must name one activation per state \(2\)"),
        ({"top": ("tanh",) * 3}, r"`top` must name one activation per state \(2\)"),
        ({"feedback": ("tanh", "tahn")}, "unknown activation 'tahn'; did you mean 'tanh'"),
        ({"synapse_states": 3}, "`synapse_states` must be 1 or 2, got 3"),
        ({"wiring": "symetric"}, "unknown `wiring` 'symetric'; did you mean 'symmetric'"),
        ({"meeting": "additiv"}, "unknown `meeting` 'additiv'; did you mean 'additive'"),
        ({"injects": "errors"}, r"unknown `injects` 'errors'; did you mean 'error'\?"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message, unchecked):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Blur.hebbian(), **changed)


@pytest.mark.parametrize("states", [1, 0, -2, 2.5, "2"])
def test_too_few_states_are_refused(states, unchecked):
    with pytest.raises(ValueError, match="`states` must be a whole number of at least 2, got"):
        Blur.hebbian(states)
    with pytest.raises(ValueError, match="`states` must be a whole number of at least 2, got"):
        Blur.random(states, key=KEY)
