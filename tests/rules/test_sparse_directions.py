"""Where paths lead to that have no new task: to few weights, or away; and walks on inputs."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import (
    SGD,
    AwayFromStart,
    Body,
    Clock,
    FixedMask,
    InvariantWalk,
    SparsePull,
)

KEY = jax.random.key(0)
PULL = SparsePull(sparsity=0.5, pull=0.5, steps=10)


BODY = Body((3, 3, 2))


def drawn(seed):
    keys = jax.random.split(jax.random.key(seed), 2)
    return tuple(jax.random.normal(k, s) for k, s in zip(keys, ((4, 3), (4, 2)), strict=True))


BEFORE, AFTER = drawn(0), drawn(1)


def clock(ended, time):
    return Clock(jnp.asarray(ended), jnp.asarray(time), jnp.asarray(False))


def stepped(direction, before, after, kept, clock):
    return direction.step(before, after, kept, clock=clock, body=BODY)


def begun(away, key=KEY):
    return away.remember(away.init(BEFORE), BEFORE, body=BODY, key=key)


def flat(weights):
    return np.concatenate([np.ravel(w) for w in weights])


def pruned(weights, sparsity):
    """Without the smallest, biases kept: by sorting."""
    inner = np.sort(np.concatenate([np.abs(w[:-1]).ravel() for w in weights]))
    threshold = inner[round(sparsity * inner.size)]
    bias = [np.arange(len(w))[:, None] == len(w) - 1 for w in weights]
    return [
        np.where(b | (np.abs(w) >= threshold), w, 0) for w, b in zip(weights, bias, strict=True)
    ]


def test_nothing_pulls_before_a_task_has_ended():
    assert np.array_equal(flat(stepped(PULL, BEFORE, AFTER, None, clock(0, 3))), flat(AFTER))


@pytest.mark.parametrize(("time", "lost"), [(0, 0.005), (4, 0.125), (9, 0.5), (500, 0.5)])
def test_small_weights_shrink_by_a_growing_share(time, lost):
    after = [np.asarray(w) for w in AFTER]
    expected = flat(after) - lost * (flat(after) - flat(pruned(after, 0.5)))
    found = stepped(PULL, BEFORE, AFTER, None, clock(1, time))
    np.testing.assert_allclose(flat(found), expected, atol=1e-6)


@pytest.mark.parametrize(("pull", "time"), [(1.0, 9), (100.0, 0), (100.0, 9)])
def test_a_full_pull_is_a_projection_and_a_larger_one_no_more(pull, time):
    pull = dataclasses.replace(PULL, pull=pull)
    found = stepped(pull, BEFORE, AFTER, None, clock(1, time))
    np.testing.assert_array_equal(
        flat(found), flat(pruned([np.asarray(w) for w in AFTER], 0.5))
    )


def lived(direction, presentations=12, dense=6):
    inner = pg.envs.plane("xor", hidden=(4,), batch=8, presentations=presentations)
    problem = pg.envs.Sparsify(inner, 0.5, dense=dense)
    rule = InvariantWalk("sgd(rate=0.3)", direction)
    return eqx.filter_jit(pg.envs.live)(rule, problem, key=KEY)


def test_a_mask_keeps_the_largest_weights_of_the_dense_network():
    dense = lived(FixedMask(0.5), presentations=6)
    thin = lived(FixedMask(0.5))
    before, after = ([np.asarray(b["weight"]) for b in x.state.synapses] for x in (dense, thin))
    kept = [w != 0 for w in pruned(before, 0.5)]
    assert sum(k[:-1].sum() for k in kept) == 8
    for old, new, k in zip(before, after, kept, strict=True):
        assert (new[~k] == 0).all()
        assert (old[~k] != 0).all()
        assert not np.array_equal(new[k], old[k])  # it learns from its anchors


def test_a_path_loses_what_small_weights_there_are():
    """They are much smaller at its end than they were, the others are not."""
    pull = SparsePull(sparsity=0.5, pull=0.5, steps=30)
    early, ended = (
        flat([b["weight"][:-1] for b in lived(pull, presentations=n).state.synapses])
        for n in (6, 36)
    )
    small, large = np.split(np.sort(np.abs(ended)), 2)
    least, most = np.split(np.sort(np.abs(early)), 2)
    assert small.mean() < 0.2 * least.mean()
    assert large.mean() > 0.5 * most.mean()


def test_weights_of_dead_neurons_are_not_among_the_smallest():
    """They are tiny here, and would be all that is lost."""
    alive = (jnp.ones(3), jnp.array([1.0, 0.0, 1.0]), jnp.ones(2))
    body, tiny = Body((3, 3, 2), alive), (jnp.array([1.0, 1e-6, 1.0]), jnp.ones(2))
    weights = tuple(w * t[None] for w, t in zip(AFTER, tiny, strict=True))
    weights = (weights[0], weights[1].at[1].multiply(1e-6))
    mask, pull = FixedMask(0.5), SparsePull(sparsity=0.5, steps=1)
    kept = mask.remember(mask.init(weights), weights, body=body, key=KEY)
    pulled = pull.step(weights, weights, None, clock=clock(1, 0), body=body)
    for first, second in (kept, pulled):
        lost = np.concatenate([np.ravel(first[:3, ::2]), np.ravel(second[:3:2])]) == 0
        assert lost.sum() == 5  # of 10 that live
    away = AwayFromStart()
    start = away.remember(away.init(weights), weights, body=body, key=KEY)
    assert np.array_equal(start[0][:, 1], weights[0][:, 1])
    assert not np.array_equal(start[0][:, 0], weights[0][:, 0])


def test_a_path_away_grows_by_its_length_where_nothing_holds_it():
    away = AwayFromStart(length=0.5, seed=1)
    kept = begun(away)
    apart = flat(BEFORE) - flat(kept)
    assert np.linalg.norm(apart) == pytest.approx(1e-3, rel=1e-2)
    weights = BEFORE
    for time in range(3):
        weights = stepped(away, weights, weights, kept, clock(1, time))
    moved = flat(weights) - flat(BEFORE)
    assert np.linalg.norm(moved) == pytest.approx(1.5, rel=1e-3)
    np.testing.assert_allclose(moved / 1.5, apart / np.linalg.norm(apart), atol=1e-3)
    assert np.array_equal(flat(stepped(away, BEFORE, AFTER, kept, clock(0, 0))), flat(AFTER))


def test_paths_of_other_seeds_and_of_other_lives_lead_elsewhere():
    one, other = (AwayFromStart(seed=s) for s in (0, 1))
    same, again, seed, life = (
        flat(begun(away, jax.random.key(k)))
        for away, k in ((one, 0), (one, 0), (other, 0), (one, 1))
    )
    assert np.array_equal(same, again)
    assert not np.array_equal(same, seed)
    assert not np.array_equal(same, life)


def test_a_walk_descends_the_divergence_from_the_network_at_the_boundary(xor, feedback):
    """Of plain gradient descent, against `jax.grad`."""
    walk = InvariantWalk(
        SGD(rate=0.3, activation="tanh"), AwayFromStart(length=1e-12), weight=2.0
    )
    inputs = pg.rules.Clamped.full(jax.random.normal(KEY, (8, 2)))
    silent = jax.tree.map(jnp.zeros_like, feedback(8, 2))
    boundary = dataclasses.replace(feedback(8, 2), boundary=jnp.ones(8, bool))

    def presented(state, told):
        state, outputs = walk.predict(state, inputs, key=KEY)
        return walk.adapt(walk.receive(state, told, key=KEY), key=KEY), outputs

    def outputs(weights):
        hidden = jnp.tanh(inputs.values @ weights[0][:-1] + weights[0][-1:])
        return hidden @ weights[1][:-1] + weights[1][-1:]

    def divergence(weights):
        q = jax.nn.softmax(outputs(start))
        return (q * (jnp.log(q) - jax.nn.log_softmax(outputs(weights)))).sum(1).mean()

    @jax.jit
    def lived():
        state, _ = presented(walk.rest(walk.init(xor.body, key=KEY), 8), boundary)
        start = [b["weight"] for b in state.synapses]
        moved = tuple(b | {"weight": b["weight"] * 1.3} for b in state.synapses)
        state = eqx.tree_at(lambda s: s.synapses, state, moved)
        return start, moved, presented(state, silent)[0].synapses

    start, moved, after = lived()
    before = [b["weight"] for b in moved]
    slopes = jax.grad(divergence)(before)
    for w, slope, block in zip(before, slopes, after, strict=True):
        assert np.abs(slope).max() > 1e-3
        np.testing.assert_allclose(block["weight"], w - 0.3 * 2.0 * slope, atol=1e-6)


def test_a_walk_is_the_rule_within_until_a_task_ends(xor):
    rule = SGD(rate=0.3)
    walk, plain = (
        eqx.filter_jit(pg.envs.live)(r, xor, key=KEY) for r in (InvariantWalk(rule), rule)
    )
    np.testing.assert_allclose(walk.losses, plain.losses, rtol=1e-6)


@pytest.mark.parametrize(
    ("rule", "message"),
    [("hebb", "`rule` must read the error"), ("adan", "unknown rule 'adan'; did you mean")],
)
def test_rules_that_cannot_walk_are_refused(rule, message):
    with pytest.raises(ValueError, match=message):
        InvariantWalk(rule)


@pytest.mark.parametrize("direction", [SparsePull, FixedMask])
@pytest.mark.parametrize("sparsity", [0.0, 1.0, 80.0, -0.5])
def test_what_is_no_share_is_refused(direction, sparsity):
    with pytest.raises(ValueError, match=r"`sparsity` must lie strictly in \(0, 1\)"):
        InvariantWalk(direction=direction(sparsity=sparsity))


@pytest.mark.parametrize("name", ["pull", "steps"])
def test_what_must_be_positive_is_refused_otherwise(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be positive, got"):
        InvariantWalk(direction=dataclasses.replace(PULL, **{name: 0.0}))
