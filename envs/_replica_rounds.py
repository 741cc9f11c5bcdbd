import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ..rules import AbstractRule, GatedAverage, Replicas, real
from ..rules._check_sizes import check_sizes
from ..rules._metadata import metadata
from ..rules._mixing import chosen, combined
from ..rules._replicas import travelling, with_travelling
from ._lifetime import Life, born, select, step
from ._role import AbstractRole, Episode, Progress
from ._sharded import Sharded

_NEVER = 2**30  # presentations until replicas mix by themselves
_COLUMNS = ("accuracy", "norm", "cosine", "taken", "time")


class AbstractDecision(eqx.Module):
    """What an agent decides on when replicas mix, and what it costs.

    **Arguments:**

    - `price`: of one that is taken.
    """

    price: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def acted(self, replicas: int) -> tuple[int, ...]:
        """The shape of an action."""

    @abc.abstractmethod
    def links(
        self, action: Float[Array, "..."]
    ) -> tuple[Float[Array, "replicas replicas"], Float[Array, " replicas"]]:
        """What replica $k$ takes of replica $j$, and how often each $j$ is taken at a price.

        A row that is zero keeps what was last agreed; the others sum to 1.
        """


@final
class ReplicaRounds(AbstractRole):
    r"""Replicas of a network learn apart, each from its shard; you decide how they mix.

    A round: you act, weights become $W_k \leftarrow \sum_j A_{kj} (W_j + D_j)$ with the $A$
    of your decision, and all learn on, but for the last round. It is paid

    $$a' - a - c\, n,$$

    with $a$ and $a'$ the mean accuracy of what was agreed before and after on the measured
    rows, $n$ how many were taken, and $c$ a price. How many shards are spoiled, if any are,
    and which, is hidden and new in each episode.

    You see `columns` for each replica: its accuracy on the measured rows minus the mean one
    of what was last agreed, times ten; the logarithm of the norm of what it learned over the
    mean norm; the cosine of that to the mean; how often it was taken last; and the share of
    rounds that is over.

    **Arguments:**

    - `problem`: shards with measured rows; as many are spoiled, at most, as are bad in it.
    - `learner`: the rule by which each replica learns.
    - `decision`: what you decide on.
    - `rounds`: of mixing; each is an equal part of a life.

    **Raises:**

    - `ValueError`: if nothing is measured, or the presentations of a life are no multiple
      of the rounds.

    !!! example

        ```python
        >>> import gymnasium, plasticgym
        >>> env = gymnasium.make("plasticgym/ReplicaGate-v0", rounds=2)
        >>> env.reset(seed=0)[0].shape
        (5, 5)

        ```
    """

    problem: Sharded
    network: Replicas
    decision: AbstractDecision
    rounds: int = eqx.field(static=True)
    columns: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        problem: Sharded,
        learner: AbstractRule,
        decision: AbstractDecision,
        *,
        rounds: int,
    ):
        check_sizes(rounds=rounds, measured=problem.measured)
        if problem.presentations % rounds:
            raise ValueError(
                f"`presentations` must be a multiple of {rounds} rounds, got "
                f"{problem.presentations}."
            )
        self.problem = problem  # pyright: ignore[reportIncompatibleVariableOverride]
        self.decision, self.rounds = decision, rounds
        # It never mixes, but reads the targets of what is measured.
        sizes = {"replicas": problem.k, "measured": problem.measured}
        self.network = Replicas(learner, GatedAverage(), _NEVER, **sizes)
        self.columns = _COLUMNS

    @property
    def observed(self) -> tuple[int, ...]:
        return (self.problem.k, len(self.columns))

    @property
    def acted(self) -> tuple[int, ...]:
        return self.decision.acted(self.problem.k)

    @property
    def choices(self) -> None:
        return None

    @property
    def bound(self) -> float:
        return 10.0

    @property
    def actions(self) -> int:
        return self.rounds

    @property
    def shortest(self) -> int:
        return self.rounds

    def rule(self, action: Float[Array, "..."]) -> Replicas:
        return self.network

    def begin(self, *, key: Key[Array, ""]) -> Episode:
        key_bad, key_life = jax.random.split(key)
        bad = jax.random.randint(key_bad, (), 0, self.problem.bad + 1)
        problem = eqx.tree_at(lambda p: p.bad, self.problem, bad)
        life, chance = born(self.network, problem, key=key_life), self.problem.chance
        accuracy = jnp.zeros(())  # of no network: nothing is told before the first round
        kept = {"rounds": jnp.zeros((), int), "taken": jnp.zeros(problem.k)}
        life, progress = self._learned(
            _remembering(life, kept | {"accuracy": accuracy}), Progress.at_chance(chance)
        )
        accuracy = self._accuracy(life, life.state.memory["agreed"]).mean()
        return Episode(_remembering(life, {"accuracy": accuracy}), progress, chance.loss)

    def act(self, episode: Episode, action: Float[Array, "..."]) -> Episode:
        life, memory = episode.life, episode.life.state.memory
        agreed, proposed = memory["agreed"], travelling(life.state.synapses)
        matrix, taken = self.decision.links(action)
        # What nobody takes need not be finite.
        sound = chosen(matrix.sum(0) > 0, proposed, agreed)
        weights = chosen(matrix.sum(1) > 0, combined(matrix, sound), agreed)
        mixed = with_travelling(life.state.synapses, weights)
        told = {
            "rounds": memory["rounds"] + 1,
            "taken": taken,
            "agreed": weights,
            "accuracy": self._accuracy(life, weights).mean(),
        }
        life = _remembering(eqx.tree_at(lambda n: n.state.synapses, life, mixed), told)
        ended = (life, episode.progress)
        life, progress = select(self._over(life), ended, self._learned(*ended))
        return Episode(life, progress, episode.paid)

    def reward(self, before: Episode, after: Episode) -> Float[Array, ""]:
        was, now = before.life.state.memory, after.life.state.memory
        return now["accuracy"] - was["accuracy"] - self.decision.price * now["taken"].sum()

    def over(self, episode: Episode) -> Bool[Array, ""]:
        return self._over(episode.life)

    def see(self, episode: Episode) -> Float[Array, "replicas columns"]:
        life, memory = episode.life, episode.life.state.memory
        measure = lambda weights: self._accuracy(life, weights)  # noqa: E731
        known, _ = metadata(memory["agreed"], travelling(life.state.synapses), measure)
        time = (memory["rounds"] / self.rounds).astype(known.dtype)
        last = jnp.stack([memory["taken"], jnp.broadcast_to(time, known.shape[:1])], 1)
        return jnp.concatenate([known, last], 1)

    def _over(self, life: Life) -> Bool[Array, ""]:
        return life.state.memory["rounds"] >= self.rounds

    def _accuracy(self, life: Life, weights: PyTree) -> Float[Array, " replicas"]:
        # All that is random in a prediction may be the same each time.
        return self.network.accuracy(life.state, weights, key=life.key)

    def _learned(self, life: Life, progress: Progress) -> tuple[Life, Progress]:
        """After the presentations of one round."""

        def presentation(carry: tuple[Life, Progress], _):
            life, outcome = step(self.network, self.problem, carry[0])
            return (life, carry[1].after(outcome)), None

        length = self.problem.presentations // self.rounds
        return jax.lax.scan(presentation, (life, progress), length=length)[0]


def priced(value: float) -> Float[Array, ""]:
    """The converter of a price."""
    if not value > 0:
        raise ValueError(f"`price` must be positive, got {value}.")
    return real(value)


def _remembering(life: Life, more: dict) -> Life:
    return eqx.tree_at(lambda n: n.state.memory, life, life.state.memory | more)
