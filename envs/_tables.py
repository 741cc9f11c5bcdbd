import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..rules import Body
from ..rules._check_sizes import check_sizes
from ._classification import Classification, Examples, View


def digits(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    view: View = "fixed",
    side: Literal[2, 4, 8] = 8,
) -> Classification:
    """Real handwritten digits: 1,797 images of 8x8 pixels in 10 classes.

    Split once and for all, stratified by class: 997 train, 300 validation, 500 test.

    Args:
        hidden: sizes of the hidden layers.
        batch: examples in a presentation.
        presentations: length of a life.
        view: `"fixed"`, `"permuted"` or `"rotated"` inputs, drawn per world.
        side: of the images in pixels; 4 and 2 are averages over squares of the 8x8 ones.

    Raises:
        ValueError: if a size is not positive, or the view or the side is unknown.

    Source: Alpaydin and Kaynak (1998), as bundled with scikit-learn.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.digits(hidden=(16,)).body.layers
        (64, 16, 10)

        ```
    """
    if side not in (2, 4, 8):
        raise ValueError(f"`side` must be 2, 4 or 8, got {side!r}.")
    return _problem("digits", (300, 500), hidden, batch, presentations, view, _pooled(side))


def wine(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    view: View = "fixed",
) -> Classification:
    """Wines of three growers by chemical analysis: 178 rows of 13 measurements.

    Split once and for all, stratified by class: 98 train, 30 validation, 50 test.
    Arguments and errors as for [`digits`][plasticgym.envs.digits].

    Source: Aeberhard and Forina (1992), as bundled with scikit-learn.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.wine().body.layers
        (13, 32, 3)

        ```
    """
    return _problem("wine", (30, 50), hidden, batch, presentations, view)


def breast_cancer(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    view: View = "fixed",
) -> Classification:
    """Malignant and benign tumours by cell nuclei: 569 rows of 30 measurements.

    Split once and for all, stratified by class: 319 train, 100 validation, 150 test.
    Arguments and errors as for [`digits`][plasticgym.envs.digits].

    Source: Wolberg, Mangasarian, Street and Street (1993), as bundled with scikit-learn.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.breast_cancer().body.layers
        (30, 32, 2)

        ```
    """
    return _problem("breast_cancer", (100, 150), hidden, batch, presentations, view)


def _problem(
    name: str,
    held_out: tuple[int, int],
    hidden: tuple[int, ...],
    batch: int,
    presentations: int,
    view: View,
    shown: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Classification:
    check_sizes(batch=batch, presentations=presentations)
    train, validation, test = _parts(name, *held_out, shown)
    ends = train.inputs.shape[1], int(train.classes.max()) + 1
    return Classification(
        train,
        validation,
        test,
        body=layered(ends, hidden),
        batch=batch,
        presentations=presentations,
        view=view,
    )


def layered(ends: tuple[int, int], hidden: tuple[int, ...]) -> Body:
    """A body between inputs and outputs; `hidden` may be empty."""
    if not isinstance(hidden, tuple | list):
        raise ValueError(f"`hidden` must be a tuple of sizes, got {hidden!r}.")
    for size in hidden:
        check_sizes(hidden=size)
    return Body((ends[0], *hidden, ends[1]))


@functools.cache
def _pooled(side: int) -> Callable[[np.ndarray], np.ndarray] | None:
    """Averages 8x8 images over squares, down to `side` x `side` pixels."""
    width = 8 // side
    if width == 1:
        return None
    return lambda images: (
        images.reshape(-1, side, width, side, width).mean((2, 4)).reshape(-1, side * side)
    )


@functools.cache
def _parts(
    name: str,
    validation: int,
    test: int,
    shown: Callable[[np.ndarray], np.ndarray] | None,
) -> tuple[Examples, Examples, Examples]:
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    load: Callable = getattr(datasets, f"load_{name}")
    inputs, classes = load(return_X_y=True)
    inputs = inputs if shown is None else shown(inputs)
    small = bool((inputs == inputs.astype(np.uint8)).all())  # images: a byte per pixel
    inputs = inputs.astype(np.uint8 if small else np.float32)
    classes = classes.astype(np.uint8)
    rows = np.arange(len(classes))
    rest, tested = train_test_split(rows, test_size=test, stratify=classes, random_state=0)
    trained, validated = train_test_split(
        rest, test_size=validation, stratify=classes[rest], random_state=0
    )
    # What is cached must not belong to a trace.
    with jax.ensure_compile_time_eval():
        train_, validation_, test_ = (
            Examples(jnp.asarray(inputs[part]), jnp.asarray(classes[part]))
            for part in (trained, validated, tested)
        )
    return train_, validation_, test_
