import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ._base import AbstractRule
from ._gene import Scale

_Rule = TypeVar("_Rule", bound=AbstractRule)


def gene_names(rule: AbstractRule) -> tuple[str, ...]:
    """One name per gene, in the order of the genome, such as `"forward[0, 1]"`.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.Adam())
        ('rate', 'decay', 'decay_squares', 'epsilon')

        ```
    """
    names = []
    for name, leaf, _ in _leaves(rule):
        shape = np.shape(leaf)
        names += [name + _subscript(index) for index in np.ndindex(*shape)]
    return tuple(names)


def genome(rule: AbstractRule) -> Float[Array, " genes"]:
    """The array leaves of a rule as one unconstrained vector, in gene units.

    Its inverse is [`with_genome`][plasticgym.rules.with_genome]; the size of a unit
    comes from [`gene`][plasticgym.rules.gene].
    """
    parts = [jnp.ravel(scale.encode(leaf)) for _, leaf, scale in _leaves(rule)]
    return jnp.concatenate(parts) if parts else jnp.zeros(0)


def with_genome(rule: _Rule, vector: Float[Array, " genes"]) -> _Rule:
    """The same rule with another genome. Constructs nothing, so it runs under `vmap`.

    Args:
        rule: gives the structure.
        vector: shape `(genes,)`, in gene units as [`genome`][plasticgym.rules.genome]
            returns them.

    Raises:
        ValueError: if `vector` has another length than the genome of `rule`, or is known
            not to be finite.
    """
    leaves = _leaves(rule)
    genes = sum(np.size(leaf) for _, leaf, _ in leaves)
    if np.shape(vector) != (genes,):
        raise ValueError(
            f"`vector` must have shape ({genes},), one entry per gene of "
            f"{type(rule).__name__}, got {np.shape(vector)}."
        )
    if not isinstance(vector, Tracer) and not np.isfinite(vector).all():
        raise ValueError("`vector` must be finite, got NaN or infinite entries.")
    values, start = [], 0
    for _, leaf, scale in leaves:
        stop = start + math.prod(np.shape(leaf))
        entries = jnp.reshape(vector[start:stop], np.shape(leaf))
        values.append(scale.decode(entries).astype(leaf.dtype))
        start = stop
    return with_leaves(rule, values)


def with_leaves(rule: _Rule, values: Sequence[Array]) -> _Rule:
    """The same rule with other array leaves, in the order of `named_leaves`."""
    arrays, static = eqx.partition(rule, eqx.is_inexact_array)
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(arrays), values), static)


def named_leaves(rule: AbstractRule) -> dict[str, Array]:
    """The array leaves of a rule by name, with their natural values."""
    return {name: leaf for name, leaf, _ in _leaves(rule)}


def _leaves(rule: AbstractRule) -> list[tuple[str, Array, Scale]]:
    arrays = eqx.filter(rule, eqx.is_inexact_array)
    paths, _ = jax.tree.flatten_with_path(arrays)
    return [(_name(path), leaf, _scale(rule, path)) for path, leaf in paths]


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _scale(rule: AbstractRule, path) -> Scale:
    """The scale that the innermost declared field on the way to a leaf gives it."""
    scale = Scale()
    node: Any = rule
    for key in path:
        if isinstance(key, jax.tree_util.GetAttrKey):
            if dataclasses.is_dataclass(node):
                fields = {field.name: field for field in dataclasses.fields(node)}
                scale = fields[key.name].metadata.get("gene", scale)
            node = getattr(node, key.name)
        elif isinstance(key, jax.tree_util.SequenceKey):
            node = node[key.idx]
        else:
            node = node[key.key]
    return scale


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
