import functools
import hashlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from ._base import AbstractRule
from ._registry import near
from ._spelled import Spelled, spelled

_FORMULA = "expr:"
_OF_FILE = re.compile(r"\s*(.+?\.py)(?::\s*([^(]*?))?\s*(?:\((.*)\))?\s*", re.DOTALL)


_WRAP = (
    "A rule is a class, or a function without arguments that returns one, as in "
    "def my_rule(): return plasticgym.rules.PerSynapse(change, rate=0.1)"
)


def written_rule(text: str) -> Spelled:
    """Reads what stands for a rule in a shell: name and options that `rules.make` takes.

    It is one of

    - a registered name, alone or with options: `sgd`, `sgd(rate=0.1)`;
    - `expr: FORMULA; name=value, ...`: an [`Expression`][plasticgym.rules.Expression], the
      constants in it and its other options behind a semicolon;
    - `path/to/rule.py:MyRule`, alone or with options: a class of rules, or a function that
      returns one, in a file of your own. **The file is run**, as Python would run it, so
      name only files that you trust. Reading such a text registers the rule under the path
      from the current folder, as `path/to/rule.py:MyRule`, or under the path as typed if
      the file lies elsewhere. Runs and genomes keep that name; nothing but naming the file
      again, from the same folder, brings it back in another session. A file that was
      changed is run anew, and takes the place of what it was.

    Args:
        text: as typed.

    Raises:
        ValueError: if it has another form, a value is no Python literal, or the file is
            not there, cannot be run or holds no such rule, with the near ones.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.written_rule("expr: rate * pre * error; rate=0.1").options
        {'formula': 'rate * pre * error', 'rate': 0.1}

        ```
    """
    if text.lstrip().startswith(_FORMULA):
        return _of_formula(text.strip().removeprefix(_FORMULA))
    match = _OF_FILE.fullmatch(text)
    if match is None:
        return spelled(text)
    path, name, options = match.groups()
    return _of_file(Path(path), name or "", options)


def is_code(text: str) -> bool:
    """Whether a text is a formula or names a file of Python, not a registered rule."""
    return text.lstrip().startswith(_FORMULA) or _OF_FILE.fullmatch(text) is not None


def is_of_file(name: str) -> bool:
    """Whether a rule by that name came from a file of Python."""
    return _OF_FILE.fullmatch(name) is not None


def _of_formula(text: str) -> Spelled:
    formula, _, named = text.partition(";")
    try:
        options = spelled(f"expression({named})").options
    except ValueError as error:
        raise ValueError(
            f"what follows the formula must read like ; rate=0.1, activation='relu', "
            f"got {named.strip()[:80]!r}."
        ) from error
    if "formula" in options:
        raise ValueError("the formula stands before the semicolon; give no `formula=`.")
    return Spelled("expression", {"formula": formula.strip(), **options}, literal=True)


def _of_file(path: Path, name: str, options: str | None) -> Spelled:
    from . import RULES  # the registry stands above the rules

    file = path.expanduser().resolve()
    if not file.is_file():
        raise ValueError(f"there is no file {path}.")
    module = _run(file, file.stat().st_mtime_ns)
    offered = _rules_in(module)
    if name not in offered:
        known = near(name, offered) if offered else "it holds none."
        asked = f"no rule {name!r}" if name else "no rule named, as in rule.py:MyRule"
        hint = f" {_WRAP}" if hasattr(module, name) else ""
        raise ValueError(f"{path}: {asked}; {known}{hint}")
    if options is None and _needs_arguments(getattr(module, name)):
        raise ValueError(
            f"{path}: {name!r} needs arguments, as a function of one synapse. {_WRAP}"
        )
    here = Path.cwd().resolve()
    shown = file.relative_to(here) if file.is_relative_to(here) else path
    registered = f"{shown.as_posix()}:{name}"
    RULES.replace(registered, getattr(module, name))
    if options is None:
        return Spelled(registered, {}, literal=False)
    return Spelled(registered, spelled(f"{name}({options})").options, literal=True)


@functools.cache
def _run(path: Path, modified: int) -> ModuleType:
    """The module that a file is, run once in a session unless it is `modified`."""
    name = f"plasticgym_file_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} cannot be run as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for the module of a class
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a file does
        del sys.modules[name]
        raise ValueError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    return module


def _needs_arguments(build: Any) -> bool:
    """Whether a function cannot be called without arguments; a class may say so itself."""
    if not inspect.isfunction(build):
        return False
    parameters = inspect.signature(build).parameters.values()
    return any(p.default is p.empty and p.kind < p.VAR_POSITIONAL for p in parameters)


def _rules_in(module: ModuleType) -> list[str]:
    """The names of what may build a rule and is a file's own."""

    def builds(value: Any) -> bool:
        if inspect.isclass(value):
            return issubclass(value, AbstractRule) and not inspect.isabstract(value)
        return inspect.isfunction(value)

    own = {n: v for n, v in vars(module).items() if not n.startswith("_") and builds(v)}
    return [n for n, v in own.items() if v.__module__ == module.__name__]
