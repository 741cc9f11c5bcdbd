from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part
from ._classification import Classification, Stream
from ._supervised import share_right

_FADING = 0.9  # of how lately one was at a node, with each move


class Journey(eqx.Module):
    """The world of nodes: the images each has, where one is, and in which order they come.

    - `order`: of the images of a node, for the present stay.
    - `lately`: 1 for the node where one went last, less for each move since, and 0 for
      those where one never went.
    - `key`: orders are drawn from it.
    """

    shards: Int[Array, "nodes size"]
    order: Int[Array, "presentations batch"]
    node: Int[Array, ""]
    lately: Float[Array, " nodes"]
    time: Int[Array, ""]
    key: Key[Array, ""]


@final
class Nodes(AbstractProblem[Journey]):
    """Images that are spread over nodes, of which one is visited at a time.

    A world deals `own` images of class $n$ to node $n$, and to each node `other` ones of
    all other classes, which nodes may share. A stay is `epochs` passes over the images of
    a node, each in a new order. `moved` begins another one; by itself the network stays at
    the one, a random one, where it was born, and its first stay comes again and again.
    """

    images: Classification
    own: int = eqx.field(static=True)
    other: int = eqx.field(static=True)
    epochs: int = eqx.field(static=True)
    stays: int = eqx.field(static=True)

    def __init__(
        self, images: Classification, *, own: int, other: int, epochs: int, stays: int
    ):
        self.images, self.own, self.other = images, own, other
        self.epochs, self.stays = epochs, stays

    def __check_init__(self):
        check_sizes(own=self.own, other=self.other, epochs=self.epochs, stays=self.stays)
        counts = np.bincount(np.asarray(self.images.train.classes))
        if self.own > counts.min():
            raise ValueError(
                f"`own` must be at most {counts.min()}, for no class has more images for "
                f"sure, got {self.own}."
            )
        if self.other > counts.sum() - counts.max():
            raise ValueError(
                f"`other` must be at most {counts.sum() - counts.max()}, got {self.other}."
            )
        if (self.own + self.other) % self.images.batch:
            raise ValueError(
                f"`batch` must divide the {self.own + self.other} images of a node, "
                f"got {self.images.batch}."
            )

    @property
    def body(self) -> Body:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.images.body

    @property
    def batch(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.images.batch

    @property
    def chance(self) -> Outcome:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.images.chance

    @property
    def stay(self) -> int:
        """How many presentations it has."""
        return self.epochs * (self.own + self.other) // self.batch

    @property
    def presentations(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.stays * self.stay

    def reset(self, *, key: Key[Array, ""]) -> Journey:
        key_deal, key_order, key_node = jax.random.split(key, 3)
        nodes, now = self.body.layers[-1], jnp.zeros((), int)
        return Journey(
            self._dealt(nodes, key=key_deal),
            self._order(now, key=key_order),
            jax.random.randint(key_node, (), 0, nodes),
            jnp.zeros(nodes),
            now,
            key_order,
        )

    def moved(self, world: Journey, node: Int[Array, ""]) -> Journey:
        """The world at the beginning of a stay at this node."""
        order = self._order(world.time, key=world.key)
        lately = (_FADING * world.lately).at[node].set(1.0)
        return Journey(world.shards, order, node, lately, world.time, world.key)

    def observe(self, world: Journey) -> Clamped:
        return self.images.observe(self._stream(world))

    def respond(self, world: Journey, outputs: Float[Array, "batch outputs"]):
        _, feedback, outcome = self.images.respond(self._stream(world), outputs)
        return eqx.tree_at(lambda w: w.time, world, world.time + 1), feedback, outcome

    def test(self, world: Journey, network: Frozen, *, part: Part, key: Key[Array, ""]):
        return self.images.test(self._stream(world), network, part=part, key=key)

    def recall(self, network: Frozen, *, key: Key[Array, ""]) -> Float[Array, " classes"]:
        """The share of each class that is right, on the validation part."""
        examples, still = self.images.validation, jnp.zeros((), int)
        seen = self.images.shown(Stream(still[None, None], still, None), examples.inputs)
        classes = examples.classes.astype(int)
        target = jax.nn.one_hot(classes, self.body.layers[-1])
        return share_right(network(seen, key=key), classes) @ target / target.sum(0)

    def _dealt(self, nodes: int, *, key: Key[Array, ""]) -> Int[Array, "nodes size"]:
        """Which images each node has: `own` of its class and `other` ones."""
        classes = self.images.train.classes.astype(int)

        def one(node: Int[Array, ""], key: Key[Array, ""]) -> Int[Array, " size"]:
            drawn, mine = jax.random.uniform(key, classes.shape), classes == node
            _, own = jax.lax.top_k(jnp.where(mine, drawn, -1.0), self.own)
            _, others = jax.lax.top_k(jnp.where(mine, -1.0, drawn), self.other)
            return jnp.concatenate([own, others])

        return jax.vmap(one)(jnp.arange(nodes), jax.random.split(key, nodes))

    def _order(self, time: Int[Array, ""], *, key: Key[Array, ""]):
        """Passes over the images of a node, from this time on."""
        passes = (self.epochs, self.own + self.other)
        drawn = jax.random.uniform(jax.random.fold_in(key, time), passes)
        return drawn.argsort(1).reshape(self.stay, self.batch)

    def _stream(self, world: Journey) -> Stream:
        """The world of the images, at the node that is visited."""
        order = world.shards[world.node][world.order[world.time % self.stay]]
        return Stream(order[None], jnp.zeros((), int), None)
