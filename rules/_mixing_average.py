from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._gene import gene, real
from ._mixing import AbstractMixing, Measure, alike, replicas_of
from ._signals import Tier


@final
class Average(AbstractMixing):
    r"""Everybody gets the mean: $A_{kj} = 1 / K$ (a star, federated averaging).

    ??? cite "Reference"

        McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-efficient learning
        of deep networks from decentralized data", AISTATS 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Average().tier)
        'activity'

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        return alike(jax.tree.map(lambda w: w.mean(0), proposed), proposed)


@final
class Alone(AbstractMixing):
    """Nobody gets anything: $A$ is the identity, what mixing has to be better than.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Alone().tier)
        'activity'

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        return proposed


@final
class Partial(AbstractMixing):
    r"""Everybody gets the mean of a few: each time another random share $c$ takes part.

    The $\lceil c K \rceil$ of a draw are averaged; what the others have learned since the
    last mixing is lost.

    **Arguments:**

    - `share`: $c$, in (0, 1).

    **Raises:**

    - `ValueError`: if the share is not in (0, 1).

    ??? cite "Reference"

        McMahan, Moore, Ramage, Hampson, Agüera y Arcas, "Communication-efficient learning
        of deep networks from decentralized data", AISTATS 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.rules.Partial(0.5).share)
        0.5

        ```
    """

    share: Float[Array, ""] = eqx.field(default=0.5, converter=real, metadata=gene("logit"))

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        replicas = replicas_of(proposed)
        rank = jax.random.permutation(key, replicas)
        part = (rank.astype(float) < self.share * replicas).astype(float)
        part = part / part.sum()
        return alike(jax.tree.map(lambda w: jnp.tensordot(part, w, 1), proposed), proposed)
