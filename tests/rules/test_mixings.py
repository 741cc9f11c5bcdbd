"""What mixings make of weights, on a few numbers, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import AbstractMixing, Tier
from plasticgym.rules._named_mixing import MIXINGS, named_mixing

KEY = jax.random.key(0)
REPLICAS = 5
OPTIONS = {"gossip": {"matrix": np.full((REPLICAS, REPLICAS), 1 / REPLICAS).tolist()}}
rng = np.random.default_rng(0)
PROPOSED = {"w": rng.normal(size=(REPLICAS, 3, 2)), "v": rng.normal(size=(REPLICAS, 4))}
PROPOSED = {name: x.astype(np.float32) for name, x in PROPOSED.items()}
AGREED = {name: np.zeros_like(x) for name, x in PROPOSED.items()}


def mixed(mixing: AbstractMixing, *, accuracy=(0.5,) * REPLICAS, agreed=0.5, proposed=PROPOSED):
    """What becomes of the weights, if they have these accuracies."""
    given = jax.tree.map(jnp.asarray, (AGREED, proposed))

    def measure(weights):
        old = weights is given[0]
        return jnp.full(REPLICAS, agreed) if old else jnp.asarray(accuracy, float)

    return mixing.mix(*given, measure, key=KEY)


def assert_close(found, expected):
    for name, x in expected.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-5, atol=1e-6)


def to_all(function, proposed=PROPOSED):
    """Everybody gets the same."""
    return {k: np.broadcast_to(function(x)[None], x.shape) for k, x in proposed.items()}


@pytest.fixture(params=list(MIXINGS))
def mixing(request) -> AbstractMixing:
    return MIXINGS.make(request.param, **OPTIONS.get(request.param, {}))


def test_it_keeps_shapes_and_says_how_local_it_is(mixing):
    after = mixed(mixing)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(np.shape, PROPOSED)
    assert isinstance(mixing.tier, Tier)


def test_who_agree_stay_agreed(mixing):
    """Weights that are all alike are what they were, whoever mixes them."""
    alike = to_all(lambda x: x[0])
    assert_close(mixed(mixing, proposed=alike), alike)


def test_they_mix_as_they_say():
    assert_close(mixed(pg.rules.Average()), to_all(lambda x: x.mean(0)))
    assert_close(mixed(pg.rules.Median()), to_all(lambda x: np.median(x, 0)))
    inner = to_all(lambda x: np.sort(x, 0)[1:-1].mean(0))
    assert_close(mixed(pg.rules.TrimmedMean(1)), inner)
    around = {k: (np.roll(x, 1, 0) + x + np.roll(x, -1, 0)) / 3 for k, x in PROPOSED.items()}
    assert_close(mixed(pg.rules.Ring()), around)
    assert_close(mixed(pg.rules.Alone()), PROPOSED)


def test_gossip_is_a_product_with_its_matrix():
    matrix = rng.random((REPLICAS, REPLICAS))
    matrix = matrix / matrix.sum(1, keepdims=True)
    expected = {k: np.tensordot(matrix, x, 1) for k, x in PROPOSED.items()}
    assert_close(mixed(pg.rules.Gossip(matrix)), expected)


def test_its_matrix_has_rows_that_sum_to_one_whatever_its_genes():
    mixing = pg.rules.Gossip(np.eye(REPLICAS))
    rule = pg.rules.Replicas(mixing=mixing, replicas=REPLICAS)
    far = pg.rules.with_genome(rule, 3.0 * jax.random.normal(KEY, pg.rules.genome(rule).shape))
    alike = to_all(lambda x: x[0])
    assert_close(mixed(far.mixing, proposed=alike), alike)


def test_a_part_is_the_mean_of_so_many():
    after = mixed(pg.rules.Partial(0.3))["v"][0]  # two of five
    pairs = [(a + b) / 2 for a in PROPOSED["v"] for b in PROPOSED["v"] if a is not b]
    assert any(np.allclose(after, pair, atol=1e-6) for pair in pairs)


def test_krum_takes_one_that_is_near_the_others():
    far = {k: np.concatenate([x[:-1] * 0.1, x[-1:] + 50.0]) for k, x in PROPOSED.items()}
    after = np.asarray(mixed(pg.rules.Krum(1), proposed=far)["v"])
    assert any(np.allclose(after, x[None], atol=1e-5) for x in far["v"][:-1])


def test_a_gate_averages_those_that_do_no_harm():
    after = mixed(pg.rules.GatedAverage(), accuracy=(0.48, 0.46, 0.9, 0.0, 0.5))
    assert_close(after, to_all(lambda x: x[[0, 2, 4]].mean(0)))


def test_a_gate_that_accepts_nobody_keeps_what_was_agreed():
    assert_close(mixed(pg.rules.GatedAverage(), accuracy=(0.1,) * REPLICAS), AGREED)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_a_gate_rejects_may_be_anything(bad):
    broken = {k: np.concatenate([x[:-1], x[-1:] * bad]) for k, x in PROPOSED.items()}
    after = mixed(pg.rules.GatedAverage(), accuracy=(0.5, 0.5, 0.5, 0.5, 0.0), proposed=broken)
    assert_close(after, to_all(lambda x: x[:-1].mean(0)))


def test_segments_are_those_behind_and_the_others():
    after = mixed(pg.rules.Segmented(), accuracy=(0.9, 0.9, 0.2, 0.9, 0.3))
    for name, x in PROPOSED.items():
        expected = np.empty_like(x)
        for group in ([0, 1, 3], [2, 4]):
            expected[group] = x[group].mean(0)
        np.testing.assert_allclose(after[name], expected, atol=1e-6)


def test_a_poisoned_update_goes_the_other_way():
    after = mixed(pg.rules.Poisoned(pg.rules.Alone(), bad=2, scale=3.0))
    for name, x in PROPOSED.items():
        np.testing.assert_allclose(after[name][:-2], x[:-2], atol=1e-6)
        np.testing.assert_allclose(after[name][-2:], -3.0 * x[-2:], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("averge", "unknown mixing 'averge'; did you mean 'average'"),
        ("gated(tolerance=0)", "`tolerance` must be positive, got 0"),
        ("segmented(margin=-1)", "`margin` must be positive, got -1"),
        ("partial(share=1.5)", r"`share` must lie strictly in \(0, 1\), got 1.5"),
        ("trimmed-mean(cut=0)", "`cut` must be a positive whole number, got 0"),
        ("krum(bad=0)", "`bad` must be a positive whole number, got 0"),
        ("gossip(matrix=((0.5, 0.5), (0.5, 0.4)))", "divide row 1 by its sum 0.9"),
        ("gossip(matrix=((1.5, -0.5), (0.5, 0.5)))", "no negative entry, got -0.5"),
        ("gossip(matrix=((1.0, 0.0),))", r"must be square, got shape \(1, 2\)"),
        ("gossip(matrix=((1.0,), (0.5, 0.5)))", "must be rows of numbers, all of one length"),
        ("average(3)", "must read like name"),
        (3, "`mixing` must be a part or text that names one of alone, average"),
        (pg.rules.Average, "`mixing` must be a part or text"),
    ],
)
def test_what_does_not_fit_is_refused(text, message, unchecked):
    with pytest.raises(ValueError, match=message):
        named_mixing(text)


@pytest.mark.parametrize(
    ("mixing", "message"),
    [
        (pg.rules.TrimmedMean(3), "`cut` must be less than half of 5 replicas, got 3"),
        (pg.rules.Krum(3), "`bad` must be at most 5 replicas minus 3, got 3"),
        (pg.rules.Poisoned("average", bad=6), "`bad` must be at most 5 replicas"),
        (pg.rules.Poisoned("krum(bad=3)"), "`bad` must be at most 5 replicas minus 3, got 3"),
        (pg.rules.Gossip(np.eye(2)), "a row for each of 5 replicas, got 2"),
    ],
)
def test_what_does_not_fit_so_many_replicas_is_refused(mixing, message):
    """When built, not when they first mix, in the middle of a life."""
    with pytest.raises(ValueError, match=message):
        pg.rules.Replicas(mixing=mixing, replicas=REPLICAS)
