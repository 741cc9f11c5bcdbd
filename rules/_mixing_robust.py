from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ._check_sizes import check_sizes
from ._mixing import AbstractMixing, Measure, alike, replicas_of, rows_as_vectors
from ._signals import Tier


@final
class Median(AbstractMixing):
    """Everybody gets, of each weight by itself, the median over replicas.

    ??? cite "Reference"

        Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning: towards
        optimal statistical rates", ICML 2018.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Median().tier)
        'activity'

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        return alike(jax.tree.map(lambda w: jnp.median(w, 0), proposed), proposed)


@final
class TrimmedMean(AbstractMixing):
    """Everybody gets, of each weight by itself, the mean without the extremes.

    **Arguments:**

    - `cut`: how many are left out at either end.

    **Raises:**

    - `ValueError`: if `cut` is not a positive whole number; in
      [`Replicas`][plasticgym.rules.Replicas], if it leaves nobody.

    ??? cite "Reference"

        Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning: towards
        optimal statistical rates", ICML 2018.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.TrimmedMean(cut=2).cut
        2

        ```
    """

    cut: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_sizes(cut=self.cut)

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def check(self, replicas: int) -> None:
        if 2 * self.cut >= replicas:
            raise ValueError(
                f"`cut` must be less than half of {replicas} replicas, got {self.cut}."
            )

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        inner = slice(self.cut, replicas_of(proposed) - self.cut)
        return alike(jax.tree.map(lambda w: jnp.sort(w, 0)[inner].mean(0), proposed), proposed)


@final
class Krum(AbstractMixing):
    r"""Everybody gets the one replica that is closest to its neighbours.

    With $f$ of $K$ replicas expected to be bad, replica $j$ is judged by the sum of the
    squared distances to the $K - f - 2$ that are nearest to it.

    **Arguments:**

    - `bad`: $f$.

    **Raises:**

    - `ValueError`: if `bad` is not a positive whole number; in
      [`Replicas`][plasticgym.rules.Replicas], if it leaves no neighbour.

    ??? cite "Reference"

        Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries:
        Byzantine tolerant gradient descent", NeurIPS 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Krum(bad=2).tier)
        'global'

        ```
    """

    bad: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_sizes(bad=self.bad)

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def check(self, replicas: int) -> None:
        if self.bad + 3 > replicas:
            raise ValueError(
                f"`bad` must be at most {replicas} replicas minus 3, got {self.bad}."
            )

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        neighbours = replicas_of(proposed) - self.bad - 2
        vectors = rows_as_vectors(proposed)
        # Distances do not change when all vectors are moved; rounding does.
        vectors = vectors - vectors.mean(0, keepdims=True)
        squares = jnp.square(vectors).sum(1)
        distances = squares[:, None] + squares[None] - 2.0 * vectors @ vectors.T
        nearest = jnp.sort(distances, 1)[:, 1 : neighbours + 1]  # the first is itself
        best = jnp.argmin(nearest.sum(1))
        return alike(jax.tree.map(lambda w: w[best], proposed), proposed)
