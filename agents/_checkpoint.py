from collections.abc import Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..envs import AbstractProblem
from ..rules import AbstractRule
from ..rules._tensors import read_tensors, write_tensors
from ._base import AbstractAgent, Search
from ._train import History, begin


def save_checkpoint(path: Path, header: dict[str, str], search: Search, history: History):
    """Writes where a search stands, all or nothing; the header says whose it is."""
    tensors = {f"search{name}": leaf for name, leaf in _leaves(search).items()}
    tensors |= {f"history.{name}": row for name, row in history._asdict().items()}
    write_tensors(path, tensors, header)


def load_checkpoint(
    path: Path,
    header: dict[str, str],
    start: tuple[AbstractAgent, AbstractRule, Sequence[AbstractProblem]],
) -> tuple[Search, History]:
    """Where the search stood that began with these agent, rule and problems.

    Raises:
        ValueError: if the file is damaged, has another header or does not fit them.
    """
    try:
        found, theirs = read_tensors(path)
    except ValueError as error:
        raise ValueError(
            f"the checkpoint {path} is damaged; begin a new run: {error}"
        ) from error
    if theirs != header:
        raise ValueError(f"the checkpoint {path} belongs to another run or version.")
    like = eqx.filter_eval_shape(begin, *start, seed=0)
    paths, structure = jax.tree.flatten_with_path(like)
    expected = {f"search{jax.tree_util.keystr(p)}": leaf for p, leaf in paths}
    missing = (expected.keys() | {f"history.{n}" for n in History._fields}) ^ found.keys()
    if missing:
        raise ValueError(f"the checkpoint {path} does not fit this version: {sorted(missing)}.")
    leaves = [_leaf(f"`{n}` in {path}", found[n], like) for n, like in expected.items()]
    history = History(*(found[f"history.{name}"] for name in History._fields))
    return jax.tree.unflatten(structure, leaves), history


def _leaf(name: str, value: np.ndarray, like: jax.ShapeDtypeStruct) -> jax.Array:
    is_key = _is_key(like)
    shape = jax.eval_shape(jax.random.key_data, like).shape if is_key else like.shape
    if value.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {value.shape}.")
    array = jnp.asarray(value)
    return jax.random.wrap_key_data(array) if is_key else array


def _leaves(search: Search) -> dict[str, np.ndarray]:
    named = {}
    for path, leaf in jax.tree.flatten_with_path(search)[0]:
        data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        named[jax.tree_util.keystr(path)] = np.asarray(data)
    return named


def _is_key(leaf: jax.Array | jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
