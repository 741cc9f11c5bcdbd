import abc
from typing import Generic, Literal, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..rules import AbstractRule, Body, Clamped, Feedback, State

World = TypeVar("World")
Part = Literal["train", "validation", "test"]


class Outcome(eqx.Module):
    """How well a network did.

    **Arguments:**

    - `loss`: at least 0 and differentiable.
    - `score`: higher is better.
    - `weight`: 0.0 if this presentation is not scored.
    """

    loss: Float[Array, "*lives"]
    score: Float[Array, "*lives"]
    weight: Float[Array, "*lives"]


class Frozen(eqx.Module):
    """A network with learning off: called with inputs, it returns outputs.

    Each call finds the neurons at rest.
    """

    rule: AbstractRule
    state: State

    def __call__(
        self, values: Float[Array, "rows n"], *, key: Key[Array, ""]
    ) -> Float[Array, "rows outputs"]:
        state = self.rule.rest(self.state, values.shape[0])
        return self.rule.predict(state, Clamped.full(values), key=key)[1]


class AbstractProblem(eqx.Module, Generic[World]):
    """A distribution of worlds that a network can live in.

    Data are array leaves, so that worlds of equal shape share one compilation; `body`
    is the network, and `batch` and `presentations` are the size of a life. `chance` is
    what knowing nothing scores; a diverged network is given it.
    """

    body: eqx.AbstractVar[Body]
    batch: eqx.AbstractVar[int]
    presentations: eqx.AbstractVar[int]
    chance: eqx.AbstractVar[Outcome]

    @abc.abstractmethod
    def reset(self, *, key: Key[Array, ""]) -> World:
        """Draws a world."""

    @abc.abstractmethod
    def observe(self, world: World) -> Clamped:
        """The inputs of the next presentation."""

    @abc.abstractmethod
    def respond(
        self, world: World, outputs: Float[Array, "batch outputs"]
    ) -> tuple[World, Feedback, Outcome]:
        """What the world makes of the outputs.

        Returns:
            The world at the next presentation, the feedback, and the outcome of these
            outputs, which is differentiable by them.
        """

    @abc.abstractmethod
    def test(
        self, world: World, network: Frozen, *, part: Part, key: Key[Array, ""]
    ) -> Outcome:
        """How well a network does in this world on a held-out part of the data.

        The outcome of a problem of several tasks leads with an axis of tasks.
        """

    @property
    def ends(self) -> tuple[int, ...]:
        """After which presentations a task ends; none if there is one task only."""
        return ()

    @property
    def examples(self) -> int:
        """How many different rows a life shows at most."""
        return self.presentations * self.batch

    @property
    def past(self) -> tuple[int, ...]:
        """How many different rows it shows at most, of each task that others follow."""
        return ()

    def overall(self, outcome: Outcome) -> Outcome:
        """The outcome of a test on all tasks together: without its last axis, of tasks."""
        return outcome


def chance(loss: float | Array, score: float) -> Outcome:
    """The outcome of knowing nothing."""
    return Outcome(jnp.asarray(loss, float), jnp.asarray(score, float), jnp.ones(()))
