from typing import Literal

from ..rules._check_sizes import check_sizes
from ._classification import Classification, evenly_scaled
from ._continual import Continual, Order
from ._images import mnist
from ._tables import digits


def permuted_digits(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 50,
    tasks: int = 5,
    order: Order = "sequential",
    side: Literal[2, 4, 8] = 8,
) -> Continual:
    """All ten digits in each task, with the pixels of each permuted in another way.

    Data and parts are those of [`digits`][plasticgym.envs.digits], what is tested that of
    [`Continual`][plasticgym.envs.Continual]. Pixels are centred each by its own mean and
    divided by the deviation of all together, as those of MNIST.

    Args:
        hidden: sizes of the hidden layers.
        batch: examples in a presentation.
        presentations: length of the whole life, the same share for each task.
        tasks: how many there are.
        order: `"sequential"`, or `"mixed"` for all tasks at once.
        side: of the images in pixels.

    Raises:
        ValueError: if a size is not positive, there are fewer presentations than tasks, or a
            name is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.permuted_digits(tasks=3, presentations=60).ends
        (20, 40, 60)

        ```
    """
    base = digits(hidden=hidden, batch=batch, presentations=presentations, side=side)
    return _permuted(evenly_scaled(base), tasks, order)


def permuted_mnist(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 50,
    tasks: int = 5,
    order: Order = "sequential",
    side: Literal[8, 10, 14, 28] = 28,
    full: bool = False,
    download: bool = False,
) -> Continual:
    """All ten digits of [`mnist`][plasticgym.envs.mnist] in each task, pixels permuted.

    Args:
        hidden, batch, presentations, tasks, order: as for
            [`permuted_digits`][plasticgym.envs.permuted_digits].
        side, full, download: as for [`mnist`][plasticgym.envs.mnist].

    Raises:
        ValueError: as for `permuted_digits`.
        ModuleNotFoundError, FileNotFoundError, ConnectionError: as for `mnist`.

    !!! example

        ```python
        problem = pg.envs.permuted_mnist(side=14, hidden=(100, 100), presentations=3000)
        ```
    """
    sizes = {"hidden": hidden, "batch": batch, "presentations": presentations}
    base = mnist(**sizes, side=side, full=full, download=download)
    return _permuted(base, tasks, order)


def _permuted(problem: Classification, tasks: int, order: Order) -> Continual:
    check_sizes(tasks=tasks)
    every = tuple(range(problem.body.layers[-1]))
    return Continual(problem, (every,) * tasks, looks="permuted", order=order)
