import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ..rules._check_sizes import check_sizes
from ..rules._registry import near
from ._classification import Classification, Examples, View
from ._tables import layered

_Points = np.ndarray
_PARTS = {"train": 1000, "validation": 500, "test": 500}
_NOISE = 0.15


def plane(
    function: str,
    *,
    hidden: tuple[int, ...] = (20,),
    batch: int = 32,
    presentations: int = 50,
    view: View = "fixed",
) -> Classification:
    """Two classes of points in the plane, told apart by a function.

    `"xor"`, `"nxor"`, `"or"`, `"and"`: of the signs of the coordinates of uniform points
    in the square [-1, 1]^2. `"circle"`, `"slice"`, `"cross"`, `"triangle"`: inside or
    outside of that shape in the square. `"moons"`: two noisy half circles that interlock.
    `"blobs"`: five clouds, of two and three per class.

    Every function has 1,000 train, 500 validation and 500 test points, drawn once and for
    all; a world draws its stream from the first.

    Args:
        function: one of the names above.
        hidden: sizes of the hidden layers.
        batch: points in a presentation.
        presentations: length of a life.
        view: `"fixed"`, `"permuted"` or `"rotated"` inputs, drawn per world.

    Raises:
        ValueError: if the function is unknown, a size is not positive or the view is
            unknown.

    Source: the tasks follow Sandler et al. (2021); their exact shapes are ours.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.plane("moons").body.layers
        (2, 20, 2)

        ```
    """
    check_sizes(batch=batch, presentations=presentations)
    if function not in FUNCTIONS:
        raise ValueError(f"unknown `function` {function!r}; {near(function, list(FUNCTIONS))}")
    train, validation, test = _parts(function)
    return Classification(
        train,
        validation,
        test,
        body=layered((2, 2), hidden),
        batch=batch,
        presentations=presentations,
        view=view,
    )


def _square(inside: Callable[[_Points, _Points], np.ndarray]) -> Callable:
    """Uniform points in [-1, 1]^2 and whether each is inside."""

    def draw(rows: int, rng: np.random.Generator) -> tuple[_Points, np.ndarray]:
        points = rng.uniform(-1, 1, (rows, 2))
        return points, inside(points[:, 0], points[:, 1])

    return draw


def _moons(rows: int, rng: np.random.Generator) -> tuple[_Points, np.ndarray]:
    upper = rng.random(rows) < 0.5
    angle = rng.uniform(0, np.pi, rows)
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    y = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return np.stack([x, y], 1) + rng.normal(0, _NOISE, (rows, 2)), upper


def _blobs(rows: int, rng: np.random.Generator) -> tuple[_Points, np.ndarray]:
    centres = np.array([[-0.7, -0.6], [0.7, 0.6], [0.0, 0.0], [-0.6, 0.7], [0.6, -0.7]])
    which = rng.integers(0, 5, rows)
    return centres[which] + rng.normal(0, _NOISE, (rows, 2)), which < 2


def _triangle(x: _Points, y: _Points) -> np.ndarray:
    return (y > -0.7) & (y < 0.8 - 1.7 * np.abs(x))


FUNCTIONS: dict[str, Callable] = {
    "xor": _square(lambda x, y: (x > 0) ^ (y > 0)),
    "nxor": _square(lambda x, y: (x > 0) == (y > 0)),
    "or": _square(lambda x, y: (x > 0) | (y > 0)),
    "and": _square(lambda x, y: (x > 0) & (y > 0)),
    "moons": _moons,
    "circle": _square(lambda x, y: x**2 + y**2 < 0.8**2),
    "slice": _square(lambda x, y: np.abs(np.arctan2(y, x)) < np.pi / 4),
    "cross": _square(lambda x, y: (np.abs(x) < 0.3) | (np.abs(y) < 0.3)),
    "triangle": _square(_triangle),
    "blobs": _blobs,
}


@functools.cache
def _parts(function: str) -> tuple[Examples, ...]:
    rng = np.random.default_rng([*function.encode()])
    parts = []
    for rows in _PARTS.values():
        points, classes = FUNCTIONS[function](rows, rng)
        with jax.ensure_compile_time_eval():  # what is cached must not belong to a trace
            points, classes = jnp.asarray(points, jnp.float32), jnp.asarray(classes, jnp.uint8)
        parts.append(Examples(points, classes))
    return tuple(parts)
