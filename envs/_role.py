import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ..rules import AbstractRule
from ._base import AbstractProblem, Outcome
from ._lifetime import Life, examine, select

EPSILON = 0.01  # joins every loss before its logarithm is taken


class Progress(eqx.Module):
    """How a life has gone so far.

    **Arguments:**

    - `loss`, `score`: of the latest presentation of positive weight; before the first
      one, those of chance.
    - `best_loss`, `best_score`: the lowest and the highest of them.
    """

    loss: Float[Array, ""]
    score: Float[Array, ""]
    best_loss: Float[Array, ""]
    best_score: Float[Array, ""]

    @classmethod
    def at_chance(cls, chance: Outcome) -> "Progress":
        """Before the first presentation, when all there is to know is chance."""
        return cls(chance.loss, chance.score, chance.loss, chance.score)

    def after(self, outcome: Outcome) -> "Progress":
        """After one more presentation; one of weight 0 leaves everything as it was."""
        met = Progress(
            outcome.loss,
            outcome.score,
            jnp.minimum(self.best_loss, outcome.loss),
            jnp.maximum(self.best_score, outcome.score),
        )
        return select(outcome.weight > 0, met, self)


class Episode(eqx.Module):
    """A life in progress, and what its agent has been told of it.

    **Arguments:**

    - `life`: the life.
    - `progress`: how it has gone.
    - `paid`: the loss up to which reward has been paid.
    """

    life: Life
    progress: Progress
    paid: Float[Array, ""]


class Verdict(eqx.Module):
    """What is known at the end of an episode, by the names it has in the last `info`.

    **Arguments:**

    - `score`: of the network on the validation part.
    - `loss`: the last one of the training stream.
    - `diverged`: whether the network diverged.
    """

    score: Float[Array, "*lives"]
    loss: Float[Array, "*lives"]
    diverged: Bool[Array, "*lives"]


# The names of a verdict, and what each is told as outside of JAX.
VERDICT: dict[str, type] = {"score": float, "loss": float, "diverged": bool}


class AbstractRole(eqx.Module):
    """What an agent is in a life: what it sees, what its actions do, what it is paid.

    Pure functions of an [`Episode`][plasticgym.envs.Episode]; the environments compile
    them, and other interfaces can be built on them.
    """

    problem: eqx.AbstractVar[AbstractProblem]
    columns: eqx.AbstractVar[tuple[str, ...]]  # names an observation along its last axis

    @property
    @abc.abstractmethod
    def observed(self) -> tuple[int, ...]:
        """The shape of an observation."""

    @property
    @abc.abstractmethod
    def acted(self) -> tuple[int, ...]:
        """The shape of an action, whose entries lie in [-1, 1]; beyond, they are clipped.

        It is `()` for a choice.
        """

    @property
    @abc.abstractmethod
    def choices(self) -> int | None:
        """How many actions there are to choose from, by number; `None` if they are real."""

    @property
    @abc.abstractmethod
    def bound(self) -> float:
        """The largest magnitude of an entry of an observation; beyond, it is clipped."""

    @property
    @abc.abstractmethod
    def actions(self) -> int:
        """How many actions an episode takes, at most."""

    @property
    @abc.abstractmethod
    def shortest(self) -> int:
        """How many actions an episode takes, at least."""

    @abc.abstractmethod
    def begin(self, *, key: Key[Array, ""]) -> Episode:
        """A new-born network in a new world."""

    @abc.abstractmethod
    def act(self, episode: Episode, action: Float[Array, " actions"]) -> Episode:
        """The life after an action; `paid` stays as it was."""

    @abc.abstractmethod
    def reward(self, before: Episode, after: Episode) -> Float[Array, ""]:
        """What the action between two moments of an episode is paid."""

    @abc.abstractmethod
    def over(self, episode: Episode) -> Bool[Array, ""]:
        """Whether the episode has ended."""

    @abc.abstractmethod
    def see(self, episode: Episode) -> Float[Array, "..."]:
        """The observation before it is clipped."""

    @abc.abstractmethod
    def rule(self, action: Float[Array, " actions"]) -> AbstractRule:
        """The rule that the network lives under with this action."""


def observe(role: AbstractRole, episode: Episode) -> Float[Array, "..."]:
    """What the agent sees: finite, single precision, within the bound of the role."""
    seen = jnp.nan_to_num(role.see(episode), nan=0.0, posinf=role.bound, neginf=-role.bound)
    return jnp.clip(seen, -role.bound, role.bound).astype(jnp.float32)


def transition(
    role: AbstractRole, episode: Episode, action: Array
) -> tuple[Episode, Float[Array, ""], Bool[Array, ""]]:
    """One action.

    Returns:
        The episode after it, its reward, and whether the episode is over.
    """
    after = role.act(episode, bounded(role, action))
    after = Episode(after.life, after.progress, after.progress.loss)
    return after, role.reward(episode, after), role.over(after)


def is_over(role: AbstractRole, episode: Episode) -> Bool[Array, ""]:
    """Whether the life has had its last presentation."""
    return episode.life.time >= role.problem.presentations


def progress_of(before: Episode, after: Episode) -> Float[Array, ""]:
    r"""The reward of learning: $\log(L + 0.01) - \log(L' + 0.01)$.

    $L$ is the loss of the training stream up to which reward has been paid, at first that
    of chance, and $L'$ the one after the action.
    """
    return reward_of(before.paid, after.progress.loss)


def reward_of(paid: Float[Array, ""], loss: Float[Array, ""]) -> Float[Array, ""]:
    """What is paid when the loss comes down from `paid`."""
    return jnp.log(paid + EPSILON) - jnp.log(loss + EPSILON)


def judge(role: AbstractRole, episode: Episode, action: Array) -> Verdict:
    """How a life that is over, after `action`, did on the validation part."""
    rule = role.rule(bounded(role, action))
    outcome, diverged = examine(rule, role.problem, episode.life, part="validation")
    score = role.problem.overall(outcome).score
    return Verdict(score, episode.progress.loss, diverged)


def bounded(role: AbstractRole, action: Array) -> Array:
    """The action clipped to [-1, 1], or to the numbers of the choices.

    Raises:
        ValueError: while tracing, if it has another shape.
    """
    if action.shape != role.acted:
        raise ValueError(f"`action` must have shape {role.acted}, got shape {action.shape}.")
    if role.choices is not None:
        return jnp.clip(action.astype(int), 0, role.choices - 1)
    return jnp.clip(action.astype(float), -1.0, 1.0)


def root_mean_square(values: Array) -> Float[Array, ""]:
    """The size of an entry, whatever the shape."""
    return jnp.sqrt(jnp.mean(jnp.square(values)))


def check_positive(**settings: float) -> None:
    """Raises a `ValueError` naming the first setting that is no positive finite number."""
    for name, value in settings.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < float("inf"):
            raise ValueError(f"`{name}` must be a positive number, got {value!r}.")
