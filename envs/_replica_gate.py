from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..rules import Adam
from ..rules._check_sizes import check_sizes
from ._replica_rounds import AbstractDecision, ReplicaRounds, priced
from ._sharded_digits import sharded_digits

_ROUND = 20  # presentations


@final
class Gate(AbstractDecision):
    r"""You accept some replicas, by an entry above 0, and all get the mean of these:
    $A_{kj} \propto [\,x_j > 0\,]$. If there are none, all keep what was last agreed.

    **Arguments:**

    - `price`: of each that is accepted.

    **Raises:**

    - `ValueError`: if the price is not positive.

    !!! example

        ```python
        >>> import jax.numpy as jnp, plasticgym as pg
        >>> matrix, taken = pg.envs.Gate().links(jnp.array([1.0, -1.0, 0.5, 0.0]))
        >>> matrix[0].tolist()
        [0.5, 0.0, 0.5, 0.0]

        ```
    """

    price: Float[Array, ""] = eqx.field(default=0.002, converter=priced)

    def acted(self, replicas: int) -> tuple[int, ...]:
        return (replicas,)

    def links(self, action: Float[Array, " replicas"]):
        accepted = (action > 0).astype(float)
        row = accepted / jnp.maximum(accepted.sum(), 1.0)
        return jnp.broadcast_to(row[None], (row.size, row.size)), accepted


def replica_gate(
    *,
    hidden: tuple[int, ...] = (64,),
    batch: int = 100,
    k: int = 5,
    bad: int = 2,
    measured: int = 100,
    stressor: str = "label-shift",
    rounds: int = 15,
    rate: float = 5e-3,
    price: float = 0.002,
) -> ReplicaRounds:
    """Replicas learn digits, some from spoiled shards; you say whose weights are averaged.

    Shards are even, a round is 20 presentations, and how many shards are spoiled is drawn
    from 0 to `bad`.

    Args:
        hidden: sizes of the hidden layers of the networks.
        batch: images in a presentation, of all shards together.
        k: how many replicas there are; it divides `batch`.
        bad: how many shards are spoiled at most.
        measured: images on which accuracy is measured.
        stressor: what is wrong with spoiled shards.
        rounds: of learning and mixing.
        rate: of Adam.
        price: of each replica that is accepted.

    Raises:
        ValueError: as for `sharded_digits`, or if a size, the rate or the price is not
            positive.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.replica_gate(k=4).acted
        (4,)

        ```
    """
    check_sizes(rounds=rounds)
    problem = sharded_digits(
        hidden=hidden,
        batch=batch,
        presentations=_ROUND * rounds,
        k=k,
        measured=measured,
        skew="even",
        stressor=stressor,
        bad=bad,
    )
    return ReplicaRounds(problem, Adam(rate=rate), Gate(price), rounds=rounds)
