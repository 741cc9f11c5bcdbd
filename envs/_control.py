from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ..rules import Body, Clamped, Feedback
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._changes import Change, Changes
from ._dynamics import AbstractDynamics
from ._lifetime import DIVERGED_AT, select
from ._supervised import position_of
from ._tables import layered

_WINDOW = 200  # presentations that a score is of


class Moving(eqx.Module):
    """The world of a body that moves.

    **Arguments:**

    - `physics`: the state of the body of each row.
    - `starts`, `age`, `episode`: whether the row begins an episode with the presentation
      to come, how many steps of it are done, and which episode of the row it is.
    - `beginnings`: states in which episodes begin, one after the other, over and over.
    - `change`: how the body is from presentation `problem.changes.at` on.
    - `waiting`: outputs that have not yet acted, the latest first.
    - `rewards`: of the last presentations, the mean over rows; the one of presentation `t`
      at `t` modulo their number.
    - `key`, `time`: the source of noise, and presentations lived.
    """

    physics: PyTree
    starts: Bool[Array, " batch"]
    age: Int[Array, " batch"]
    episode: Int[Array, " batch"]
    beginnings: PyTree
    change: Change
    waiting: Float[Array, "delay batch outputs"]
    rewards: Float[Array, " window"]
    key: Key[Array, ""]
    time: Int[Array, ""]


@final
class Control(AbstractProblem[Moving]):
    r"""Moving a body: the outputs act, the sensors are the inputs, and the world pays.

    A life goes on over falls: where an episode is over, because the body fell, arrived or
    moved for as long as an episode may last, the row begins another one, and
    `Clamped.starts` says so. Nobody says when a body changes, or what would have been the
    right thing to do: there is no target and no error, only a reward.

    The score is that of the last 200 presentations, or of all if a life has fewer: the mean
    reward; or, where a world pays for survival alone, $1 / (1 + \text{falls})$, a fall being
    paid -1 and all else 0. Until there have been so many, the outcome is that of chance with
    weight 0. With $s_0$ the score of outputs drawn at random and $s_1$ the best that is
    known, the loss is $(s_1 - s) / (s_1 - s_0)$, at least 0 and at most 10: it cannot be
    differentiated by the outputs, and no fall counts as divergence.

    These presentations are the life's own, and so is its test: what a network has learnt is
    to move *this* body while it goes on learning, so `test` reads the rewards that the world
    kept. No network is run for it, nothing is drawn, and the part plays no role: what
    must be held out are worlds, that is, keys and changes.

    **Arguments:**

    - `dynamics`: how the body moves.
    - `changes`: how it comes to change; `None` for not at all.
    - `body`: has as many inputs as there are sensors, and as many outputs.
    - `batch`: how many bodies one network moves at once.
    - `presentations`: the length of a life, in steps.

    **Raises:**

    - `ValueError`: if a size is not positive or the ends of the network do not fit.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.Control(
        ...     pg.envs.CartPole(), body=pg.rules.Body((4, 2)), batch=1, presentations=1000
        ... )
        >>> float(problem.chance.loss)
        1.0

        ```
    """

    dynamics: AbstractDynamics
    changes: Changes
    chance: Outcome
    best: Float[Array, ""]
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)

    def __init__(
        self,
        dynamics: AbstractDynamics,
        changes: Changes | None = None,
        *,
        body: Body,
        batch: int,
        presentations: int,
    ):
        check_sizes(batch=batch, presentations=presentations)
        ends = (dynamics.sensors, dynamics.outputs)
        if (body.layers[0], body.layers[-1]) != ends:
            raise ValueError(
                f"`body` must have {ends[0]} inputs and {ends[1]} outputs to fit "
                f"{type(dynamics).__name__}, got layers {body.layers}."
            )
        self.dynamics = dynamics
        self.changes = Changes(dynamics) if changes is None else changes
        self.chance = chance(1.0, dynamics.chance)
        self.best = jnp.asarray(dynamics.best, float)
        self.body, self.batch, self.presentations = body, batch, presentations

    @property
    def window(self) -> int:
        """How many presentations a score is of."""
        return min(_WINDOW, self.presentations)

    def reset(self, *, key: Key[Array, ""]) -> Moving:
        key_begin, key_change, key_noise = jax.random.split(key, 3)
        keys = jax.random.split(key_begin, self.dynamics.beginnings)
        beginnings = jax.vmap(lambda k: self.dynamics.reset(key=k))(keys)
        none = jnp.zeros(self.batch, int)
        queue = (self.changes.longest_delay, self.batch, self.dynamics.outputs)
        return Moving(
            physics=self._begun(beginnings, none),
            starts=jnp.ones(self.batch, bool),
            age=none,
            episode=none,
            beginnings=beginnings,
            change=self.changes.draw(key=key_change),
            waiting=jnp.zeros(queue),
            rewards=jnp.zeros(self.window),
            key=key_noise,
            time=jnp.zeros((), int),
        )

    def observe(self, world: Moving) -> Clamped:
        change = self.changes.now(world.change, world.time)
        values = jax.vmap(self.dynamics.sense)(world.physics)
        if change.sensing is not None:
            values = values @ change.sensing
        if change.noise is not None:
            key = jax.random.fold_in(world.key, world.time)
            values = values + change.noise * jax.random.normal(key, values.shape, values.dtype)
        return Clamped(values, jnp.ones(values.shape, bool), world.starts)

    def respond(self, world: Moving, outputs: Float[Array, "batch outputs"]):
        change = self.changes.now(world.change, world.time)
        waiting, acting = _delayed(world.waiting, jax.lax.stop_gradient(outputs), change)
        if change.acting is not None:
            acting = acting @ change.acting
        physics, reward, over = jax.vmap(
            lambda one, outputs: self.dynamics.move(one, outputs, change.factors)
        )(world.physics, acting)
        ends = over | (world.age + 1 >= self.dynamics.limit)
        episode = world.episode + ends.astype(int)
        rewards = world.rewards.at[world.time % self.window].set(reward.mean())
        after = Moving(
            physics=_by_row(ends, self._begun(world.beginnings, episode), physics),
            starts=ends,
            age=jnp.where(ends, 0, world.age + 1),
            episode=episode,
            beginnings=world.beginnings,
            change=world.change,
            waiting=jnp.where(ends[None, :, None], 0.0, waiting),
            rewards=rewards,
            key=world.key,
            time=world.time + 1,
        )
        return after, _feedback(outputs, reward), self._outcome(after)

    def test(self, world: Moving, network: Frozen, *, part: Part, key: Key[Array, ""]):
        position_of(part)  # the world is in no part, but an unknown one is an error
        return self._outcome(world)

    def _begun(self, beginnings: PyTree, episode: Int[Array, " batch"]) -> PyTree:
        """The states in which these episodes begin; rows begin in different ones."""
        which = (jnp.arange(self.batch) + episode) % self.dynamics.beginnings
        return jax.tree.map(lambda x: x[which], beginnings)

    def _outcome(self, world: Moving) -> Outcome:
        score = self.dynamics.score(world.rewards)
        loss = (self.best - score) / (self.best - self.chance.score)
        loss = jnp.clip(loss, 0.0, DIVERGED_AT * self.chance.loss)
        unknown = Outcome(self.chance.loss, self.chance.score, jnp.zeros(()))
        known = Outcome(loss, score, jnp.ones(()))
        return select(world.time >= self.window, known, unknown)


