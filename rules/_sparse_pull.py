from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ._base import Body
from ._direction import AbstractDirection
from ._gene import gene, real
from ._past import Clock
from ._sparse import largest
from ._weights import Weights


@final
class SparsePull(AbstractDirection):
    r"""The path leads to a network with few weights, by a growing pull on all others.

    Until a task has ended it is the step $\Delta$ of the rule within. From then on, $t$
    presentations later,

    $$w \leftarrow w' - \min(L\, \min(t / T, 1)^2, 1)\, (w' - w'_s), \quad
    w' = w + \Delta,$$

    where $w_s$ are the weights $w$ without the smallest ones, found anew each time (see
    [`sparse`][plasticgym.rules.sparse]): what is small now may yet be needed, and come back.
    At $L = 1$ the network is sparse from $T$ on, and each step is projected; at a larger $L$
    that is so from $T / \sqrt{L}$ on.

    The authors normalise $\Delta + \lambda (w - w_s)$ to steps of one length; here the rule
    within says how long its steps are.

    **Arguments:**

    - `sparsity`: the share of weights to lose, in (0, 1).
    - `pull`: $L$, a positive scalar: the share of what is too much that is lost in a step,
      never more than all.
    - `steps`: $T$, a positive scalar.

    **Raises:**

    - `ValueError`: if one of them is not positive, or `sparsity` not in (0, 1).

    ??? cite "Reference"

        Raghavan, Tharwat, Hari, Satani, Liu, Thomson, "Engineering flexible machine learning
        systems by traversing functionally invariant paths", Nature Machine Intelligence 2024.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.Sparsify(pg.envs.digits(presentations=60), 0.8, dense=30)
        >>> pull = pg.rules.SparsePull(sparsity=0.8, steps=30)
        >>> rule = pg.rules.InvariantPath("sgd(rate=0.1)", direction=pull)
        >>> pg.envs.live(rule, problem, key=jax.random.key(0)).diverged
        Array(False, dtype=bool)

        ```
    """

    sparsity: Float[Array, ""] = eqx.field(default=0.8, converter=real, metadata=gene("logit"))
    pull: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    steps: Float[Array, ""] = eqx.field(default=1000.0, converter=real, metadata=gene("log"))

    def step(
        self, before: Weights, after: Weights, kept: PyTree, *, clock: Clock, body: Body
    ) -> Weights:
        keep = largest(after, body.layers[:-1], self.sparsity, alive=body.alive)
        share = jnp.minimum((clock.time.astype(self.steps.dtype) + 1.0) / self.steps, 1.0)
        lost = jnp.where(clock.ended > 0, jnp.minimum(self.pull * share**2, 1.0), 0.0)
        return tuple(
            jnp.where(k, w, (1.0 - lost) * w) for k, w in zip(keep, after, strict=True)
        )
