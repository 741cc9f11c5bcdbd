from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, PyTree

from ._base import Body
from ._direction import AbstractDirection
from ._gene import gene, real
from ._past import Clock
from ._weights import Weights, living

_NEAR = 1e-3  # how far from the start the point is that the path leads away from


def _whole(value: ArrayLike) -> Array:
    return jnp.asarray(value, int)


@final
class AwayFromStart(AbstractDirection):
    r"""The path leads away from where it began, so that its ends differ: an ensemble.

    $$w \leftarrow w + \Delta + \epsilon\, \frac{w - s}{|w - s|}$$

    with $\Delta$ the step of the rule within, downhill on the distance from the frozen
    outputs, and $s$ a point near the weights at the end of the last task, in a random
    direction from them: paths of other seeds lead elsewhere, be it in the same life.

    **Arguments:**

    - `length`: $\epsilon$, a positive scalar, over all weights together.
    - `seed`: a whole number, folded into the key of the life.

    **Raises:**

    - `ValueError`: if `length` is not positive.

    ??? cite "Reference"

        Raghavan, Tharwat, Hari, Satani, Liu, Thomson, "Engineering flexible machine learning
        systems by traversing functionally invariant paths", Nature Machine Intelligence 2024.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> away = pg.rules.AwayFromStart(length=0.05, seed=3)
        >>> int(pg.rules.InvariantWalk("adam", away).direction.seed)
        3

        ```
    """

    length: Float[Array, ""] = eqx.field(default=0.03, converter=real, metadata=gene("log"))
    seed: Int[Array, ""] = eqx.field(default=0, converter=_whole)

    def init(self, weights: Weights) -> Weights:
        return tuple(jnp.zeros_like(w) for w in weights)

    def remember(
        self, kept: Weights, weights: Weights, *, body: Body, key: Key[Array, ""]
    ) -> Weights:
        keys = jax.random.split(jax.random.fold_in(key, self.seed), len(weights))
        draws = [
            jax.random.normal(k, w.shape) * lives
            for k, w, lives in zip(keys, weights, living(body), strict=True)
        ]
        near = _NEAR / _length(draws)
        return tuple(w - near * d for w, d in zip(weights, draws, strict=True))

    def step(
        self, before: Weights, after: Weights, kept: Weights, *, clock: Clock, body: Body
    ) -> Weights:
        away = [w - s for w, s in zip(before, kept, strict=True)]
        by = jnp.where(clock.ended > 0, self.length / _length(away), 0.0)
        return tuple(w + by * a for w, a in zip(after, away, strict=True))


def _length(weights: PyTree) -> Float[Array, ""]:
    """Of all blocks together."""
    return jnp.sqrt(sum(jnp.square(w).sum() for w in weights))
