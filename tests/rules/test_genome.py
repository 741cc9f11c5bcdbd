"""Scales of genes, and their names in rules that are nested."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import plasticgym as pg
from plasticgym.rules import (
    SGD,
    Adam,
    gene,
    gene_names,
    genome,
    named_leaves,
    real,
    with_genome,
)


class Scaled(eqx.Module):
    """A gene of each scale."""

    plain: Float[Array, " n"] = eqx.field(converter=real, metadata=gene(unit=0.5))
    positive: Float[Array, ""] = eqx.field(converter=real, metadata=gene("log", unit=2.0))
    share: Float[Array, ""] = eqx.field(converter=real, metadata=gene("logit"))
    either: Float[Array, " m"] = eqx.field(converter=real, metadata=gene("asinh"))
    bare: Float[Array, ""] = eqx.field(converter=jnp.asarray)


@final
class Combined(pg.rules.AbstractRule):
    """A rule around others, as combinators are."""

    parts: tuple[SGD, dict]
    scaled: Scaled
    label: str = eqx.field(static=True, default="x")

    reads = frozenset()
    tier = pg.rules.Tier.GLOBAL
    init = rest = predict = receive = adapt = None


@pytest.fixture
def combined():
    scaled = Scaled(np.array([1.0, -2.0]), 3.0, 0.25, [-50.0, 0.0], 7.0)
    return Combined((SGD(rate=0.5), {"slow": SGD(rate=0.1)}), scaled)


def test_scales_encode_as_documented(combined):
    expected = {
        "parts.0.rate": np.log(0.5),
        "parts.1.slow.rate": np.log(0.1),
        "scaled.plain[0]": 1.0 / 0.5,
        "scaled.plain[1]": -2.0 / 0.5,
        "scaled.positive": np.log(3.0) / 2.0,
        "scaled.share": np.log(0.25 / 0.75),
        "scaled.either[0]": -np.log(1e5),
        "scaled.either[1]": 0.0,
        "scaled.bare": 7.0,
    }
    assert gene_names(combined) == tuple(expected)
    np.testing.assert_allclose(genome(combined), list(expected.values()), rtol=1e-6)


def test_leaves_carry_natural_values(combined):
    leaves = named_leaves(combined)
    assert float(leaves["scaled.positive"]) == 3.0
    np.testing.assert_allclose(leaves["scaled.plain"], [1.0, -2.0])


def test_a_step_of_one_is_one_unit(combined):
    far = with_genome(combined, genome(combined) + 1.0)
    np.testing.assert_allclose(far.scaled.plain, [1.5, -1.5], rtol=1e-6)
    np.testing.assert_allclose(far.scaled.positive, 3.0 * np.exp(2.0), rtol=1e-5)
    np.testing.assert_allclose(far.scaled.share, 1 / (1 + 3 / np.e), rtol=1e-5)
    np.testing.assert_allclose(far.scaled.either, [-50 / np.e, 1e-3 * np.sinh(1)], rtol=1e-5)
    np.testing.assert_allclose(far.scaled.bare, 8.0)
    np.testing.assert_allclose(far.parts[1]["slow"].rate, 0.1 * np.e, rtol=1e-5)
    assert far.label == "x"


def test_a_population_is_a_stack_of_vectors(combined):
    stack = genome(combined)[None] + jnp.arange(3.0)[:, None]
    rates = jax.vmap(lambda v: with_genome(combined, v).parts[0].rate)(stack)
    np.testing.assert_allclose(rates, 0.5 * np.exp([0.0, 1.0, 2.0]), rtol=1e-5)


def test_genomes_can_be_differentiated():
    slope = jax.grad(lambda v: with_genome(SGD(rate=0.5), v).rate)(genome(SGD(rate=0.5)))
    np.testing.assert_allclose(slope, [0.5], rtol=1e-6)


def test_integers_are_no_genes():
    class Clocked(SGD.__mro__[1]):
        ticks: Array = eqx.field(converter=jnp.asarray, default=3)
        rate: Array = eqx.field(default=0.5, converter=real, metadata=gene())
        reads = frozenset()
        tier = pg.rules.Tier.GLOBAL
        init = rest = predict = receive = adapt = None

    assert gene_names(Clocked()) == ("rate",)
    assert int(with_genome(Clocked(), jnp.ones(1)).ticks) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": "exp"}, '`scale` must be "linear", "log", "logit" or "asinh", got \'exp\''),
        ({"unit": 0.0}, "`unit` must be positive, got 0.0"),
        ({"unit": -1.0}, "`unit` must be positive, got -1.0"),
        ({"unit": float("nan")}, "`unit` must be positive, got nan"),
    ],
)
def test_what_is_no_scale_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        gene(**options)


def test_a_genome_of_another_rule_is_refused():
    with pytest.raises(ValueError, match=r"one entry per gene of SGD, got \(4,\)"):
        with_genome(SGD(), genome(Adam()))


def test_several_numbers_for_one_gene_are_refused(unchecked):
    with pytest.raises(ValueError, match=r"`rate` must be one number, got shape \(2,\)"):
        SGD(rate=(0.1, 0.2))
