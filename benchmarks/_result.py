import dataclasses
from typing import final

import numpy as np
from jaxtyping import Bool, Float

from ._statistics import area


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
    """

    times: tuple[int, ...]
    held_out: Float[np.ndarray, "seeds times"]
    stream: Float[np.ndarray, "seeds presentations"]
    weights: Float[np.ndarray, "seeds presentations"]
    diverged: Bool[np.ndarray, " seeds"]
    chance: float
    upper: float

    @property
    def last(self) -> Float[np.ndarray, " seeds"]:
        """The held-out score at the end of life."""
        return self.held_out[:, -1]

    @property
    def area(self) -> Float[np.ndarray, " seeds"]:
        """The mean height of the held-out curve, linear in presentations."""
        return area(self.times, self.held_out)

    @property
    def stream_area(self) -> Float[np.ndarray, " seeds"]:
        """The mean score of the presentations before learning from them."""
        return np.average(self.stream, axis=1, weights=self.weights)

    @property
    def failures(self) -> float:
        """The share of lives that diverged."""
        return float(self.diverged.mean())

    @property
    def normalised(self) -> Float[np.ndarray, " seeds"]:
        """The last held-out score between chance (0, as for diverged lives) and `upper` (1)."""
        return (self.last - self.chance) / (self.upper - self.chance)
