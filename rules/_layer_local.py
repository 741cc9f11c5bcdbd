from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ._base import Body, State
from ._gene import gene, real
from ._invariance import AbstractInvariance, Anchored
from ._subspace import Subspaces, avoided, extended, nothing
from ._weights import Weights


@final
class LayerLocal(AbstractInvariance):
    r"""The step of each block avoids what its layer was fed by past tasks.

    $$\Delta W_l \leftarrow (I - U_l U_l^T)\, \Delta W_l$$

    with $U_l$ an orthonormal basis of activities $[h_l, 1]$ of the anchors of past tasks. If
    it holds all of them, no layer answers the anchors otherwise than before, whatever the
    size of the step. It needs only what a layer was itself fed, and is gradient projection
    memory: see
    [`GradientProjectionMemory`][plasticgym.rules.GradientProjectionMemory], which does the
    same without anchors that ride along.

    **Arguments:**

    - `threshold`: in (0, 1): the share of the squared length of activities that the basis
      must hold.

    **Raises:**

    - `ValueError`: if `threshold` is not in (0, 1).

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.InvariantPath(invariance="layer-local(threshold=0.95)")
        >>> round(float(rule.invariance.threshold), 2)
        0.95

        ```
    """

    threshold: Float[Array, ""] = eqx.field(
        default=0.99, converter=real, metadata=gene("logit")
    )

    def init(self, body: Body) -> Subspaces:
        return nothing(body)

    def errors(
        self,
        outputs: Float[Array, "rows outputs"],
        frozen: Float[Array, "rows outputs"],
        held: Bool[Array, " rows"],
        tasks: Int[Array, ""],
    ) -> Float[Array, "rows outputs"]:
        return jnp.zeros_like(outputs)

    def bent(
        self, before: Weights, after: Weights, anchored: Anchored, kept: PyTree
    ) -> Weights:
        return avoided(before, after, kept)

    def remember(
        self, kept: PyTree, state: State, held: Bool[Array, " rows"], *, key: Key[Array, ""]
    ) -> Subspaces:
        return extended(kept, state, held, self.threshold)
