import abc
from typing import Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Bool, Float, Key

Physics = TypeVar("Physics")
Factors = dict[str, Float[Array, ""]]


class AbstractDynamics(eqx.Module, Generic[Physics]):
    """How one body moves, and what its world pays for it.

    A body is moved by the outputs of a network and tells it what its sensors feel; all is
    of one body at one time, without a batch. `factors` multiply physical parameters by
    name; those that are not given are as they were.

    - `sensors`, `outputs`: how many there are.
    - `limit`: steps after which an episode ends, if nothing ends it before.
    - `beginnings`: states that a world draws for episodes to begin in.
    - `parameters`: the names that `factors` may have.
    - `legs`: for each leg, the outputs that move it; bodies without legs have none.
    - `chance`, `best`: the score of outputs drawn at random, and the best that is known.
    """

    sensors: eqx.AbstractVar[int]
    outputs: eqx.AbstractVar[int]
    limit: eqx.AbstractVar[int]
    beginnings: eqx.AbstractVar[int]
    parameters: eqx.AbstractVar[tuple[str, ...]]
    legs: eqx.AbstractVar[tuple[tuple[int, ...], ...]]
    chance: eqx.AbstractVar[float]
    best: eqx.AbstractVar[float]

    @abc.abstractmethod
    def reset(self, *, key: Key[Array, ""]) -> Physics:
        """A state in which an episode begins."""

    @abc.abstractmethod
    def sense(self, physics: Physics) -> Float[Array, " sensors"]:
        """What the sensors feel, of the order of 1."""

    @abc.abstractmethod
    def move(
        self, physics: Physics, outputs: Float[Array, " outputs"], factors: Factors
    ) -> tuple[Physics, Float[Array, ""], Bool[Array, ""]]:
        """One step in time.

        Returns:
            The state after it, what the world pays, and whether the episode is over.
        """

    @abc.abstractmethod
    def reversed(self, outputs: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """The outputs that do the contrary; linear in them."""

    @abc.abstractmethod
    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        """How good it is to have been paid so: `mean_reward` or `few_falls`."""


def mean_reward(rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
    """The score where a world pays more than for survival."""
    return rewards.mean()


def few_falls(rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
    """1 / (1 + falls): the score where each fall is paid -1 and all else 0."""
    return 1.0 / (1.0 - rewards.sum())
