r"""A formula of one synapse, as a sum of products that matrix products average over rows.

With $f$ of the pre neuron, $g$ of the post neuron and $h$ of the synapse alone, the mean
over the rows $b$ of $f(x_{bi})\, g(y_{bj})\, h(w_{ij})$ is
$h(W) \odot f(X)^T g(Y) / B$. Only a product with a factor that mixes them is computed for
every row and synapse.
"""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._formula import Node, Operation, names, value

PRE, POST, SYNAPSE, GENE, MIXED = "pre", "post", "synapse", "gene", "mixed"
SIDES = {
    "pre": PRE,
    "post": POST,
    "error": POST,
    "reward": POST,  # it is the same for all neurons of a row
    "target": POST,
    "weight": SYNAPSE,
}
_MOST = 64

Known = Mapping[str, Float[Array, "..."]]


class Product(NamedTuple):
    """A sign and factors, each with the side it is a function of."""

    sign: float
    factors: tuple[tuple[str, Node], ...]

    def of(self, side: str) -> tuple[Node, ...]:
        """The factors on one side."""
        return tuple(node for where, node in self.factors if where == side)


def side(node: Node, sides: Mapping[str, str]) -> str:
    """What a tree is a function of; genes are known everywhere."""
    found = {sides[name] for name in names(node) if name in sides}
    return found.pop() if len(found) == 1 else MIXED if found else GENE


def products(node: Node, sides: Mapping[str, str]) -> tuple[Product, ...]:
    """The products of which a tree is the sum, at most 64; a factor that mixes, if need be."""
    where = side(node, sides)
    if where != MIXED or not isinstance(node, Operation):
        return (Product(1.0, ((where, node),)),)
    sums = _expanded(node, sides)
    if sums is None or len(sums) > _MOST:
        return (Product(1.0, ((MIXED, node),)),)
    return sums


def _expanded(node: Operation, sides: Mapping[str, str]) -> tuple[Product, ...] | None:
    first, *others = node.to
    left = products(first, sides)
    match node.does, others:
        case "negative", []:
            return _negated(left)
        case "+", [other]:
            return left + products(other, sides)
        case "-", [other]:
            return left + _negated(products(other, sides))
        case "*", [other]:
            return _times(left, products(other, sides))
        case "/", [other]:
            return _times(left, _to_the(products(other, sides), -1))
        case "**", [int() as exponent]:
            return _to_the(left, exponent)
    return None


def _negated(terms: tuple[Product, ...]) -> tuple[Product, ...]:
    return tuple(Product(-term.sign, term.factors) for term in terms)


def _times(left: tuple[Product, ...] | None, right: tuple[Product, ...] | None):
    if left is None or right is None or len(left) * len(right) > _MOST:
        return None
    pairs = itertools.product(left, right)
    return tuple(Product(a.sign * b.sign, a.factors + b.factors) for a, b in pairs)


def _to_the(terms: tuple[Product, ...], exponent: int) -> tuple[Product, ...] | None:
    if len(terms) == 1:
        (term,) = terms
        powers = tuple((w, Operation("**", (node, exponent))) for w, node in term.factors)
        return (Product(term.sign**exponent, powers),)
    if exponent < 1:
        return None if exponent else (Product(1.0, ()),)
    return functools.reduce(_times, [terms] * exponent)


def mean_over_rows(
    terms: tuple[Product, ...], known: Known, sides: Mapping[str, str]
) -> Float[Array, "_pre _post"]:
    """The mean over rows of a sum of products, for every synapse of a block.

    Args:
        terms: the products.
        known: the values of all names: of shape `(batch, pre)` on the side of pre,
            `(batch, post)` on that of post, `(pre, post)` on that of the synapse, and
            scalars for genes; `pre`, `post` and `weight` among them.
        sides: the side of each name that is no gene.
    """
    total = jnp.zeros_like(known["weight"])
    for (pre, synapse), group in _grouped(term for term in terms if not term.of(MIXED)).items():
        rows: Any = sum(
            term.sign * _product(term.of(GENE) + term.of(POST), known) for term in group
        )
        total = total + _mean(pre, rows, known) * _product(synapse, known)
    mixing = [term for term in terms if term.of(MIXED)]
    if mixing:
        spread = {name: _spread(array, sides.get(name, GENE)) for name, array in known.items()}
        rows: Any = sum(
            t.sign * _product(tuple(n for _, n in t.factors), spread) for t in mixing
        )
        total = total + rows.mean(0)
    return total


def _grouped(terms) -> dict[tuple, list[Product]]:
    """Terms by their factors of pre and synapse: one matrix product serves each group."""
    groups: dict[tuple, list[Product]] = {}
    for term in terms:
        groups.setdefault((term.of(PRE), term.of(SYNAPSE)), []).append(term)
    return groups


def _mean(pre: tuple[Node, ...], rows: Any, known: Known) -> Any:
    """The mean over rows of factors of pre times what the rows of post say."""
    by_row = jnp.ndim(rows) == 2
    if not pre:
        return rows.mean(0)[None] if by_row else rows
    f = _product(pre, known)
    if not by_row:
        return f.mean(0)[:, None] * rows
    return (f.T @ rows) / f.shape[0]


def _product(factors: tuple[Node, ...], known: Known) -> Any:
    return math.prod((value(factor, known) for factor in factors), start=1.0)


def _spread(array: Float[Array, "..."], where: str) -> Float[Array, "..."]:
    """An array of one side with the axes (batch, pre, post)."""
    axis = {PRE: 2, POST: 1, SYNAPSE: 0}.get(where)
    return array if axis is None else jnp.expand_dims(array, axis)
