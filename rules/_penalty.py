from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._distances import ERRORS, Distance
from ._gene import gene, real
from ._invariance import AbstractInvariance, Anchored
from ._past import per_row
from ._registry import near
from ._weights import Weights


@final
class Penalty(AbstractInvariance):
    r"""A distance from the frozen outputs is added to the loss.

    $$L + \lambda\, j^\gamma\, \frac{1}{A} \sum_a d(y_a, f_a)$$

    with $y_a$ the outputs at anchor $a$ of $A$, $f_a$ the frozen ones and $j$ the tasks of
    which there are anchors. With $p$ and $q$ the softmax of both, $d$ is

    - `"bhattacharyya"`: $-\log \sum_c \sqrt{p_c q_c}$; its derivative by $y$ is
      $(p - r) / 2$, $r$ the softmax of $(y + f) / 2$;
    - `"divergence"`: $\sum_c q_c \log (q_c / p_c)$, of Kullback and Leibler;
    - `"squared"`: $\frac{1}{2} |y - f|^2$, of the outputs themselves.

    Near the frozen outputs the first two are alike: $d \approx \frac{1}{8}$ and
    $\frac{1}{2}$ of the squared length in the metric of Fisher.

    **Arguments:**

    - `weight`: $\lambda$, a positive scalar.
    - `growth`: $\gamma$, a scalar: how the weight grows with the tasks that are remembered.
    - `distance`: $d$.

    **Raises:**

    - `ValueError`: if `weight` is not positive or the distance is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Penalty(weight=3).weight
        Array(3., dtype=float32)

        ```
    """

    weight: Float[Array, ""] = eqx.field(default=10.0, converter=real, metadata=gene("log"))
    growth: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene())
    distance: Distance = eqx.field(static=True, default="bhattacharyya")

    def __check_init__(self):
        if self.distance not in ERRORS:
            raise ValueError(
                f"unknown `distance` {self.distance!r}; {near(self.distance, list(ERRORS))}"
            )

    def errors(
        self,
        outputs: Float[Array, "rows outputs"],
        frozen: Float[Array, "rows outputs"],
        held: Bool[Array, " rows"],
        tasks: Int[Array, ""],
    ) -> Float[Array, "rows outputs"]:
        weight = self.weight * jnp.maximum(tasks, 1).astype(float) ** self.growth
        return weight * per_row(held) * ERRORS[self.distance](outputs, frozen)

    def bent(
        self, before: Weights, after: Weights, anchored: Anchored, kept: PyTree
    ) -> Weights:
        return after
