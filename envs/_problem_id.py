import re

from ..rules._registry import near


def problem_id(name: str) -> str:
    """The id of the problem that a name in the shell stands for.

    Capitals, hyphens and the version may be left out; without a version the latest counts.

    Raises:
        ValueError: if there is no such problem, with the near names.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.problem_id("breast-cancer")
        'BreastCancer-v0'

        ```
    """
    from . import PROBLEMS  # the registry stands above the problems

    if name in PROBLEMS:
        return name
    found = [known for known in PROBLEMS if _folded(name) in (_folded(known), _bare(known))]
    if not found:
        raise ValueError(
            f"unknown problem {name!r}; {near(name, [*map(shell_name, PROBLEMS)])}"
        )
    return max(found, key=_version)


def shell_name(problem: str) -> str:
    """The id of a problem as one writes it in a shell: `"breast-cancer"`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", re.sub(r"-v\d+$", "", problem)).lower()


def _folded(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def _bare(name: str) -> str:
    return _folded(shell_name(name))


def _version(name: str) -> int:
    return int(match[1]) if (match := re.search(r"-v(\d+)$", name)) else 0
