import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Any, final

from ..envs import PROBLEMS, AbstractProblem
from ..rules._registry import near

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-v[0-9]+")


@final
@dataclasses.dataclass(frozen=True)
class Setting:
    """A problem as a suite uses it: its id and the options it is built with.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> benchmarks.Setting("Xor-v0", {"hidden": (8,)}).build().body.layers
        (2, 8, 2)

        ```
    """

    problem: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "options", types.MappingProxyType(dict(self.options)))

    def build(self) -> AbstractProblem:
        """The problem; this is where its data are loaded."""
        return PROBLEMS.make(self.problem, **self.options)


@final
@dataclasses.dataclass(frozen=True)
class Suite:
    """Named problems and seeds on which rules are compared.

    What a setting means never changes under one id: to change or drop one, or the seeds,
    make a new version; settings may be appended. Nothing is built, and no data are
    loaded, before [`problem`][plasticgym.benchmarks.Suite.problem] is called.

    **Arguments:**

    - `id`: lower-case words and a version, such as `"smoke-v0"`.
    - `seen`: settings by name, on which rules may be meta-trained and tuned.
    - `unseen`: settings by name, on which rules are only scored.
    - `seeds`: whole numbers, all different; each is one life of every rule in every
      setting.

    **Raises:**

    - `ValueError`: if the id has no version, there is no setting, a name is both seen and
      unseen, or the seeds are not a tuple of different whole numbers.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> suite = benchmarks.suite("smoke-v0")
        >>> list(suite.seen), list(suite.unseen)
        (['digits', 'xor', 'moons'], ['nxor', 'and', 'slice'])

        ```
    """

    id: str
    seen: Mapping[str, Setting]
    unseen: Mapping[str, Setting]
    seeds: tuple[int, ...]

    def __post_init__(self):
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ValueError(
                '`id` must be lower-case words and a version, such as "smoke-v0", got '
                f"{self.id!r}."
            )
        if not self.seen and not self.unseen:
            raise ValueError("`seen` and `unseen` must hold at least one setting together.")
        both = sorted(set(self.seen) & set(self.unseen))
        if both:
            raise ValueError(f"`unseen` must not name what is seen, got {both}.")
        check_seeds(self.seeds)
        for split in ("seen", "unseen"):
            settings = types.MappingProxyType(dict(getattr(self, split)))
            object.__setattr__(self, split, settings)

    @property
    def splits(self) -> dict[str, Mapping[str, Setting]]:
        """The settings under `"seen"` and `"unseen"`, a split without any left out."""
        both = {"seen": self.seen, "unseen": self.unseen}
        return {name: settings for name, settings in both.items() if settings}

    @property
    def settings(self) -> dict[str, Setting]:
        """All settings by name, the seen ones first."""
        return {**self.seen, **self.unseen}

    def problem(self, setting: str) -> AbstractProblem:
        """Builds the problem of a setting.

        Raises:
            ValueError: if there is no setting of that name (with the near ones).
        """
        if setting not in self.settings:
            raise ValueError(f"unknown setting {setting!r}; {near(setting, [*self.settings])}")
        return self.settings[setting].build()


def check_seeds(seeds: tuple[int, ...]) -> None:
    """Raises a `ValueError` unless these can be the seeds of a benchmark.

    They must fit 32 bits: JAX would cut longer ones, and different seeds be the same.
    """
    right = isinstance(seeds, tuple) and len(seeds) > 0
    right = right and all(type(s) is int and 0 <= s < 2**32 for s in seeds)
    if not right or len(set(seeds)) != len(seeds):
        raise ValueError(
            "`seeds` must be a tuple of at least one whole number from 0 to 2**32 - 1, all "
            f"different, got {seeds!r}."
        )
