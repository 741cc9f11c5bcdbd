import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._base import AbstractRule
from ._gene import check_genes
from ._genome import named_leaves, with_leaves
from ._registry import Registry
from ._tensors import read_tensors, write_tensors

_FORMAT = "plasticgym genome 1"
_SUFFIX = ".safetensors"
_SHIPPED = Path(__file__).parent / "genomes"


class Genome(NamedTuple):
    """What a genome file says.

    `rule` and `options` rebuild the rule by its registered name; `values` are its array
    leaves by name, in natural units; `provenance` tells how it was found.
    """

    rule: str
    options: dict[str, Any]
    values: dict[str, np.ndarray]
    provenance: dict[str, Any]


def save_genome(
    path: str | os.PathLike,
    rule: AbstractRule,
    *,
    name: str,
    options: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Writes the array leaves of a rule to a safetensors file, all or nothing.

    Args:
        path: replaced if it exists.
        rule: the rule.
        name: the registered name that builds a rule of this structure.
        options: the options with which it does, JSON only.
        provenance: how the genome was found: command, seed, versions, problems, score.

    Raises:
        ValueError: if the options name another genome file: a file stands alone.
    """
    if _names_a_file(options or {}):
        raise ValueError(
            f"`options` must not name another genome, got {dict(options or {})}; give the "
            "options that are in that file."
        )
    told = {"rule": name, "options": dict(options or {}), "provenance": dict(provenance or {})}
    header = {"format": _FORMAT, **{key: json.dumps(value) for key, value in told.items()}}
    tensors = {key: np.asarray(leaf) for key, leaf in named_leaves(rule).items()}
    write_tensors(Path(path), tensors, header)


def read_genome(path: str | os.PathLike) -> Genome:
    """What a genome file says, checked for form; it is data only.

    Raises:
        ValueError: if the file is missing, damaged or not a genome of this version, or
            holds entries that are not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no genome file at {path}.")
    values, header = read_tensors(path)
    if header.get("format") != _FORMAT:
        raise ValueError(
            f"{path} is not a genome of this version: its format is "
            f"{header.get('format')!r}, not {_FORMAT!r}."
        )
    try:
        rule, options, provenance = (
            json.loads(header[key]) for key in ("rule", "options", "provenance")
        )
    except (KeyError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"the header of {path} is damaged: {error}.") from error
    if not isinstance(rule, str) or not isinstance(options, dict):
        raise ValueError(f"the header of {path} is damaged: it names no rule with options.")
    if not isinstance(provenance, dict):
        raise ValueError(f"the header of {path} is damaged: its provenance is no table.")
    if _names_a_file(options):
        raise ValueError(
            f"the header of {path} is damaged: it must stand alone, but its rule begins at "
            f"the genome {options['genome']!r}."
        )
    for key, value in values.items():
        if not np.isfinite(value).all():
            raise ValueError(f"`{key}` in {path} must be finite, got NaN or infinite entries.")
    return Genome(rule, options, values, provenance)


def load_genome(path: str | os.PathLike, expected: str | None = None) -> AbstractRule:
    """The rule that a genome file describes.

    Args:
        path: the file.
        expected: the registered name that its rule must have, if any.

    Raises:
        ValueError: if the file is no genome, is one of another rule than `expected`, or
            does not fit the rule that it names.
    """
    return described(read_genome(path), str(path), expected)


def described(found: Genome, source: str, expected: str | None = None) -> AbstractRule:
    """The rule that a genome file, read from `source`, describes; see `load_genome`."""
    from . import RULES  # the registry stands above the rules

    if expected is not None and found.rule != expected:
        raise ValueError(f"{source} holds a genome of {found.rule!r}, not of {expected!r}.")
    return fitted(RULES.make(found.rule, **found.options), found.values, source)


def shipped(name: str) -> AbstractRule:
    """A registered rule with the genome that comes with the package.

    Where there is none, the rule is as its defaults make it.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> type(pg.rules.shipped("blur")).__name__
        'Blur'

        ```
    """
    from . import RULES

    path = shipped_genome(name)
    return RULES.make(name) if path is None else load_genome(path, expected=name)


def origin(name: str, options: Mapping[str, Any]) -> Genome | None:
    """The genome file at which a rule built with these options begins, if at any.

    So of a builder that takes a genome by name: `genome=PATH` or `genome="shipped"`.

    Raises:
        ValueError: if there is no such file or it is no genome.
    """
    if not _names_a_file(options):
        return None
    if options["genome"] != "shipped":
        return read_genome(options["genome"])
    path = shipped_genome(name)
    return Genome(name, {}, {}, {}) if path is None else read_genome(path)


def _names_a_file(options: Mapping[str, Any]) -> bool:
    named = options.get("genome")
    return isinstance(named, str) and (named == "shipped" or Path(named).suffix == _SUFFIX)


def fitted(rule: AbstractRule, values: Mapping[str, np.ndarray | Array], source: str):
    """`rule` with array leaves from elsewhere, which must have its names and shapes."""
    leaves = named_leaves(rule)
    ours = {key: leaf.shape for key, leaf in leaves.items()}
    theirs = {key: value.shape for key, value in values.items()}
    if ours != theirs:
        raise ValueError(
            f"{source} does not fit {type(rule).__name__}: it holds {theirs}, "
            f"the rule has {ours}."
        )
    new = [jnp.asarray(values[key], leaf.dtype) for key, leaf in leaves.items()]
    rule = with_leaves(rule, new)
    try:
        check_genes(rule)
    except ValueError as error:
        raise ValueError(f"{source} does not fit {type(rule).__name__}: {error}") from error
    return rule


def shipped_genome(name: str) -> Path | None:
    """The genome of that rule that comes with the package, if any."""
    path = _SHIPPED / f"{name}{_SUFFIX}"
    return path if path.is_file() else None


def started(
    starts: Registry[AbstractRule], genome: str, options: Mapping[str, Any], *, expected: str
) -> AbstractRule:
    """The rule that a genome begins with: one by name, or a file, which takes no options.

    Raises:
        ValueError: if there is no such genome or it does not take the options.
    """
    if genome not in starts and Path(genome).suffix == _SUFFIX:
        if options:
            raise ValueError(f"a genome file takes no options, got {sorted(options)}.")
        return load_genome(genome, expected=expected)
    return starts.make(genome, **options)
