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
class Topology(AbstractDecision):
    r"""You say who listens to whom: $A_{kj} \propto \max(x_{kj}, 0)$, beside 1 for itself.

    A link is an entry above 0 between two; the diagonal of the action is not looked at.

    **Arguments:**

    - `price`: of each link.

    **Raises:**

    - `ValueError`: if the price is not positive.

    !!! example

        ```python
        >>> import jax.numpy as jnp, plasticgym as pg
        >>> action = jnp.array([[0.0, 1.0], [-1.0, 0.0]])
        >>> pg.envs.Topology().links(action)[0].tolist()
        [[0.5, 0.5], [0.0, 1.0]]

        ```
    """

    price: Float[Array, ""] = eqx.field(default=0.01, converter=priced)

    def acted(self, replicas: int) -> tuple[int, ...]:
        return (replicas, replicas)

    def links(self, action: Float[Array, "replicas replicas"]):
        itself = jnp.eye(action.shape[0])
        heard = jnp.maximum(action, 0.0) * (1.0 - itself)
        matrix = itself + heard
        return matrix / matrix.sum(1, keepdims=True), (heard > 0).sum(0).astype(float)


def replica_topology(
    *,
    hidden: tuple[int, ...] = (64,),
    batch: int = 100,
    k: int = 5,
    measured: int = 100,
    skew: str = "main-class(own=80, other=20)",
    rounds: int = 15,
    rate: float = 5e-3,
    price: float = 0.01,
) -> ReplicaRounds:
    """Replicas learn digits, each mostly one of them; you say who listens to whom.

    A round is 20 presentations.

    Args:
        hidden: sizes of the hidden layers of the networks.
        batch: images in a presentation, of all shards together.
        k: how many replicas there are; it divides `batch`.
        measured: images on which accuracy is measured.
        skew: how images are dealt out.
        rounds: of learning and mixing.
        rate: of Adam.
        price: of each link.

    Raises:
        ValueError: as for `sharded_digits`, or if a size, the rate or the price is not
            positive.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.replica_topology(k=4).acted
        (4, 4)

        ```
    """
    check_sizes(rounds=rounds)
    problem = sharded_digits(
        hidden=hidden,
        batch=batch,
        presentations=_ROUND * rounds,
        k=k,
        measured=measured,
        skew=skew,
    )
    return ReplicaRounds(problem, Adam(rate=rate), Topology(price), rounds=rounds)
