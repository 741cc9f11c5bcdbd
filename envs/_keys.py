from collections.abc import Sequence

import numpy as np
from gymnasium.utils import seeding

from ._boundary import draw_keys

_AHEAD = 8  # lives for which keys are drawn at a time


class Keys:
    """The raw keys of the lives of many environments, each from a generator of its own.

    Environment `i` gets the keys that a single one draws from its generator, in the same
    order. They are drawn ahead, so that compiled programs can be given what they may need.
    """

    def __init__(self, seeds: Sequence[int | None]):
        self._seeded = [seeding.np_random(seed) for seed in seeds]
        self._drawn = np.stack([draw_keys(rng, _AHEAD) for rng, _ in self._seeded])
        self._used = np.zeros(len(seeds), int)

    @property
    def generators(self) -> tuple[np.random.Generator, ...]:
        return tuple(rng for rng, _ in self._seeded)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(seed for _, seed in self._seeded)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Starts anew where there is a seed."""
        new = {i: seeding.np_random(seed) for i, seed in enumerate(seeds) if seed is not None}
        if len(new) == len(seeds):
            self._drawn = self._drawn[:, :_AHEAD].copy()  # a rollout may have drawn many
        for i, (rng, seed) in new.items():
            self._seeded[i] = (rng, seed)
            self._drawn[i] = draw_keys(rng, self._drawn.shape[1])
            self._used[i] = 0

    def ahead(self, lives: int) -> np.ndarray:
        """The keys of so many lives to come, shape `(envs, lives, words)`."""
        envs = np.arange(len(self._used))
        while self._used.max() + lives > self._drawn.shape[1]:
            # Forget what every environment has used, then draw more for all.
            used = self._used.min()
            more = np.stack([draw_keys(rng, max(_AHEAD, lives)) for rng in self.generators])
            self._drawn = np.concatenate([self._drawn[:, used:], more], axis=1)
            self._used -= used
        return self._drawn[envs[:, None], self._used[:, None] + np.arange(lives)]

    def take(self, lives: np.ndarray) -> None:
        """Counts the keys of so many lives of each environment as used."""
        self._used += lives
