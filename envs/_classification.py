from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ..rules._registry import near
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._supervised import cross_entropy, drawn_rows, position_of, rows_at, share_right, teaching

View = Literal["fixed", "permuted", "rotated"]


def _orthogonal(key: Key[Array, ""], n: int) -> Float[Array, "n n"]:
    return jax.random.orthogonal(key, n)


def _permutation(key: Key[Array, ""], n: int) -> Float[Array, "n n"]:
    return jnp.eye(n)[jax.random.permutation(key, n)]


# Draws the matrix through which a world shows its inputs.
_VIEWS: dict[str, Callable[..., Float[Array, "n n"] | None]] = {
    "fixed": lambda key, n: None,
    "permuted": _permutation,
    "rotated": _orthogonal,
}


class Examples(eqx.Module):
    """Inputs of shape `(rows, n)`, in their raw type, and classes of shape `(rows,)`."""

    inputs: Array
    classes: UInt8[Array, " rows"]


class Stream(eqx.Module):
    """The world of a data set: an order of examples, and how inputs look in it."""

    order: Int[Array, "presentations batch"]
    time: Int[Array, ""]
    view: Float[Array, "n n"] | None


@final
class Classification(AbstractProblem[Stream]):
    r"""Learning to tell classes apart from a stream of examples.

    A world draws `presentations` batches from the train part, uniformly and with
    replacement. Inputs are standardised by the mean and deviation of the train part.
    With $p$ the softmax of the outputs and $t$ the one-hot target, the loss is
    $-\log p_t$ and the error $t - p$. The score of a presentation is the share of its
    batch that is right; the score of a held-out part is balanced accuracy, the mean over
    classes of the share that is right.

    **Arguments:**

    - `train`, `validation`, `held_out`: the three parts; lives never see the other two.
    - `body`: its ends must fit inputs and classes.
    - `batch`, `presentations`: the size of a life.
    - `view`: `"fixed"`, or in each world inputs are `"permuted"` or `"rotated"` in its
      own way, in all parts alike.

    **Raises:**

    - `ValueError`: if a size is not positive, the ends of the body do not fit the data,
      or the view is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> round(float(pg.envs.digits().chance.loss), 2)
        2.3

        ```
    """

    train: Examples
    validation: Examples
    held_out: Examples
    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    view: View = eqx.field(static=True)

    def __init__(
        self,
        train: Examples,
        validation: Examples,
        held_out: Examples,
        *,
        body: Body,
        batch: int,
        presentations: int,
        view: View = "fixed",
    ):
        check_sizes(batch=batch, presentations=presentations)
        _check_parts(train=train, validation=validation, held_out=held_out)
        if view not in _VIEWS:
            raise ValueError(f"unknown `view` {view!r}; {near(view, list(_VIEWS))}")
        counts = np.bincount(np.asarray(train.classes))
        ends = (train.inputs.shape[1], len(counts))
        if (body.layers[0], body.layers[-1]) != ends:
            raise ValueError(
                f"`body` must have {ends[0]} inputs and {ends[1]} outputs to fit the data, "
                f"got layers {body.layers}."
            )
        raw = np.asarray(train.inputs, np.float64)
        deviation = raw.std(0)
        frequencies = counts / counts.sum()
        self.train, self.validation, self.held_out = train, validation, held_out
        self.mean = jnp.asarray(raw.mean(0), float)
        self.deviation = jnp.asarray(np.where(deviation > 0, deviation, 1.0), float)
        self.chance = chance(-(frequencies * np.log(frequencies)).sum(), 1 / len(counts))
        self.body, self.batch, self.presentations = body, batch, presentations
        self.view = view

    @property
    def classes(self) -> int:
        """How many classes examples are of."""
        return self.body.layers[-1]

    @property
    def examples(self) -> int:
        return min(self.presentations * self.batch, self.train.classes.shape[0])

    def reset(self, *, key: Key[Array, ""]) -> Stream:
        rows, size = self.train.classes.shape[0], (self.presentations, self.batch)
        order = drawn_rows(rows, size, key=key)
        view = _VIEWS[self.view](jax.random.fold_in(key, 1), self.body.layers[0])
        return Stream(order, jnp.zeros((), int), view)

    def observe(self, world: Stream) -> Clamped:
        return Clamped.full(self.shown(world, self.train.inputs[self._rows(world)]))

    def respond(self, world: Stream, outputs: Float[Array, "batch outputs"]):
        classes = self.train.classes[self._rows(world)].astype(int)
        target = jax.nn.one_hot(classes, outputs.shape[1], dtype=outputs.dtype)
        losses, error = cross_entropy(outputs, target)
        outcome = Outcome(losses.mean(), share_right(outputs, classes).mean(), jnp.ones(()))
        later = Stream(world.order, world.time + 1, world.view)
        return later, teaching(target, error, losses), outcome

    def test(self, world: Stream, network: Frozen, *, part: Part, key: Key[Array, ""]):
        examples = self.part(part)
        outputs = network(self.shown(world, examples.inputs), key=key)
        classes = examples.classes.astype(int)
        target = jax.nn.one_hot(classes, outputs.shape[1], dtype=outputs.dtype)
        losses, _ = cross_entropy(outputs, target)
        recall = (share_right(outputs, classes) @ target) / target.sum(0)
        return Outcome(losses.mean(), recall.mean(), jnp.ones(()))

    def part(self, part: Part) -> Examples:
        """The examples of the part of this name."""
        return (self.train, self.validation, self.held_out)[position_of(part)]

    def shown(self, world: Stream, raw: Array) -> Float[Array, "rows n"]:
        """Inputs as a network meets them in this world: standardised, through its view."""
        inputs = (raw.astype(self.mean.dtype) - self.mean[None]) / self.deviation[None]
        return inputs if world.view is None else inputs @ world.view

    def _rows(self, world: Stream) -> Int[Array, " batch"]:
        return rows_at(world.order, world.time)


def evenly_scaled(problem: Classification) -> Classification:
    """The same problem with all inputs divided by one deviation, that of all together.

    Pixels that are nearly always 0 are then no louder than others where they are not.
    """
    raw = np.asarray(problem.train.inputs, float)
    together = jnp.full_like(problem.deviation, np.sqrt(np.square(raw.std(0)).mean()))
    return eqx.tree_at(lambda p: p.deviation, problem, together)


def _check_parts(**parts: Examples) -> None:
    """Raises a `ValueError` naming the part that does not fit."""
    classes = np.unique(np.asarray(parts["train"].classes))
    columns = parts["train"].inputs.shape[-1]
    for name, part in parts.items():
        found = np.unique(np.asarray(part.classes))
        if part.inputs.shape != (part.classes.shape[0], columns):
            raise ValueError(
                f"`{name}` must have inputs of shape ({part.classes.shape[0]}, {columns}), "
                f"got {part.inputs.shape}."
            )
        if not np.array_equal(found, np.arange(len(classes))):
            raise ValueError(
                f"`{name}` must hold examples of each class from 0 to {len(classes) - 1} "
                f"and no other, got classes {found.tolist()}."
            )
        if not np.isfinite(np.asarray(part.inputs, np.float64)).all():
            raise ValueError(f"`{name}` must have finite inputs.")
