import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._supervised import drawn_rows, position_of, rows_at, teaching


class Pairs(eqx.Module):
    """Inputs of shape `(rows, n)`, and targets unless a teacher answers the inputs."""

    inputs: Float[Array, "rows n"]
    targets: Float[Array, "rows outputs"] | None = None


class AbstractTeacher(eqx.Module):
    """What answers the inputs, drawn anew in each world.

    Answers are standardised: over the train part and the worlds there are, each has mean
    square deviation 1 from its mean in its world.
    """

    outputs: eqx.AbstractVar[int]

    @abc.abstractmethod
    def draw(self, inputs: Float[Array, "rows n"], *, key: Key[Array, ""]) -> PyTree:
        """What a world's answers depend on; `inputs` are those of the train part."""

    @abc.abstractmethod
    def answer(
        self, drawn: PyTree, inputs: Float[Array, "rows n"]
    ) -> Float[Array, "rows outputs"]:
        """The answers to raw inputs in the world for which this was drawn."""


class Lesson(eqx.Module):
    """The world of a regression: an order of rows, and what its teacher drew."""

    order: Int[Array, "presentations batch"]
    time: Int[Array, ""]
    drawn: PyTree


@final
class Regression(AbstractProblem[Lesson]):
    r"""Learning real-valued targets from a stream of examples.

    A world draws `presentations` batches from the train part, uniformly and with
    replacement, and whatever its teacher is drawn from. Inputs, and targets that no teacher
    gives, are standardised by the mean and deviation of the train part. The loss of an
    example is $\frac{1}{2} |t - y|^2$ with outputs $y$ and target $t$, the error $t - y$.
    The score is $R^2$: 1 - loss / chance loss, where chance always says the mean of the
    train part; for drawn teachers its loss is the average over worlds.

    **Arguments:**

    - `train`, `validation`, `held_out`: the three parts; lives never see the other two.
    - `teacher`: answers the inputs of all parts; `None` if the parts hold targets.
    - `body`: its ends must fit inputs and targets.
    - `batch`, `presentations`: the size of a life.

    **Raises:**

    - `ValueError`: if a size is not positive, the parts do not fit each other or the body,
      or targets are missing or needless.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.envs.diabetes().chance.loss)
        0.5

        ```
    """

    train: Pairs
    validation: Pairs
    held_out: Pairs
    teacher: AbstractTeacher | None
    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]
    target_mean: Float[Array, " outputs"]
    target_deviation: Float[Array, " outputs"]
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)

    def __init__(
        self,
        train: Pairs,
        validation: Pairs,
        held_out: Pairs,
        *,
        teacher: AbstractTeacher | None = None,
        body: Body,
        batch: int,
        presentations: int,
    ):
        check_sizes(batch=batch, presentations=presentations)
        outputs = _checked_outputs(teacher, train, validation, held_out)
        ends = (train.inputs.shape[1], outputs)
        if (body.layers[0], body.layers[-1]) != ends:
            raise ValueError(
                f"`body` must have {ends[0]} inputs and {ends[1]} outputs to fit the data, "
                f"got layers {body.layers}."
            )
        # A teacher's answers are standardised already.
        targets = train.targets if teacher is None else [[-1.0] * outputs, [1.0] * outputs]
        self.train, self.validation, self.held_out = train, validation, held_out
        self.teacher = teacher
        self.mean, self.deviation = _statistics(train.inputs)
        self.target_mean, self.target_deviation = _statistics(targets)
        self.chance = chance(outputs / 2, 0.0)
        self.body, self.batch, self.presentations = body, batch, presentations

    def reset(self, *, key: Key[Array, ""]) -> Lesson:
        rows, size = self.train.inputs.shape[0], (self.presentations, self.batch)
        order = drawn_rows(rows, size, key=key)
        drawn = None
        if self.teacher is not None:
            drawn = self.teacher.draw(self.train.inputs, key=jax.random.fold_in(key, 1))
        return Lesson(order, jnp.zeros((), int), drawn)

    def observe(self, world: Lesson) -> Clamped:
        return Clamped.full(self.shown(self._latest(world).inputs))

    def respond(self, world: Lesson, outputs: Float[Array, "batch outputs"]):
        target = self.targets(world, self._latest(world))
        error = target - outputs
        losses = jnp.square(error).sum(1) / 2
        later = Lesson(world.order, world.time + 1, world.drawn)
        return later, teaching(target, error, losses), self._outcome(losses)

    def test(self, world: Lesson, network: Frozen, *, part: Part, key: Key[Array, ""]):
        pairs = (self.train, self.validation, self.held_out)[position_of(part)]
        outputs = network(self.shown(pairs.inputs), key=key)
        errors = self.targets(world, pairs) - outputs
        return self._outcome(jnp.square(errors).sum(1) / 2)

    def shown(self, raw: Float[Array, "rows n"]) -> Float[Array, "rows n"]:
        """Inputs as a network meets them: standardised."""
        return (raw - self.mean[None]) / self.deviation[None]

    def targets(self, world: Lesson, pairs: Pairs) -> Float[Array, "rows outputs"]:
        """What the outputs should be in this world: standardised."""
        if self.teacher is not None:
            return self.teacher.answer(world.drawn, pairs.inputs)
        assert pairs.targets is not None  # checked when it was built
        return (pairs.targets - self.target_mean[None]) / self.target_deviation[None]

    def _latest(self, world: Lesson) -> Pairs:
        rows = rows_at(world.order, world.time)
        return jax.tree.map(lambda leaf: leaf[rows], self.train)

    def _outcome(self, losses: Float[Array, " rows"]) -> Outcome:
        loss = losses.mean()
        return Outcome(loss, 1 - loss / self.chance.loss, jnp.ones(()))


def _statistics(values) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and deviation of each column; those that do not vary are left unscaled."""
    values = np.asarray(values, np.float64)
    deviation = values.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return jnp.asarray(values.mean(0), float), jnp.asarray(deviation, float)


def _checked_outputs(teacher: AbstractTeacher | None, *parts: Pairs) -> int:
    """How many outputs there are; raises a `ValueError` naming the part that does not fit."""
    columns = parts[0].inputs.shape[-1]
    outputs = teacher.outputs if teacher is not None else None
    for name, part in zip(("train", "validation", "held_out"), parts, strict=True):
        rows = part.inputs.shape[0]
        if part.inputs.shape != (rows, columns):
            raise ValueError(
                f"`{name}` must have inputs of shape ({rows}, {columns}), "
                f"got {part.inputs.shape}."
            )
        if (part.targets is None) != (teacher is not None):
            told = "no targets: the teacher gives" if teacher else "targets, or a teacher give"
            raise ValueError(f"`{name}` must have {told} them.")
        if part.targets is not None:
            outputs = outputs or part.targets.shape[-1]
            if part.targets.shape != (rows, outputs):
                raise ValueError(
                    f"`{name}` must have targets of shape ({rows}, {outputs}), "
                    f"got {part.targets.shape}."
                )
        if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(part)):
            raise ValueError(f"`{name}` must have finite inputs and targets.")
    assert outputs is not None
    return outputs
