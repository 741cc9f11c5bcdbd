from typing import Literal

from ._classification import evenly_scaled
from ._continual import Continual, Order
from ._images import mnist
from ._tables import digits

_HALVES = ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9))


def split_digits(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 40,
    tasks: tuple[tuple[int, ...], ...] = _HALVES,
    order: Order = "sequential",
    side: Literal[2, 4, 8] = 8,
) -> Continual:
    """The digits 0 to 4 and then 5 to 9, or other tasks, with one set of ten outputs.

    Data and parts are those of [`digits`][plasticgym.envs.digits], what is tested that of
    [`Continual`][plasticgym.envs.Continual]. Pixels are centred each by its own mean and
    divided by the deviation of all together, as those of MNIST.

    Args:
        hidden: sizes of the hidden layers.
        batch: examples in a presentation.
        presentations: length of the whole life, the same share for each task.
        tasks: the classes of each task.
        order: `"sequential"`, or `"mixed"` for all tasks at once.
        side: of the images in pixels.

    Raises:
        ValueError: if a size is not positive, there are fewer presentations than tasks, a
            task has no class or one that there is not, or a name is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.split_digits(tasks=((0, 1), (2, 3), (4, 5)), presentations=60).ends
        (20, 40, 60)

        ```
    """
    base = digits(hidden=hidden, batch=batch, presentations=presentations, side=side)
    return Continual(evenly_scaled(base), tasks, order=order)


def split_mnist(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 40,
    tasks: tuple[tuple[int, ...], ...] = _HALVES,
    order: Order = "sequential",
    side: Literal[8, 10, 14, 28] = 28,
    full: bool = False,
    download: bool = False,
) -> Continual:
    """The digits 0 to 4 and then 5 to 9 of [`mnist`][plasticgym.envs.mnist].

    Args:
        hidden, batch, presentations, tasks, order: as for
            [`split_digits`][plasticgym.envs.split_digits].
        side, full, download: as for [`mnist`][plasticgym.envs.mnist].

    Raises:
        ValueError: as for `split_digits`.
        ModuleNotFoundError, FileNotFoundError, ConnectionError: as for `mnist`.

    !!! example

        ```python
        problem = pg.envs.split_mnist(side=14, hidden=(100,), presentations=1200)
        ```
    """
    sizes = {"hidden": hidden, "batch": batch, "presentations": presentations}
    base = mnist(**sizes, side=side, full=full, download=download)
    return Continual(base, tasks, order=order)
