from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key, PyTree

from ._gene import real
from ._mixing import AbstractMixing, Measure, combined
from ._signals import Tier

_CLOSE = 1e-4  # how far from 1 a sum of single precision may be


def _matrix(value: ArrayLike | Sequence[Sequence[float]]) -> Array:
    try:
        return real(np.asarray(value))
    except ValueError as error:
        raise ValueError(
            f"`matrix` must be rows of numbers, all of one length, got {value!r}."
        ) from error


@final
class Ring(AbstractMixing):
    r"""Everybody averages with two neighbours:
    $W_k \leftarrow \frac{1}{3} (W_{k-1} + W_k + W_{k+1})$, indices modulo $K$.

    News travels one place at a time, so that replicas need not agree.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Ring().tier)
        'activity'

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        mean = lambda w: (jnp.roll(w, 1, 0) + w + jnp.roll(w, -1, 0)) / 3.0  # noqa: E731
        return jax.tree.map(mean, proposed)


@final
class Gossip(AbstractMixing):
    r"""Everybody hears from everybody as a matrix says: $W_k \leftarrow \sum_j A_{kj} W_j$.

    The entries are genes: whatever they become, $A_{kj} = |a_{kj}| / \sum_i |a_{ki}|$.

    **Arguments:**

    - `matrix`: $a$, of shape `(replicas, replicas)`; entries not negative, rows sum to 1.

    **Raises:**

    - `ValueError`: if the matrix is not square, an entry is negative or a row does not sum
      to 1; in [`Replicas`][plasticgym.rules.Replicas], if there are more or fewer of them.

    ??? cite "Reference"

        Boyd, Ghosh, Prabhakar, Shah, "Randomized gossip algorithms", IEEE Transactions on
        Information Theory 2006.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Gossip([[0.5, 0.5], [0.0, 1.0]]).matrix.shape
        (2, 2)

        ```
    """

    matrix: Float[Array, "replicas replicas"] = eqx.field(converter=_matrix)

    def __check_init__(self):
        matrix = np.asarray(self.matrix)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"`matrix` must be square, got shape {matrix.shape}.")
        if not (matrix >= 0).all():
            raise ValueError(f"`matrix` must have no negative entry, got {matrix.min()}.")
        wrong = np.flatnonzero(np.abs(matrix.sum(1) - 1.0) > _CLOSE)
        if wrong.size:
            raise ValueError(
                f"`matrix` must have rows that sum to 1; divide row {wrong[0]} by its sum "
                f"{matrix[wrong[0]].sum():g}."
            )

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def check(self, replicas: int) -> None:
        if self.matrix.shape[0] != replicas:
            raise ValueError(
                f"`matrix` must have a row for each of {replicas} replicas, got "
                f"{self.matrix.shape[0]}."
            )

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        sizes = jnp.abs(self.matrix)
        return combined(sizes / sizes.sum(1, keepdims=True), proposed)
