from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._base import Frozen
from ._classification import Classification
from ._lifetime import keys_of
from ._role import AbstractRole, Episode, bounded

TILES = 4  # of the numbers that a synapse or a neuron holds, so many are shown
_CELLS = 64  # of the decision surface, along each side

# By the name of what is held: for each layer or block, `(tiles, rows, columns)`.
Stacks = dict[str, list[np.ndarray | None]]


class Points(NamedTuple):
    """Points of the plane, of shape `(rows, 2)`, and their classes, of shape `(rows,)`."""

    inputs: np.ndarray
    classes: np.ndarray


class Plane(NamedTuple):
    """What a network says of the points of the plane.

    `surface` has shape `(cells, cells, classes)`, its first row at the bottom; `box` is
    (left, right, bottom, top); `train` is the train part, `batch` the latest
    presentation.
    """

    surface: np.ndarray
    box: tuple[float, float, float, float]
    train: Points
    batch: Points


class Scene(NamedTuple):
    """All that a picture of a network shows, in numpy.

    `curve` has a row of time, loss and score for each look at it.
    """

    time: int
    last: int
    chance: tuple[float, float]
    curve: np.ndarray
    synapses: Stacks
    neurons: Stacks
    plane: Plane | None
    diverged: bool


def look(role: AbstractRole, episode: Episode, action: np.ndarray, curve: list[tuple]) -> Scene:
    """What there is to see of a life, whose latest action was `action`."""
    problem, life = role.problem, episode.life
    rows, plane = None, None
    if isinstance(problem, Classification):
        latest = _latest(episode)
        # Neighbours are of one class, so that one sees what tells classes apart.
        rows = np.argsort(np.asarray(problem.train.classes)[latest], kind="stable")
        if problem.body.layers[0] == 2:
            plane = _plane(role, episode, action)
    neurons = {
        name: [None if each is None else _turned(each, rows) for each in stacks]
        for name, stacks in _stacks(life.state.neurons).items()
    }
    return Scene(
        time=int(life.time),
        last=problem.presentations,
        chance=(float(problem.chance.loss), float(problem.chance.score)),
        curve=np.asarray(curve),
        synapses=_stacks(life.state.synapses),
        neurons=neurons,
        plane=plane,
        diverged=bool(life.diverged),
    )


def _stacks(held: tuple[Any, ...]) -> Stacks:
    """The real leaves by name; axes in front of the last two become tiles."""
    stacks: Stacks = {}
    for place, tree in enumerate(held):
        for path, leaf in jax.tree.flatten_with_path(tree)[0]:
            if leaf.ndim < 2 or not jnp.issubdtype(leaf.dtype, jnp.floating):
                continue
            name = ".".join(jax.tree_util.keystr((key,), simple=True) for key in path)
            tiles = np.asarray(leaf).reshape(-1, *leaf.shape[-2:])[:TILES]
            stacks.setdefault(name, [None] * len(held))[place] = tiles
    return stacks


def _turned(stack: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
    """Neurons as rows, examples in the order of `rows` unless replicas share them out."""
    if rows is not None and len(rows) <= stack.shape[1]:
        stack = stack[:, rows]
    return stack.swapaxes(1, 2)


def _latest(episode: Episode) -> np.ndarray:
    """Which examples of the train part were presented last, or are to be at first."""
    world = episode.life.world
    return np.asarray(world.order)[max(int(world.time) - 1, 0)]


def _plane(role: AbstractRole, episode: Episode, action: np.ndarray) -> Plane:
    problem: Any = role.problem
    train = Points(*map(np.asarray, (problem.train.inputs, problem.train.classes)))
    low, high = train.inputs.min(0), train.inputs.max(0)
    margin = 0.06 * (high - low)
    low, high = low - margin, high + margin
    middles = (np.arange(_CELLS, dtype=low.dtype) + 0.5) / _CELLS  # of the cells
    x, y = np.meshgrid(*(low + (high - low) * middles[:, None]).T)
    grid = np.stack([x.ravel(), y.ravel()], 1)
    surface = np.asarray(_beliefs(role, episode, jnp.asarray(action), jnp.asarray(grid)))
    rows = _latest(episode)
    return Plane(
        surface.reshape(_CELLS, _CELLS, -1),
        (float(low[0]), float(high[0]), float(low[1]), float(high[1])),
        train,
        Points(train.inputs[rows], train.classes[rows]),
    )


@eqx.filter_jit
def _beliefs(
    role: Any,
    episode: Episode,
    action: Float[Array, " actions"],
    points: Float[Array, "points 2"],
) -> Float[Array, "points classes"]:
    """The softmax of what the network says of raw points in its world."""
    life = episode.life
    network = Frozen(role.rule(bounded(role, action)), life.state)
    outputs = network(role.problem.shown(life.world, points), key=keys_of(life)[3])
    return jax.nn.softmax(outputs)
