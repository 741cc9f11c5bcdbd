import dataclasses

from ..rules import RULES, AbstractRule, Body, accepts


def standing_alone() -> list[str]:
    """The registered rules that live in layers and are not built around another one.

    Pages that rank rules are about these: what a combinator does, it does to any of them,
    and what refuses layers cannot tell classes apart.
    """
    rules = {name: RULES.make(name) for name in RULES}
    layered = [name for name, rule in rules.items() if accepts(rule, Body((2, 2)))]
    return [name for name in layered if not _combines(rules[name])]


def _combines(rule: AbstractRule) -> bool:
    values = [getattr(rule, field.name) for field in dataclasses.fields(rule)]
    return any(isinstance(value, AbstractRule) for value in values)
