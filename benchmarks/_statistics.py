from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

LEVEL = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """Where a number lies with 95% confidence; both ends are NaN if nothing tells."""

    low: float
    high: float


def iqm(values: Float[np.ndarray, "*rows n"]) -> Float[np.ndarray, "*rows"]:
    r"""The interquartile mean: what is left when a quarter is cut off at either end.

    With $x$ in order and $c = \lfloor n / 4 \rfloor$, it is $\frac{1}{n - 2c}
    \sum_{i=c+1}^{n-c} x_i$. It moves less from sample to sample than the median and is
    not carried away by a few outliers as the mean is. Whole values are cut, the rounding
    is down, as in `scipy.stats.trim_mean(values, 0.25)`: fewer than four values are not
    cut at all.

    Args:
        values: shape `(..., n)`.

    Returns:
        Shape `(...)`.

    Raises:
        ValueError: if there are no values.

    ??? cite "Reference"

        Agarwal et al., "Deep reinforcement learning at the edge of the statistical
        precipice", NeurIPS 2021.

    !!! example

        ```python
        >>> import numpy as np
        >>> from plasticgym import benchmarks
        >>> float(benchmarks.iqm(np.array([-100.0, 1.0, 2.0, 3.0, 3.0, 2.0, 1.0, 100.0])))
        2.0

        ```
    """
    n = values.shape[-1]
    if n == 0:
        raise ValueError(f"`values` must hold at least one value, got shape {values.shape}.")
    kept = np.sort(values, axis=-1)[..., n // 4 : n - n // 4]
    return np.asarray(kept.mean(-1))


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray],
    strata: Sequence[Float[np.ndarray, " _"]],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Interval:
    """The 95% interval of a statistic of pooled strata: percentiles of a bootstrap.

    Each resample draws from every stratum, with replacement, as many values as it has,
    so that differences between strata (problems, say) do not widen the interval: it
    tells how far the statistic would move with other values in the same strata.

    Args:
        statistic: maps shape `(resamples, n)` to `(resamples,)`, as `iqm` does.
        strata: one vector per stratum; lengths may differ.
        seed: of the resampling; the same seed, the same interval.
        resamples: how many.

    Returns:
        The interval; of NaN if no stratum has more than one value.

    Raises:
        ValueError: if there is no stratum, or one is empty or not a vector.

    !!! example

        ```python
        >>> import numpy as np
        >>> from plasticgym import benchmarks
        >>> easy, hard = np.array([0.9, 0.9, 0.9]), np.array([0.1, 0.1, 0.1])
        >>> [round(x, 3) for x in benchmarks.bootstrap(benchmarks.iqm, [easy, hard], seed=0)]
        [0.5, 0.5]

        ```
    """
    if not strata or any(s.ndim != 1 or len(s) == 0 for s in strata):
        raise ValueError(
            "`strata` must be vectors of at least one value, got shapes "
            f"{[s.shape for s in strata]}."
        )
    if all(len(stratum) == 1 for stratum in strata):
        return Interval(float("nan"), float("nan"))
    rng = np.random.default_rng(seed)
    drawn = [s[rng.integers(len(s), size=(resamples, len(s)))] for s in strata]
    ends = np.quantile(statistic(np.concatenate(drawn, axis=1)), _TAILS)
    return Interval(float(ends[0]), float(ends[1]))


def bootstrap_mean(values: Float[np.ndarray, "rows columns"], *, seed: int) -> Interval:
    """The 95% interval of the mean of a table whose rows and columns are both samples.

    Each resample draws rows and, apart from them, columns (trainings and seeds, say) with
    replacement: it tells how far the mean would move with others of either.
    """
    rng = np.random.default_rng(seed)
    rows, columns = (rng.integers(0, n, (RESAMPLES, n)) for n in values.shape)
    means = [values[np.ix_(*drawn)].mean() for drawn in zip(rows, columns, strict=True)]
    low, high = np.quantile(means, _TAILS)
    return Interval(float(low), float(high))


_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def half_width(values: Float[np.ndarray, " n *rest"]) -> Float[np.ndarray, " *rest"]:
    r"""Half the width of the 95% interval of a mean over the first axis, by Student's t.

    It is $t_{0.975, n-1}\, s / \sqrt n$; NaN for a single value. Means over seeds get
    this rather than a bootstrap, whose percentiles are too narrow for a few seeds.
    """
    from scipy.special import stdtrit

    n = values.shape[0]
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(stdtrit(n - 1, _TAILS[1]) * values.std(0, ddof=1) / np.sqrt(n))


def area(
    times: tuple[int, ...], scores: Float[np.ndarray, "seeds times"]
) -> Float[np.ndarray, " seeds"]:
    """The mean height of a curve between its first and last time, by the trapezoid rule.

    Times count linearly, however they are spaced; a curve of one point is as high as it.
    """
    if len(times) == 1:
        return scores[:, 0]
    return np.trapezoid(scores, times, axis=1) / (times[-1] - times[0])
