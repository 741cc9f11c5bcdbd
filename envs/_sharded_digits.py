from ..rules import Registry, spelled
from ..rules._check_sizes import check_sizes
from ..rules._registry import near
from ._sharded import Sharded
from ._skews import AbstractSkew, Dirichlet, Even, MainClass
from ._stressors import Stressor, label_shift, pixel_shuffle
from ._tables import digits

_SKEWS: Registry[AbstractSkew] = Registry(
    "skew", {"even": Even, "main-class": MainClass, "dirichlet": Dirichlet}, AbstractSkew
)
_STRESSORS: dict[str, Stressor] = {"label-shift": label_shift, "pixel-shuffle": pixel_shuffle}


def sharded_digits(
    *,
    hidden: tuple[int, ...] = (64,),
    batch: int = 200,
    presentations: int = 600,
    k: int = 10,
    measured: int = 0,
    skew: str = "main-class",
    stressor: str | None = None,
    bad: int = 0,
) -> Sharded:
    """Handwritten digits in shards: by default ten, each with 80 of a class and 20 others.

    So a shard's 100 images are seen four times in 20 presentations.

    Args:
        hidden: sizes of the hidden layers.
        batch: examples in a presentation, of all shards together.
        presentations: length of a life.
        k: how many shards there are; it divides `batch`.
        measured: how many rows are measured, beside the batch.
        skew: `"even"`, `"main-class"` or `"dirichlet"`, with options as in
            `"dirichlet(alpha=0.1, size=100)"`.
        stressor: `"label-shift"` or `"pixel-shuffle"`.
        bad: how many shards it spoils.

    Raises:
        ValueError: if a size is not positive, `k` does not divide `batch`, a name is
            unknown, or a class has too few images.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.sharded_digits(skew="dirichlet(alpha=0.1)", measured=50)
        >>> problem.k, problem.batch
        (10, 250)

        ```
    """
    check_sizes(batch=batch, k=k)
    if batch % k:
        raise ValueError(f"`batch` must be a multiple of {k} shards, got {batch}.")
    if stressor is not None and stressor not in _STRESSORS:
        raise ValueError(f"unknown `stressor` {stressor!r}; {near(stressor, [*_STRESSORS])}")
    name, options, _ = spelled(skew)
    return Sharded(
        digits(hidden=hidden, batch=batch // k, presentations=presentations),
        k,
        measured,
        skew=_SKEWS.make(name, **options),
        stressor=None if stressor is None else _STRESSORS[stressor],
        bad=bad,
    )
