"""What the command line lists."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from . import envs
from . import rules as _rules
from .rules import RULES, AbstractRule, Registry

_LIFE = "life: presentations x batch; chance: the score of knowing nothing"
_TIER = (
    "tier: what may decide how a synapse changes, from activity, its own two neurons, to "
    "layer and global; reads: what of the feedback the rule is told"
)


def problems(out: Console, err: Console) -> None:
    """Prints a table of the problems, and other environments below it."""

    def row(name: str) -> tuple[str, ...]:
        problem = envs.problem(name)
        return (
            envs.shell_name(name),
            name,
            "-".join(map(str, problem.body.layers)),
            f"{problem.presentations} x {problem.batch}",
            f"{float(problem.chance.score):.3f}",
        )

    table = Table("problem", "id", "body", "life", "chance", caption=_LIFE)
    broken = _filled(table, envs.PROBLEMS, row)
    _told(out, table, "environments of another kind, for Gymnasium", envs.ROLES)
    _warned(err, broken)


def rules(out: Console, err: Console) -> None:
    """Prints a table of the rules with a name, and others below it."""
    listed = set()

    def row(name: str) -> tuple[str, ...]:
        rule = _rules.shipped(name)
        listed.add(type(rule))
        return (
            name,
            str(rule.tier),
            ", ".join(sorted(map(str, rule.reads))) or "nothing",
            str(_rules.genome(rule).size),
            (type(rule).__doc__ or "").split("\n")[0].split(":")[0].rstrip("."),
        )

    table = Table("rule", "tier", "reads", "genes", "about", caption=_TIER)
    broken = _filled(table, RULES, row)
    others = sorted(kind.__name__ for kind in _concrete() - listed)
    _told(out, table, "without a name, for Python alone", others)
    _warned(err, broken)


def _concrete() -> set[type]:
    """The public kinds of rules that can be built."""
    kinds = filter(inspect.isclass, vars(_rules).values())
    return {k for k in kinds if issubclass(k, AbstractRule) and not inspect.isabstract(k)}


def _filled(
    table: Table, registry: Registry[Any], row: Callable[[str], tuple[str, ...]]
) -> dict[str, list[str]]:
    """A row per member; some need data, those of other packages may be broken: why, and who."""
    broken: dict[str, list[str]] = {}
    table.columns[0].no_wrap = True  # names are there to be copied
    for name in registry:
        try:
            table.add_row(*row(name))
        except (ModuleNotFoundError, FileNotFoundError) as error:
            table.add_row(name, "not installed")
            broken.setdefault(f"not installed: {error}", []).append(name)
        except Exception as error:
            table.add_row(name, "broken")
            broken.setdefault(f"broken: {error}", []).append(name)
    return broken


def _told(out: Console, table: Table, others: str, names: Iterable[str]) -> None:
    out.print(table)
    out.print(f"{others}: {', '.join(names)}", highlight=False)


def _warned(err: Console, broken: dict[str, list[str]]) -> None:
    for why, names in broken.items():
        err.print(f"{', '.join(names)}: {why}", markup=False, highlight=False, soft_wrap=True)
