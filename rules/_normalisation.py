import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import Body
from ._gene import check_genes, gene, real

_AXES = {"batch": -2, "neurons": -1}
_SMALL = 1e-5


@final
class Normalisation(eqx.Module):
    r"""Quantities of a layer brought to zero mean and unit variance, then scaled and shifted.

    $$\hat z^c = g_c\, \frac{z^c - \langle z^c \rangle}{\sqrt{\mathrm{var}(z^c) + 10^{-5}}}
      + s_c,$$

    for each state $c$ by itself, mean and variance taken over `axes`: `("neurons",)` is
    layer normalisation, which treats each example alone; `("batch",)` is batch
    normalisation, and `("batch", "neurons")` one mean and variance per state. The last
    two look at whatever examples are present, in a test as well; no running mean is kept.
    Only living neurons count.

    **Arguments:**

    - `gain`, `shift`: $g$ and $s$, shape `(k,)`.
    - `axes`: what is averaged over.

    **Raises:**

    - `ValueError`: if the shapes of `gain` and `shift` differ or `axes` names anything
      but the batch and the neurons.

    ??? cite "Reference"

        Ba, Kiros, Hinton, "Layer normalization", 2016; Ioffe, Szegedy, "Batch
        normalization", ICML 2015.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> unit = pg.rules.Normalisation(gain=[1.0, 1.0], shift=[0.0, 0.0])
        >>> z = 5.0 + jax.random.normal(jax.random.key(0), (2, 32, 100))
        >>> abs(float(unit(z, pg.rules.Body((100,)), 0).mean())) < 1e-5
        True

        ```
    """

    gain: Float[Array, " k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    shift: Float[Array, " k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    axes: tuple[str, ...] = eqx.field(static=True, default=("neurons",), converter=tuple)

    def __check_init__(self):
        if jnp.ndim(self.gain) != 1 or jnp.shape(self.gain) != jnp.shape(self.shift):
            raise ValueError(
                "`gain` and `shift` must be vectors with an entry per state, got shapes "
                f"{jnp.shape(self.gain)} and {jnp.shape(self.shift)}."
            )
        known = [p for n in (1, 2) for p in itertools.permutations(_AXES, n)]
        if self.axes not in known:
            raise ValueError(f"`axes` must be one of {known}, got {self.axes!r}.")
        check_genes(self)

    def __call__(
        self, z: Float[Array, "k batch n"], body: Body, layer: int
    ) -> Float[Array, "k batch n"]:
        """`z` of a layer of a body, normalised; what dead neurons get means nothing."""
        axes, alive = tuple(_AXES[name] for name in self.axes), None
        if body.alive is not None and "neurons" in self.axes:
            alive = (body.alive[layer] > 0)[None, None]
        mean = z.mean(axes, keepdims=True, where=alive)
        variance = jnp.square(z - mean).mean(axes, keepdims=True, where=alive)
        gain, shift = self.gain[:, None, None], self.shift[:, None, None]
        return (z - mean) * (gain * jax.lax.rsqrt(variance + _SMALL)) + shift
