"""What the genome of every registered rule keeps to; no branch on a member's name."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import genome, with_genome

KEY = jax.random.key(0)


@pytest.fixture(params=list(pg.rules.RULES))
def rule(request) -> pg.rules.AbstractRule:
    return pg.rules.make(request.param)


def shapes(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def test_the_genome_makes_the_round_trip(rule):
    vector = genome(rule)
    assert vector.ndim == 1
    assert vector.size > 0
    again = with_genome(rule, vector)
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    assert shapes(again) == shapes(rule)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(rule), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)
    moved = vector + jax.random.normal(KEY, vector.shape)
    np.testing.assert_allclose(genome(with_genome(rule, moved)), moved, rtol=1e-4, atol=1e-4)


def test_every_gene_has_a_name_of_its_own(rule):
    names = pg.rules.gene_names(rule)
    assert len(names) == genome(rule).size
    assert len(set(names)) == len(names)


def test_a_gene_moves_the_leaf_of_its_name(rule):
    """The first and the last of each leaf: there may be thousands."""
    vector, before = genome(rule), pg.rules.named_leaves(rule)
    leaves = [name.partition("[")[0] for name in pg.rules.gene_names(rule)]
    first = {leaf: i for i, leaf in reversed([*enumerate(leaves)])}
    last = {leaf: i for i, leaf in enumerate(leaves)}
    for leaf, i in [*first.items(), *last.items()]:
        after = pg.rules.named_leaves(with_genome(rule, vector.at[i].add(1.0)))
        assert [k for k in before if not np.allclose(before[k], after[k], rtol=1e-4)] == [leaf]


def scaled(module):
    """Name, scale and value of every gene of a module and of its parts."""
    for field in dataclasses.fields(module):
        value, scale = getattr(module, field.name), field.metadata.get("gene")
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, eqx.Module):
                yield from scaled(part)
        if scale is not None:
            for leaf in jax.tree.leaves(value):
                yield field.name, scale.name, leaf


@pytest.mark.parametrize("size", [30.0, 1e3, 1e30])
def test_no_genome_leaves_the_range_of_its_scales(rule, size):
    draws = jax.random.normal(KEY, genome(rule).shape)
    for vector in (size * draws, jnp.full_like(draws, size), jnp.full_like(draws, -size)):
        far = with_genome(rule, vector)
        genes = list(scaled(far))
        assert sum(value.size for *_, value in genes) == vector.size
        # What was built from such values would have been refused.
        for name, scale, value in genes:
            assert np.isfinite(value).all() or scale == "linear"
            if scale in ("log", "logit"):
                assert (np.asarray(value) > 0).all(), name
            if scale == "logit":
                assert (np.asarray(value) < 1).all(), name


def test_a_genome_of_the_wrong_length_is_refused(rule):
    vector = genome(rule)
    for wrong in (vector[:-1], jnp.append(vector, 0.0), vector[:0]):
        with pytest.raises(ValueError, match=rf"`vector` must have shape \({vector.size},\)"):
            with_genome(rule, wrong)


def test_a_genome_of_the_wrong_rank_is_refused(rule, unchecked):
    vector = genome(rule)
    with pytest.raises(ValueError, match=r"`vector` must have shape .* got \(1, "):
        with_genome(rule, vector[None])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_genome_that_is_not_finite_is_refused(rule, bad):
    with pytest.raises(ValueError, match="`vector` must be finite"):
        with_genome(rule, genome(rule).at[-1].set(bad))
