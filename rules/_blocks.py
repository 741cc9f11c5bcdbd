"""Rows of a batch cut into equal blocks, one for each replica of a network.

Block $i$ of $k$ holds $b = \\lceil R / k \\rceil$ of $R$ rows, from row
$\\lfloor i\\, (R - b) / (k - 1) \\rfloor$ on: a partition where $k$ divides $R$; else
neighbours overlap, and where there are fewer rows than replicas some share a row.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree


def cut(tree: PyTree, replicas: int) -> PyTree:
    """Leaves of shape `(rows, ...)` as blocks, of shape `(replicas, b, ...)`."""

    def one(x: Array) -> Array:
        if x.shape[0] % replicas == 0:
            return x.reshape(replicas, -1, *x.shape[1:])
        return x[_held(x.shape[0], replicas)]

    return jax.tree.map(one, tree)


def joined(
    blocks: Float[Array, "replicas b outputs"], rows: int
) -> Float[Array, "rows outputs"]:
    """The inverse of `cut`; a row that several blocks hold gets the mean of them."""
    replicas, b, outputs = blocks.shape
    flat = blocks.reshape(replicas * b, outputs)
    if replicas * b == rows:
        return flat
    held = _held(rows, replicas).ravel()
    share = 1.0 / np.bincount(held, minlength=rows)[held]
    weighted = flat * jnp.asarray(share, flat.dtype)[:, None]
    return jnp.zeros((rows, outputs), flat.dtype).at[held].add(weighted)


def size(rows: int, replicas: int) -> int:
    """How many rows a block holds."""
    return -(-rows // replicas)


def _held(rows: int, replicas: int) -> Int[np.ndarray, "replicas b"]:
    """Which rows each block holds."""
    b = size(rows, replicas)
    starts = np.arange(replicas) * (rows - b) // max(replicas - 1, 1)
    return starts[:, None] + np.arange(b)[None]
