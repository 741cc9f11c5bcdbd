from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import Body
from ._direction import AbstractDirection
from ._gene import gene, real
from ._past import Clock
from ._sparse import largest
from ._weights import Weights


@final
class FixedMask(AbstractDirection):
    r"""Few weights at once: the smallest are 0 from the end of the first task on.

    $$w \leftarrow m \odot (w + \Delta)$$

    with $\Delta$ the step of the rule within, downhill on the distance from the frozen
    outputs, and $m$ the mask of the weights that are not the smallest when the task ends
    ([`sparse`][plasticgym.rules.sparse]). So what is left is taught by the network as it
    was, from the anchors alone: distillation. It is what a path to few weights has to beat.

    **Arguments:**

    - `sparsity`: the share of weights to lose, in (0, 1).

    **Raises:**

    - `ValueError`: if `sparsity` is not in (0, 1).

    ??? cite "Reference"

        Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.Sparsify(pg.envs.digits(presentations=60), 0.8, dense=30)
        >>> rule = pg.rules.InvariantPath("adam", direction=pg.rules.FixedMask(sparsity=0.8))
        >>> life = pg.envs.live(rule, problem, key=jax.random.key(0))
        >>> sum(int((b["weight"][:-1] != 0).sum()) for b in life.state.synapses)  # of 2,368
        474

        ```
    """

    sparsity: Float[Array, ""] = eqx.field(default=0.8, converter=real, metadata=gene("logit"))

    def init(self, weights: Weights) -> Weights:
        return tuple(jnp.ones_like(w) for w in weights)

    def remember(
        self, kept: Weights, weights: Weights, *, body: Body, key: Key[Array, ""]
    ) -> Weights:
        keep = largest(weights, body.layers[:-1], self.sparsity, alive=body.alive)
        return tuple(m * k.astype(m.dtype) for m, k in zip(kept, keep, strict=True))

    def step(
        self, before: Weights, after: Weights, kept: Weights, *, clock: Clock, body: Body
    ) -> Weights:
        return tuple(m * w for m, w in zip(kept, after, strict=True))
