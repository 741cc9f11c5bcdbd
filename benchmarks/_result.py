import dataclasses
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from ._retention import Retention
from ._statistics import area

BOUNDS = (-0.5, 2.0)  # of normalised scores


@final
@dataclasses.dataclass(frozen=True)
class Result:
    """How one rule fared in one setting, over all seeds.

    **Arguments:**

    - `times`: the presentations after which networks were tested.
    - `held_out`: their scores on the held-out part, shape `(seeds, times)`.
    - `stream`: scores of each presentation before learning from it, shape
      `(seeds, presentations)`.
    - `weights`: how much each of these counts, of the same shape.
    - `diverged`: which lives diverged, shape `(seeds,)`; from then on they score chance.
    - `chance`: the score of knowing nothing, a normalised score of 0.
    - `upper`: the score that counts as a normalised score of 1.
    - `retention`: of a problem of several tasks, how well it was kept.
    """

    times: tuple[int, ...]
    held_out: Float[np.ndarray, "seeds times"]
    stream: Float[np.ndarray, "seeds presentations"]
    weights: Float[np.ndarray, "seeds presentations"]
    diverged: Bool[np.ndarray, " seeds"]
    chance: float
    upper: float
    retention: Retention | None = None

    @property
    def last(self) -> Float[np.ndarray, " seeds"]:
        """The held-out score at the end of life."""
        return self.held_out[:, -1]

    @property
    def area(self) -> Float[np.ndarray, " seeds"]:
        """The mean height of the held-out curve, linear in presentations."""
        return area(self.times, self.held_out)

    @property
    def stream_curve(self) -> Float[np.ndarray, " presentations"]:
        """The mean score of each presentation over lives; NaN where none is scored."""
        return _weighted(self.stream, self.weights, axis=0)

    @property
    def stream_area(self) -> Float[np.ndarray, " seeds"]:
        """The mean score of the presentations before learning from them.

        NaN for a life none of whose presentations is scored.
        """
        return _weighted(self.stream, self.weights, axis=1)

    @property
    def failures(self) -> float:
        """The share of lives that diverged."""
        return float(self.diverged.mean())

    @property
    def normalised(self) -> Float[np.ndarray, " seeds"]:
        """The last held-out score between chance (0, as for diverged lives) and `upper` (1).

        Clipped to [-0.5, 2], so that no single problem carries an average away.
        """
        return np.clip(self._unclipped, *BOUNDS)

    @property
    def clipped(self) -> float:
        """The share of lives whose normalised score had to be clipped."""
        return float(np.mean(self._unclipped != self.normalised))

    @property
    def _unclipped(self) -> Float[np.ndarray, " seeds"]:
        scores = (self.last - self.chance) / (self.upper - self.chance)
        return np.where(self.diverged, 0.0, scores)


def _weighted(values: np.ndarray, weights: np.ndarray, *, axis: int) -> np.ndarray:
    total = weights.sum(axis)
    scored = total > 0
    mean = (values * weights).sum(axis) / np.where(scored, total, 1.0)
    return np.where(scored, mean, np.nan)
