import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

_SMALL = 1e-3  # where the scale "asinh" goes over from linear to logarithmic


class Scale(NamedTuple):
    """How a value becomes entries of a genome: by a bijection, in steps of a unit."""

    name: Literal["linear", "log", "logit", "asinh"] = "linear"
    unit: float = 1.0

    def encode(self, value: Float[Array, "..."]) -> Float[Array, "..."]:
        """The value in gene units."""
        if self.name == "log":
            value = jnp.log(value)
        elif self.name == "logit":
            value = jnp.log(value) - jnp.log1p(-value)
        elif self.name == "asinh":
            value = jnp.arcsinh(value / _SMALL)
        return value / self.unit

    def decode(self, entry: Float[Array, "..."]) -> Float[Array, "..."]:
        """The inverse of `encode`, rounded to what lies strictly within its range."""
        value, limits = entry * self.unit, jnp.finfo(entry.dtype)
        if self.name == "log":
            return jnp.clip(jnp.exp(value), limits.tiny, limits.max)
        if self.name == "logit":
            return jnp.clip(jax.nn.sigmoid(value), limits.tiny, 1.0 - limits.epsneg)
        if self.name == "asinh":
            return _SMALL * jnp.clip(jnp.sinh(value), limits.min, limits.max)
        return value


def real(value: ArrayLike | Sequence[float]) -> Array:
    """A real array, of the default precision: the converter of genes.

    Args:
        value: a number, or an array or nested sequence of them.

    Returns:
        An array of the same shape.

    !!! example

        ```python
        >>> import equinox as eqx
        >>> import jax
        >>> from plasticgym.rules import gene, real
        >>> class Decay(eqx.Module):
        ...     rate: jax.Array = eqx.field(converter=real, metadata=gene("log"))
        >>> float(Decay(rate=2).rate)
        2.0

        ```
    """
    return jnp.asarray(value, dtype=float)


def real_or_none(value: ArrayLike | Sequence[float] | None) -> Array | None:
    """The converter of a gene that need not be there."""
    return None if value is None else real(value)


def gene(
    scale: Literal["linear", "log", "logit", "asinh"] = "linear", *, unit: float = 1.0
) -> dict[str, Scale]:
    r"""Metadata of a field of a rule that say how far one natural step of its genes is.

    With $u$ the unit, a gene of value $v$ stands in the genome as $v / u$ on a linear
    scale, as $\log(v) / u$ on a logarithmic one, as $\log(v / (1 - v)) / u$ on a logit one,
    and as $\mathrm{arsinh}(v / 0.001) / u$ on one that is logarithmic at both signs. So the
    genome is unconstrained, positive things stay positive, and a step of 1 is a natural one
    everywhere. A field without it counts as linear, with unit 1.

    Args:
        scale: `"linear"`, `"log"` for what must stay positive, `"logit"` for what must
            stay between 0 and 1, `"asinh"` for what may be small or large and of either
            sign; the value is checked when a rule is built.
        unit: the size of one step: of the value, its logarithm or its logit.

    Returns:
        The `metadata` of an `equinox.field`.

    Raises:
        ValueError: if `scale` is unknown or `unit` is not positive.

    !!! example

        ```python
        rate: Float[Array, ""] = eqx.field(converter=real, metadata=gene("log"))
        ```
    """
    if scale not in ("linear", "log", "logit", "asinh"):
        raise ValueError(f'`scale` must be "linear", "log", "logit" or "asinh", got {scale!r}.')
    if not unit > 0:
        raise ValueError(f"`unit` must be positive, got {unit}.")
    return {"gene": Scale(scale, unit)}


def check_genes(module: eqx.Module) -> None:
    """Raises a `ValueError` if a gene of a module, or of its parts, is out of its range."""
    for field in dataclasses.fields(module):
        scale = field.metadata.get("gene")
        value: Any = getattr(module, field.name)
        for part in jax.tree.leaves(value, is_leaf=lambda x: isinstance(x, eqx.Module)):
            if isinstance(part, eqx.Module):
                check_genes(part)
        if scale is not None:
            for leaf in jax.tree.leaves(value):  # several in a dictionary, none in None
                _check_gene(field, scale, leaf)


def _check_gene(field: dataclasses.Field, scale: Scale, value: Any) -> None:
    if isinstance(value, Tracer):
        return
    if getattr(field.type, "dims", None) == () and np.ndim(value) != 0:
        raise ValueError(f"`{field.name}` must be one number, got shape {np.shape(value)}.")
    if not np.isfinite(value).all():
        raise ValueError(f"`{field.name}` must be finite, got {value}.")
    if scale.name == "log" and not (value > 0).all():
        raise ValueError(f"`{field.name}` must be positive, got {value}.")
    if scale.name == "logit" and not ((value > 0) & (value < 1)).all():
        raise ValueError(f"`{field.name}` must lie strictly in (0, 1), got {value}.")
