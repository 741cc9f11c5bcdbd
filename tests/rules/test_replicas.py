"""Many networks that learn by one rule and mix their weights."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import (
    SGD,
    Alone,
    Average,
    Body,
    Clamped,
    GatedAverage,
    Momentum,
    Replicas,
)
from plasticgym.rules import _blocks as blocks

KEY = jax.random.key(0)
BODY, ROWS, K = Body((3, 4, 2)), 8, 4


@eqx.filter_jit
def presented(rule, inputs, feedback, times):
    """A newborn network, and what it is after each of some presentations of the same."""
    begin = rule.rest(rule.init(BODY, key=KEY), len(inputs.values))

    def step(state, _):
        state, _ = rule.predict(state, inputs, key=KEY)
        state = rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY)
        return state, state.synapses

    return begin.synapses, jax.lax.scan(step, begin, length=times)[1]


@functools.cache
def rows(count, seed=1):
    return Clamped.full(jax.random.normal(jax.random.key(seed), (count, BODY.layers[0])))


def weights(synapses):
    return [np.asarray(block["weight"]) for block in synapses]


def test_averaging_every_step_is_one_network_that_learns_from_all(feedback):
    """Fact (a): the mean of the steps on equal shards is the step on all rows."""
    inputs, heard = rows(ROWS), feedback(ROWS, 2)
    many = presented(Replicas(SGD(), Average(), replicas=K), inputs, heard, 3)[1]
    one = presented(SGD(), inputs, heard, 3)[1]
    for a, b in zip(weights(many), weights(one), strict=True):
        np.testing.assert_allclose(a, np.broadcast_to(b[:, None], a.shape), atol=1e-6)


def test_replicas_drift_apart_between_mixings(feedback):
    rule = Replicas(SGD(), Average(), 3, replicas=K)
    synapses = presented(rule, rows(ROWS), feedback(ROWS, 2), 6)[1]
    spread = weights(synapses)[0].std(1).max((1, 2))
    assert (spread > 1e-5).tolist() == [True, True, False, True, True, False]


def test_only_weights_travel(feedback):
    """The velocity of each replica stays its own: it is that of a network alone."""
    rule = Momentum(rate=0.1)
    mixing, apart = (
        presented(Replicas(rule, m, replicas=K), rows(ROWS), feedback(ROWS, 2), 1)[1]
        for m in (Average(), Alone())
    )
    for a, b in zip(mixing, apart, strict=True):
        others = [name for name in a if name != "weight"]
        assert others
        for name in others:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-6)
            assert np.asarray(a[name]).std(1).max() > 0
        assert not np.allclose(a["weight"], b["weight"])


def test_nobody_learns_from_measured_rows(feedback):
    rule = Replicas(pg.rules.Hebb(), Average(), replicas=2, measured=3)
    own, heard = rows(6), feedback(9, 2)
    found = []
    for seed in (1, 2):
        shown = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), own, rows(3, seed))
        found.append(weights(presented(rule, shown, heard, 2)[1]))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_mixing_measures_weights_as_they_are_when_mixed(feedback):
    """Accuracies of proposals are those of networks with these weights, learned and all."""
    seen = {}

    class Spy(pg.rules.AbstractMixing):
        reads = frozenset({pg.rules.Signal.TARGET})
        tier = pg.rules.Tier.GLOBAL

        def mix(self, agreed, proposed, measure, *, key):
            seen.update(proposed=proposed, accuracy=measure(proposed))
            return proposed

    rule = Replicas(SGD(rate=5.0), Spy(), replicas=2, measured=5)
    inputs, heard = rows(11), feedback(11, 2)
    with jax.disable_jit():
        state = rule.rest(rule.init(BODY, key=KEY), 11)
        state, _ = rule.predict(state, inputs, key=KEY)
        rule.adapt(rule.receive(state, heard, key=KEY), key=KEY)
    for k in range(2):
        h = np.asarray(inputs.values[6:])
        for layer, w in enumerate(seen["proposed"]):
            z = np.concatenate([h, np.ones((5, 1))], 1) @ np.asarray(w[k])
            h = np.maximum(z, 0.0) if layer == 0 else z
        right = (h.argmax(1) == np.asarray(heard.target.values[6:]).argmax(1)).mean()
        np.testing.assert_allclose(seen["accuracy"][k], right, atol=1e-6)


@pytest.mark.parametrize(("count", "k"), [(8, 4), (9, 4), (10, 4), (1, 3), (5, 7), (7, 1)])
def test_every_row_is_in_a_block_and_gets_the_mean_of_what_blocks_say(count, k):
    values = jnp.arange(float(count))[:, None]
    held = blocks.cut(values, k)
    assert held.shape == (k, blocks.size(count, k), 1)
    np.testing.assert_allclose(blocks.joined(held, count), values, rtol=1e-6)
    told = jnp.broadcast_to(jnp.arange(float(k))[:, None, None], held.shape)
    expected = [
        np.mean([i for i in range(k) for r in np.asarray(held[i, :, 0]) if r == row])
        for row in range(count)
    ]
    np.testing.assert_allclose(blocks.joined(told, count)[:, 0], expected, rtol=1e-6)


def test_it_reads_and_is_as_local_as_both_together():
    rule = Replicas(pg.rules.Hebb(), GatedAverage(), measured=3)
    assert rule.reads == {pg.rules.Signal.TARGET}
    assert rule.tier is pg.rules.Tier.GLOBAL
    assert Replicas("hebb", "ring").tier is pg.rules.Hebb().tier


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every` must be a positive whole number, got 0"),
        ({"replicas": 0}, "`replicas` must be a positive whole number, got 0"),
        ({"measured": -1}, "`measured` must be a positive whole number, got -1"),
        (
            {"mixing": "gated"},
            "`measured` must be positive, for GatedAverage mixes by accuracy",
        ),
        ({"rule": "sdg"}, "unknown rule 'sdg'; did you mean 'sgd'"),
        ({"mixing": "rnig"}, "unknown mixing 'rnig'; did you mean 'ring'"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        Replicas(**options)


def test_a_batch_of_measured_rows_alone_is_refused():
    rule = Replicas(mixing="gated", measured=8)
    with pytest.raises(ValueError, match="more than the 8 rows that are measured, got 8"):
        rule.rest(rule.init(BODY, key=KEY), 8)
