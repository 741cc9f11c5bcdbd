from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ._gene import real
from ._metadata import metadata
from ._mixing import AbstractMixing, Measure, alike, chosen
from ._signals import Signal, Tier

_FEATURES, _HIDDEN = 3, 8


def _newborn() -> Array:
    """Fixed numbers: no two learned mixings are born different."""
    drawn = np.random.default_rng([*b"mixing"]).normal(size=(_FEATURES + 1, _HIDDEN))
    return real(drawn / np.sqrt(_FEATURES + 1))


@final
class Learned(AbstractMixing):
    r"""Everybody gets a mean whose weights a small network reads off metadata:

    $$A_{kj} = \mathrm{softmax}_j\; v^T \tanh(U^T [m_j, 1])$$

    where $m_j$ is known of replica $j$: ten times its accuracy on the measured rows minus
    that of all at the last mixing, the logarithm of the norm of its $D_j$ over the mean
    norm, and the cosine of $D_j$ to the mean of all. The network does not know who is who.

    Its genes are to be trained, by [`MetaGradient`][plasticgym.agents.MetaGradient] or
    [`Evolution`][plasticgym.agents.Evolution]; as it comes it is
    [`Average`][plasticgym.rules.Average].

    **Arguments:**

    - `first`: $U$, of shape `(4, hidden)`.
    - `second`: $v$, of shape `(hidden,)`.

    **Raises:**

    - `ValueError`: if the shapes do not fit.

    ??? cite "Reference"

        Sun, "Meta learning in decentralized neural networks: towards more general AI",
        arXiv 2302.01020, 2023.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.Replicas("sgd", pg.rules.Learned(), measured=20)
        >>> pg.rules.genome(rule).shape
        (41,)

        ```
    """

    first: Float[Array, "features hidden"] = eqx.field(default_factory=_newborn, converter=real)
    second: Float[Array, " hidden"] = eqx.field(
        default_factory=lambda: jnp.zeros(_HIDDEN), converter=real
    )

    def __check_init__(self):
        shapes = (jnp.shape(self.first), jnp.shape(self.second))
        if shapes[0] != (_FEATURES + 1, *shapes[1]):
            raise ValueError(
                f"`first` must have shape ({_FEATURES + 1}, hidden) and `second` (hidden,), "
                f"got {shapes[0]} and {shapes[1]}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.TARGET})

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        known, sound = metadata(agreed, proposed, measure)
        known = jnp.concatenate([known, jnp.ones_like(known[:, :1])], 1)
        logits = jnp.tanh(known @ self.first) @ self.second
        # Whoever is no longer finite has no share, whatever the genes say.
        shares = jnp.where(sound, jnp.exp(logits - logits.max()), 0.0)
        shares = shares / jnp.maximum(shares.sum(), jnp.finfo(shares.dtype).tiny)
        kept = chosen(sound, proposed, agreed)
        mean = alike(jax.tree.map(lambda w: jnp.tensordot(shares, w, 1), kept), proposed)
        return chosen(jnp.broadcast_to(sound.any(), sound.shape), mean, agreed)
