from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._gene import gene, real
from ._mixing import AbstractMixing, Measure, chosen, combined
from ._signals import Signal, Tier


@final
class GatedAverage(AbstractMixing):
    r"""The mean of those who do no harm: replica $j$ is accepted by $k$ if its accuracy on
    the measured rows is at least that of $k$ at the last mixing minus a tolerance.

    $$A_{kj} \propto [\,a(W_j + D_j) \ge a(W_k) - \theta\,]$$

    Where none is accepted, $W_k$ stays what it was at the last mixing.

    **Arguments:**

    - `tolerance`: $\theta$, a positive scalar.

    **Raises:**

    - `ValueError`: if the tolerance is not positive.

    ??? cite "Reference"

        Sun, "Meta learning in decentralized neural networks: towards more general AI",
        arXiv 2302.01020, 2023.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.GatedAverage().reads
        frozenset({<Signal.TARGET: 'target'>})

        ```
    """

    tolerance: Float[Array, ""] = eqx.field(default=0.03, converter=real, metadata=gene("log"))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.TARGET})

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def accepted(
        self, agreed: PyTree, proposed: PyTree, measure: Measure
    ) -> Float[Array, "replicas replicas"]:
        """1 where the replica of the row accepts that of the column, else 0."""
        bar = measure(agreed) - self.tolerance
        return (measure(proposed)[None] >= bar[:, None]).astype(float)

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        accepted = self.accepted(agreed, proposed, measure)
        count = accepted.sum(1)
        # Zero times infinity is no number: what nobody accepts is put out of the way.
        sound = chosen(accepted.sum(0) > 0, proposed, agreed)
        mean = combined(accepted / jnp.maximum(count, 1.0)[:, None], sound)
        return chosen(count > 0, mean, agreed)


@final
class Segmented(AbstractMixing):
    r"""Those who are far below the mean average among themselves, and so do the others.

    Replica $j$ is behind if its accuracy on the measured rows is more than $\theta$ below
    the mean; groups form anew at every mixing.

    **Arguments:**

    - `margin`: $\theta$, a positive scalar.

    **Raises:**

    - `ValueError`: if the margin is not positive.

    ??? cite "Reference"

        Sun, "Meta learning in decentralized neural networks: towards more general AI",
        arXiv 2302.01020, 2023.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.Segmented().tier)
        'global'

        ```
    """

    margin: Float[Array, ""] = eqx.field(default=0.08, converter=real, metadata=gene("log"))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.TARGET})

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        accuracy = measure(proposed)
        behind = accuracy < accuracy.mean() - self.margin
        together = (behind[None] == behind[:, None]).astype(float)
        return combined(together / together.sum(1, keepdims=True), proposed)
