import dataclasses
from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._registry import near
from ._base import AbstractProblem, Frozen, Outcome, Part
from ._classification import Classification, Stream
from ._supervised import cross_entropy, share_right

Order = Literal["sequential", "mixed"]
Looks = Literal["fixed", "permuted"]
_LOOKS = ("fixed", "permuted")


def _sequential(key: Key[Array, ""], of_time: Int[Array, " times"], tasks: int, batch: int):
    return jnp.broadcast_to(of_time[:, None], (len(of_time), batch))


def _mixed(key: Key[Array, ""], of_time: Int[Array, " times"], tasks: int, batch: int):
    return jax.random.randint(key, (len(of_time), batch), 0, tasks)


# Tells which task each row of each presentation is of.
_ORDERS: dict[str, Callable[..., Int[Array, "times batch"]]] = {
    "sequential": _sequential,
    "mixed": _mixed,
}


class Course(eqx.Module):
    """The world of several tasks: which example of which task comes when, and its looks."""

    stream: Stream
    tasks: Int[Array, "presentations batch"]
    views: Int[Array, "tasks n"] | None


@final
class Continual(AbstractProblem[Course]):
    r"""Several tasks one after the other in one life, over the data of one problem.

    A task is the examples of some classes of a problem of classification, with equally many
    presentations for each task. There is one set of outputs for all tasks, and nothing tells
    which task it is; with the last presentation of each, the feedback's `boundary` is true.
    Loss, error and score of a presentation are those of the problem.

    It is tested on each task apart: on the examples of its classes in the part, seen as this
    task sees them, by balanced accuracy among *all* outputs. So test outcomes lead with an
    axis of tasks; a task weighs as much as it has classes, and the weighted mean is the
    balanced accuracy on all: [`overall`][plasticgym.envs.AbstractProblem.overall].

    **Arguments:**

    - `problem`: gives data, body, batch and the length of the whole life.
    - `tasks`: the classes of each task.
    - `looks`: `"fixed"`, or in each world and each task pixels are `"permuted"` in another
      way.
    - `order`: `"sequential"`, or `"mixed"`: each row of each presentation is of a random
      task. A plain rule on the mixed problem is joint training.

    **Raises:**

    - `ValueError`: if there is no task or one without classes, a task names a class that
      there is not, there are fewer presentations than tasks, `looks` or `order` is unknown,
      or the problem has a view of its own.

    ??? cite "Reference"

        Goodfellow, Mirza, Xiao, Courville, Bengio, "An empirical investigation of
        catastrophic forgetting in gradient-based neural networks", 2013. Zenke, Poole,
        Ganguli, "Continual learning through synaptic intelligence", ICML 2017.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> digits = pg.envs.digits(presentations=20)
        >>> problem = pg.envs.Continual(digits, ((0, 1), (2, 3), (4, 5)))
        >>> problem.ends
        (6, 13, 20)
        >>> record = pg.envs.live(
        ...     pg.rules.SGD(), problem, key=jax.random.key(0), tests=problem.ends
        ... )
        >>> record.tests.score.shape  # after each task, on each task
        (3, 3)

        ```
    """

    problem: Classification
    chance: Outcome
    rows: Int[Array, "tasks most"]
    belongs: Float[Array, "tasks classes"]
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    tasks: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    counts: tuple[int, ...] = eqx.field(static=True)
    looks: Looks = eqx.field(static=True)
    order: Order = eqx.field(static=True)

    def __init__(
        self,
        problem: Classification,
        tasks: tuple[tuple[int, ...], ...],
        *,
        looks: Looks = "fixed",
        order: Order = "sequential",
    ):
        _check(problem, tasks, looks, order)
        self.tasks = tuple(tuple(classes) for classes in tasks)
        self.problem, self.chance, self.body = problem, problem.chance, problem.body
        self.batch, self.presentations = problem.batch, problem.presentations
        self.looks, self.order = looks, order
        classes = np.asarray(problem.train.classes)
        rows = [np.flatnonzero(np.isin(classes, task)) for task in self.tasks]
        most = max(map(len, rows))
        self.rows = jnp.asarray(np.stack([np.resize(r, most) for r in rows]), int)
        self.counts = tuple(map(len, rows))
        every = range(problem.body.layers[-1])
        belongs = [[float(c in task) for c in every] for task in self.tasks]
        self.belongs = jnp.asarray(belongs, float)

    @property
    def ends(self) -> tuple[int, ...]:
        count = len(self.tasks)
        return tuple((i + 1) * self.presentations // count for i in range(count))

    @property
    def past(self) -> tuple[int, ...]:
        starts, ends = (0, *self.ends[:-1]), self.ends
        shown = [self.batch * (end - start) for start, end in zip(starts, ends, strict=True)]
        return tuple(map(min, shown[:-1], self.counts[:-1]))

    def reset(self, *, key: Key[Array, ""]) -> Course:
        key_rows, key_tasks, key_views = jax.random.split(key, 3)
        size, count = (self.presentations, self.batch), len(self.tasks)
        of_time = np.searchsorted(self.ends, np.arange(self.presentations), side="right")
        tasks = _ORDERS[self.order](key_tasks, jnp.asarray(of_time, int), count, self.batch)
        drawn = jax.random.uniform(key_rows, size) * jnp.asarray(self.counts, float)[tasks]
        stream = Stream(self.rows[tasks, drawn.astype(int)], jnp.zeros((), int), None)
        views = None
        if self.looks == "permuted":
            pixels = jnp.arange(self.body.layers[0])
            shuffle = lambda key: jax.random.permutation(key, pixels)  # noqa: E731
            views = jax.vmap(shuffle)(jax.random.split(key_views, count))
        return Course(stream, tasks, views)

    def observe(self, world: Course) -> Clamped:
        seen = self.problem.observe(world.stream)
        if world.views is None:
            return seen
        views = world.views[world.tasks[world.stream.time]]
        return Clamped.full(jnp.take_along_axis(seen.values, views, axis=1))

    def respond(self, world: Course, outputs: Float[Array, "batch outputs"]):
        stream, feedback, outcome = self.problem.respond(world.stream, outputs)
        ends = jnp.isin(stream.time, jnp.asarray(self.ends, int))
        boundary = jnp.broadcast_to(ends, (self.batch,))
        feedback = dataclasses.replace(feedback, boundary=boundary)
        return Course(stream, world.tasks, world.views), feedback, outcome

    def test(self, world: Course, network: Frozen, *, part: Part, key: Key[Array, ""]):
        examples = self.problem.part(part)
        inputs = self.problem.shown(world.stream, examples.inputs)[None]
        if world.views is not None:
            inputs = jax.vmap(lambda view: inputs[0][:, view])(world.views)
        seen = inputs.reshape(-1, inputs.shape[-1])
        outputs = network(seen, key=key).reshape(*inputs.shape[:2], -1)
        classes = examples.classes.astype(int)
        target = jax.nn.one_hot(classes, outputs.shape[-1], dtype=outputs.dtype)
        losses = jax.vmap(lambda y: cross_entropy(y, target)[0])(outputs)
        right = jax.vmap(lambda y: share_right(y, classes))(outputs)
        mine = self.belongs @ target.T
        recall = (right @ target) / target.sum(0)[None]
        sizes = self.belongs.sum(1)
        return Outcome(
            loss=(losses * mine).sum(1) / mine.sum(1),
            score=(recall * self.belongs).sum(1) / sizes,
            weight=sizes / sizes.mean(),
        )

    def overall(self, outcome: Outcome) -> Outcome:
        total = outcome.weight.sum(-1)
        mean = lambda values: (values * outcome.weight).sum(-1) / total  # noqa: E731
        return Outcome(mean(outcome.loss), mean(outcome.score), jnp.ones_like(total))


def _check(problem: Classification, tasks, looks: str, order: str) -> None:
    """Raises a `ValueError` naming the argument that does not fit."""
    if looks not in _LOOKS:
        raise ValueError(f"unknown `looks` {looks!r}; {near(looks, list(_LOOKS))}")
    if order not in _ORDERS:
        raise ValueError(f"unknown `order` {order!r}; {near(order, list(_ORDERS))}")
    if problem.view != "fixed":
        raise ValueError(
            f'`problem` must have the view "fixed", got {problem.view!r}; give `looks` to '
            "permute the inputs of each task."
        )
    classes = problem.body.layers[-1]
    named = isinstance(tasks, tuple | list) and len(tasks) > 0
    if not named or not all(isinstance(t, tuple | list) and len(t) > 0 for t in tasks):
        raise ValueError(
            "`tasks` must be a tuple with the classes of each task, such as ((0, 1), (2, 3)), "
            f"got {tasks!r}."
        )
    for number in (number for task in tasks for number in task):
        whole = isinstance(number, int) and not isinstance(number, bool)
        if not whole or not 0 <= number < classes:
            raise ValueError(
                f"`tasks` must name classes from 0 to {classes - 1}, got {number!r}."
            )
    if problem.presentations < len(tasks):
        raise ValueError(
            f"`presentations` must be at least one for each of the {len(tasks)} tasks, got "
            f"{problem.presentations}."
        )
