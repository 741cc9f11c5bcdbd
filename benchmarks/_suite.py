import dataclasses
import inspect
import itertools
import re
import types
from collections.abc import Mapping
from typing import Any, final

from ..envs import PROBLEMS, AbstractProblem
from ..rules._as_json import as_json
from ..rules._registry import near

# From what may be trained on to what may not even be looked at; in tables and files, too.
SPLITS = ("seen", "validation", "unseen")
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

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that may be left out, as the builder then has them and as JSON would.

        None are known of a problem that is not registered.
        """
        if self.problem not in PROBLEMS:
            return {}
        parameters = inspect.signature(PROBLEMS[self.problem]).parameters.items()
        return {n: as_json(p.default) for n, p in parameters if p.default is not p.empty}

    @property
    def complete(self) -> dict[str, Any]:
        """All options, as JSON would hold them: those left out as the builder has them.

        Settings that build the same problem are equal in id and complete options. Those
        of a problem that is not registered are what was given.
        """
        return {**self.defaults, **as_json(self.options)}


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
    - `validation`: settings by name, on which rules are not trained, but whose scores
      may guide design and choice.

    **Raises:**

    - `ValueError`: if the id has no version, there is no setting, a name is in two
      splits, or the seeds are not a tuple of different whole numbers.

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
    validation: Mapping[str, Setting] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if not isinstance(self.id, str) or not _ID.fullmatch(self.id):
            raise ValueError(
                '`id` must be lower-case words and a version, such as "smoke-v0", got '
                f"{self.id!r}."
            )
        if not any(getattr(self, split) for split in SPLITS):
            raise ValueError("`seen` and `unseen` must hold at least one setting together.")
        for split, other in itertools.combinations(SPLITS, 2):
            both = sorted(set(getattr(self, split)) & set(getattr(self, other)))
            if both:
                raise ValueError(f"`{other}` must not name what `{split}` does, got {both}.")
        check_seeds(self.seeds)
        for split in SPLITS:
            settings = types.MappingProxyType(dict(getattr(self, split)))
            object.__setattr__(self, split, settings)

    @property
    def splits(self) -> dict[str, Mapping[str, Setting]]:
        """The settings under `"seen"`, `"validation"` and `"unseen"`, without empty splits."""
        every = {split: getattr(self, split) for split in SPLITS}
        return {split: settings for split, settings in every.items() if settings}

    @property
    def settings(self) -> dict[str, Setting]:
        """All settings by name, in the order of the splits."""
        return {**self.seen, **self.validation, **self.unseen}

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
