import difflib
import importlib.metadata
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Registry(Generic[_T]):
    """Members of one kind by name, including those that other packages offer.

    A package offers a member through an entry point of the group `plasticgym.<kind>s`,
    such as `plasticgym.rules`; it is loaded when first asked for.

    **Arguments:**

    - `kind`: what a member is, in the singular, for messages and the entry points.
    - `members`: builders by name.
    - `made`: the type of what they build, checked when one does.

    !!! example

        ```python
        >>> from plasticgym.rules import Registry
        >>> colours = Registry("colour", {"red": lambda: "#f00"})
        >>> colours.make("red")
        '#f00'

        ```
    """

    def __init__(
        self, kind: str, members: dict[str, Callable[..., _T]], made: type | None = None
    ):
        self.kind = kind
        self._members = dict(members)
        self._made = object if made is None else made

    def register(self, name: str, build: Callable[..., _T]) -> None:
        """Adds a member.

        Raises:
            ValueError: if the name is taken by another one.
        """
        if self._members.get(name, build) is not build:
            raise ValueError(f"the {self.kind} {name!r} exists already; choose another name.")
        self._members[name] = build

    def replace(self, name: str, build: Callable[..., _T]) -> None:
        """Adds a member, in the place of the one of that name if there is one."""
        self._members[name] = build

    def make(self, name: str, /, *args: Any, **options: Any) -> _T:
        """Builds a member.

        Lists among the options, however deep, become tuples: options that were stored as
        JSON build what they built before.

        Raises:
            ValueError: if there is none of that name (with the near ones), if it does
                not take these options, or if it builds something else.
        """
        build = self[name]
        args, options = _with_tuples(args), _with_tuples(options)
        signature = inspect.signature(build)
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise ValueError(
                f"the {self.kind} {name!r} does not take these options: {error}; "
                f"there are {', '.join(signature.parameters) or 'none'}."
            ) from error
        try:
            built = build(*args, **options)
        except TypeError as error:  # such as text where the builder counts
            raise ValueError(
                f"the {self.kind} {name!r} cannot be built from these options: {error}"
            ) from error
        if not isinstance(built, self._made):
            raise ValueError(f"{name!r} must build a {self.kind}, got {type(built).__name__}.")
        return built

    def __getitem__(self, name: str) -> Callable[..., _T]:
        if name in self._members:
            return self._members[name]
        offered = self._offered()
        if name in offered:
            self._members[name] = self._loaded(offered[name])
            return self._members[name]
        raise ValueError(f"unknown {self.kind} {name!r}; {near(name, list(self))}")

    def __contains__(self, name: object) -> bool:
        return name in self._members or name in self._offered()

    def __iter__(self) -> Iterator[str]:
        return iter([*self._members, *(n for n in self._offered() if n not in self._members)])

    def _loaded(self, point: importlib.metadata.EntryPoint) -> Callable[..., _T]:
        try:
            return point.load()
        except Exception as error:  # whatever another package does when imported
            raise ValueError(
                f"the {self.kind} {point.name!r} of another package cannot be loaded from "
                f"{point.value!r}: {type(error).__name__}: {error}"
            ) from error

    def _offered(self) -> dict[str, importlib.metadata.EntryPoint]:
        points = importlib.metadata.entry_points(group=f"plasticgym.{self.kind}s")
        return {point.name: point for point in points}


def _with_tuples(value: Any) -> Any:
    if type(value) in (list, tuple):  # named tuples stay what they are
        return tuple(_with_tuples(v) for v in value)
    if type(value) is dict:
        return {key: _with_tuples(v) for key, v in value.items()}
    return value


def near(name: str, known: list[str]) -> str:
    """The names most like `name`, as the end of an error message."""
    folded = {k.lower(): k for k in known}
    close = difflib.get_close_matches(str(name).lower(), folded, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(repr(folded[c]) for c in close)}?"
    return f"known are {', '.join(sorted(known))}."
