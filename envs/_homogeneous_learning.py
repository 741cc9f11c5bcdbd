from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ..rules import Adam, State
from ..rules._check_sizes import check_sizes
from ._base import Frozen
from ._classification import Classification
from ._lifetime import Life, born, step
from ._nodes import Nodes
from ._plain_digits import plain_digits
from ._role import AbstractRole, Episode, Progress, check_positive

_FARTHEST = 0.1  # no nodes are farther apart


@final
class HomogeneousLearning(AbstractRole):
    r"""One network travels from node to node; you choose where it learns next.

    Each of ten nodes has images of its own: node $n$ mostly of class $n$. Where the network
    arrives it lives some local epochs under a fresh [`Adam`][plasticgym.rules.Adam], on the
    images there. A hop to node $j$, which may be the node it is at, is paid

    $$32^{\,a - g} - d_{ij} - 1,$$

    with $a$ the accuracy on the validation part after it, $g$ the goal and $d$ the distance
    from where it came, symmetric, between 0 and 0.1, and 0 from a node to itself. So every
    hop costs something until the goal is reached, which ends the episode, as does the last
    hop. A new episode has a new-born network at a random node, and a new share-out of
    images; the distances stay what they are.

    You see `columns`: the node it is at, one-hot; the recall of each class on the
    validation part; how lately it was at each node, $0.9^h$ after $h$ more hops and 0 if
    never; the distance to each from here, in tenths; and the share of hops that is left.
    Who does not know where it has been runs in circles. The score is $a$: balanced
    accuracy, as in [`Classification`][plasticgym.envs.Classification].

    **Arguments:**

    - `images`: whose classes the nodes have.
    - `own`, `other`: how many images a node has of its class and of others.
    - `epochs`: over these images, at each hop.
    - `rate`: of Adam.
    - `hops`: at most.
    - `goal`: the accuracy that ends an episode.
    - `roads`: a seed for the distances.

    **Raises:**

    - `ValueError`: if a size or rate is not positive, the goal does not lie between 0 and
      1, `roads` is no seed, or a class has too few images.

    ??? cite "Reference"

        Sun, Ochiai, "Homogeneous learning: self-attention decentralized deep learning",
        IEEE Access 2022.

    !!! example

        ```python
        >>> import gymnasium, plasticgym
        >>> env = gymnasium.make("plasticgym/HomogeneousLearning-v0", hops=3)
        >>> _ = env.reset(seed=0)
        >>> seen, reward, terminated, truncated, info = env.step(7)
        >>> bool(reward < 0), terminated
        (True, False)

        ```
    """

    problem: Nodes
    local: Adam
    goal: Float[Array, ""]
    distances: Float[Array, "nodes nodes"]
    columns: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        images: Classification,
        *,
        own: int = 80,
        other: int = 20,
        epochs: int = 4,
        rate: float = 5e-3,
        hops: int = 36,
        goal: float = 0.8,
        roads: int = 0,
    ):
        check_sizes(hops=hops, epochs=epochs)
        check_positive(rate=rate, goal=goal)
        if isinstance(roads, bool) or not isinstance(roads, int) or roads < 0:
            raise ValueError(f"`roads` must be a whole number of at least 0, got {roads!r}.")
        if goal >= 1:
            raise ValueError(f"`goal` must lie between 0 and 1, got {goal}.")
        nodes = Nodes(images, own=own, other=other, epochs=epochs, stays=hops)
        self.problem = nodes  # pyright: ignore[reportIncompatibleVariableOverride]
        self.local = Adam(rate=rate)
        self.goal = jnp.asarray(goal, float)
        self.distances = jnp.asarray(_roads(self.choices, roads), float)
        kinds = ("at", "recall", "lately", "distance")
        self.columns = (
            *(f"{kind}[{n}]" for kind in kinds for n in range(self.choices)),
            "hops_left",
        )

    @property
    def observed(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def acted(self) -> tuple[int, ...]:
        return ()

    @property
    def choices(self) -> int:
        return self.problem.body.layers[-1]

    @property
    def bound(self) -> float:
        return 1.0

    @property
    def actions(self) -> int:
        return self.problem.stays

    @property
    def shortest(self) -> int:
        return 1

    def rule(self, action: Int[Array, ""]) -> Adam:
        return self.local

    def begin(self, *, key: Key[Array, ""]) -> Episode:
        life, chance = born(self.local, self.problem, key=key), self.problem.chance
        return Episode(life, Progress.at_chance(chance), chance.loss)

    def act(self, episode: Episode, action: Int[Array, ""]) -> Episode:
        life = episode.life
        world = self.problem.moved(life.world, action)
        life = Life(_fresh(life.state), world, life.key, life.time, life.diverged)

        def presentation(life: Life, _):
            return step(self.local, self.problem, life)

        life, outcomes = jax.lax.scan(presentation, life, length=self.problem.stay)
        last = jax.tree.map(lambda x: x[-1], outcomes)
        last = eqx.tree_at(lambda o: o.score, last, self._recall(life).mean())
        return Episode(life, episode.progress.after(last), episode.paid)

    def reward(self, before: Episode, after: Episode) -> Float[Array, ""]:
        came, went = before.life.world.node, after.life.world.node
        return 32.0 ** (after.progress.score - self.goal) - self.distances[came, went] - 1.0

    def over(self, episode: Episode) -> Bool[Array, ""]:
        last = episode.life.time >= self.problem.presentations
        return last | (episode.progress.score >= self.goal)

    def see(self, episode: Episode) -> Float[Array, " columns"]:
        world, recall = episode.life.world, self._recall(episode.life)
        at = jax.nn.one_hot(world.node, self.choices)
        far = self.distances[world.node] / _FARTHEST
        left = 1.0 - episode.life.time / self.problem.presentations
        return jnp.concatenate([at, recall, world.lately, far, left.astype(recall.dtype)[None]])

    def _recall(self, life: Life) -> Float[Array, " classes"]:
        network = Frozen(self.local, life.state)
        # Adam draws nothing, so that any key will do.
        return self.problem.recall(network, key=jax.random.key(0))


def homogeneous_learning(
    *,
    hidden: tuple[int, ...] = (64,),
    batch: int = 20,
    own: int = 80,
    other: int = 20,
    epochs: int = 4,
    rate: float = 5e-3,
    hops: int = 36,
    goal: float = 0.8,
    roads: int = 0,
) -> HomogeneousLearning:
    """[`HomogeneousLearning`][plasticgym.envs.HomogeneousLearning] with handwritten digits.

    Their pixels are shown between 0 and 1, not standardised.

    Args:
        hidden: sizes of the hidden layers of the network.
        batch: images in a presentation.
        own: images of its class that a node has.
        other: images of other classes.
        epochs: over its images, at each hop.
        rate: of Adam.
        hops: at most.
        goal: the accuracy that ends an episode.
        roads: a seed for the distances.

    Raises:
        ValueError: as for `HomogeneousLearning`, or if `batch` does not divide the images of
            a node.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.homogeneous_learning(roads=3).choices
        10

        ```
    """
    # Standardised, a network learns so fast wherever it is that the way hardly matters.
    return HomogeneousLearning(
        plain_digits(hidden=hidden, batch=batch),
        own=own,
        other=other,
        epochs=epochs,
        rate=rate,
        hops=hops,
        goal=goal,
        roads=roads,
    )


def _fresh(state: State) -> State:
    """The network under an Adam that has seen nothing yet."""
    zero = jnp.zeros_like
    synapses = tuple(
        {"weight": block["weight"], "mean": zero(block["mean"]), "square": zero(block["mean"])}
        for block in state.synapses
    )
    return State(state.body, state.neurons, synapses, {"time": jnp.zeros(())})


def _roads(nodes: int, seed: int) -> np.ndarray:
    """Symmetric distances between 0 and 0.1."""
    drawn = np.random.default_rng(seed).uniform(0.0, _FARTHEST, (nodes, nodes))
    drawn = np.triu(drawn, 1)
    return drawn + drawn.T
