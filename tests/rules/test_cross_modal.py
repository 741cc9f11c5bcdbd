"""Towers that meet in a similarity matrix alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import SGD, Body, Clamped, CrossModal

KEY, RATE = jax.random.key(0), 0.5


def tower(blocks, x):
    """By hand, with the weights of each block."""
    for weights in blocks[:-1]:
        x = jax.nn.relu(x @ weights[:-1] + weights[-1:])
    return x @ blocks[-1][:-1] + blocks[-1][-1:]


def whole_loss(weights, values, same):
    """That of both towers at once, as a user would write it."""
    u, v = (tower(blocks, x) for blocks, x in zip(weights, values, strict=True))
    u, v = (x / jnp.linalg.norm(x, axis=1, keepdims=True) for x in (u, v))
    p = jnp.exp(u @ v.T / 0.07)
    both = [(p * same).sum(axis) / p.sum(axis) for axis in (0, 1)]
    return -jnp.log(jnp.stack(both)).mean()


def weights_of(state):
    return tuple(tuple(block[e]["weight"] for block in state.synapses) for e in range(2))


def test_the_split_gradient_is_the_gradient_of_the_whole():
    # In double precision: single ones round by more than a millionth where weights change.
    with jax.enable_x64(True):
        problem = pg.envs.cross_modal_answer(hidden=(8,), batch=6, embedding=3)
        rule = CrossModal((SGD(rate=RATE), SGD(rate=RATE)), inputs=problem.modalities)
        born = pg.envs.born(rule, problem, key=KEY)
        after, _ = pg.envs.step(rule, problem, born)
        values = problem.observe(born.world).values
        asked, answers = jnp.split(values, problem.modalities[:1], axis=1)
        same = (answers[:, None] == answers[None]).all(-1).astype(values.dtype)
        before = weights_of(born.state)
        gradient = jax.grad(whole_loss)(before, (asked, answers), same)
        moved = jax.tree.map(lambda a, b: (a - b) / RATE, before, weights_of(after.state))
    for ours, exact in zip(jax.tree.leaves(moved), jax.tree.leaves(gradient), strict=True):
        assert exact.dtype == float
        assert np.abs(exact).max() > 1e-3
        np.testing.assert_allclose(ours, exact, rtol=0, atol=1e-6)


def test_a_tower_lives_as_it_would_alone():
    """Same inputs, same feedback at its own outputs, same key: the other is not there."""
    body, alone = Body((5, 4, 4)), Body((3, 2, 2))
    experts = (SGD(rate=0.3), pg.rules.make("blur"))
    rule = CrossModal(experts, inputs=(3, 2))
    inputs = Clamped.full(jax.random.normal(KEY, (6, 5)))
    error = jax.random.normal(jax.random.key(1), (6, 4))
    told = lambda error: pg.rules.Feedback(  # noqa: E731
        Clamped.full(error), error, error[:, 0], jnp.zeros(6, bool)
    )
    state = rule.rest(rule.init(body, key=KEY), 6)
    own = SGD(rate=0.3).rest(experts[0].init(alone, key=jax.random.split(KEY)[0]), 6)
    state, outputs = rule.predict(state, inputs, key=KEY)
    own, answer = experts[0].predict(own, Clamped.full(inputs.values[:, :3]), key=KEY)
    np.testing.assert_array_equal(outputs[:, :2], answer)
    state = rule.adapt(rule.receive(state, told(error), key=KEY), key=KEY)
    own = experts[0].adapt(experts[0].receive(own, told(error[:, :2]), key=KEY), key=KEY)
    for joined, block in zip(state.synapses, own.synapses, strict=True):
        np.testing.assert_array_equal(joined[0]["weight"], block["weight"])


@pytest.mark.parametrize(("mixing", "alike"), [("average", True), ("alone", False)])
def test_replicas_share_both_towers(mixing, alike, feedback):
    """Those of a batch whose halves differ become alike only if they are averaged."""
    rule = pg.rules.Replicas(CrossModal(("sgd", "sgd")), mixing, replicas=2)
    state = rule.rest(rule.init(Body((5, 4, 4)), key=KEY), 4)
    inputs = Clamped.full(jax.random.normal(KEY, (4, 5)))
    state, _ = rule.predict(state, inputs, key=KEY)
    state = rule.adapt(rule.receive(state, feedback(4, 4), key=KEY), key=KEY)
    for block in state.synapses:
        for tower in block:
            one, other = np.asarray(tower["weight"])
            assert np.array_equal(one, other) == alike


def test_shares_are_a_partition_of_every_layer():
    body = Body((5, 7, 4), (jnp.ones(5), jnp.array([1.0] * 6 + [0.0]), jnp.ones(4)))
    state = CrossModal(("sgd", "sgd", "sgd")).init(body, key=KEY)
    for (pre, post), block in zip(itertools.pairwise((5, 7, 4)), state.synapses, strict=True):
        shapes = [tower["weight"].shape for tower in block]
        assert sum(rows - 1 for rows, _ in shapes) == pre
        assert sum(columns for _, columns in shapes) == post


@pytest.mark.parametrize(
    ("experts", "inputs", "message"),
    [
        ((), None, "`experts` must be at least one rule"),
        ("sgd", None, r"`experts` must be rules, such as .* got 'sgd'"),
        (("sgd", "sgd"), (0, 5), r"`inputs\[0\]` must be a positive whole number, got 0"),
        (("sgd", "sgd"), (3, 1, 1), r"`inputs` must have a size for each of the 2 experts"),
        (("sgdd",), None, "unknown rule 'sgdd'; did you mean 'sgd'"),
    ],
)
def test_what_does_not_fit_is_refused(experts, inputs, message):
    with pytest.raises(ValueError, match=message):
        CrossModal(experts, inputs=inputs)


@pytest.mark.parametrize(
    ("layers", "inputs", "message"),
    [
        ((5, 4, 1), None, "`body` must have at least 2 neurons in every layer"),
        ((5, 4, 2), (3, 3), r"`body` must have 6 inputs, those of the modalities \(3, 3\)"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(layers, inputs, message):
    with pytest.raises(ValueError, match=message):
        CrossModal(("sgd", "sgd"), inputs=inputs).init(Body(layers), key=KEY)


@pytest.mark.parametrize(("width", "missing"), [(3, r"\[1\]"), (4, r"\[1\]"), (2, r"\[0, 1\]")])
def test_a_modality_missing_from_a_batch_is_refused(width, missing):
    rule = CrossModal(("sgd", "sgd"), inputs=(3, 2))
    state = rule.rest(rule.init(Body((5, 4, 4)), key=KEY), 2)
    inputs = Clamped.full(jnp.ones((2, width)))
    with pytest.raises(ValueError, match=f"all modalities, 5 values .* of {missing} there"):
        rule.predict(state, inputs, key=KEY)
