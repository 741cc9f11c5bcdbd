import dataclasses

from ..rules import RULES, AbstractRule


def standing_alone() -> list[str]:
    """The registered rules that are not built around another one.

    Pages that rank rules are about these: what a combinator does, it does to any of them.
    """
    return [name for name in RULES if not _combines(RULES.make(name))]


def _combines(rule: AbstractRule) -> bool:
    values = [getattr(rule, field.name) for field in dataclasses.fields(rule)]
    return any(isinstance(value, AbstractRule) for value in values)