def control(
    dynamics: AbstractDynamics,
    hidden: tuple[int, ...],
    batch: int,
    presentations: int,
    *,
    at: int,
    **changes: Any,
) -> Control:
    """The problem of moving a body, `changes` being the other options of `Changes`."""
    check_sizes(presentations=presentations)
    if at >= presentations:
        raise ValueError(
            f"`at` must be less than the {presentations} presentations, or the body never "
            f"changes, got {at}."
        )
    return Control(
        dynamics,
        Changes(dynamics, at=at, **changes),
        body=layered((dynamics.sensors, dynamics.outputs), hidden),
        batch=batch,
        presentations=presentations,
    )


def _delayed(
    waiting: Float[Array, "delay batch outputs"],
    outputs: Float[Array, "batch outputs"],
    change: Change,
) -> tuple[Float[Array, "delay batch outputs"], Float[Array, "batch outputs"]]:
    """The outputs that now wait, and those that now act."""
    if change.delay is None:
        return waiting, outputs
    line = jnp.concatenate([outputs[None], waiting])
    return line[:-1], line[change.delay]


def _feedback(
    outputs: Float[Array, "batch outputs"], reward: Float[Array, " batch"]
) -> Feedback:
    nothing, never = jnp.zeros_like(outputs), jnp.zeros(reward.shape, bool)
    target = Clamped(nothing, jnp.zeros(outputs.shape, bool), ~never)
    return Feedback(target, nothing, reward, never)


def _by_row(flags: Bool[Array, " batch"], this: PyTree, other: PyTree) -> PyTree:
    """The rows of `this` where their flags are set, else those of `other`."""

    def rows(a: Array, b: Array) -> Array:
        return jnp.where(flags.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(rows, this, other)
