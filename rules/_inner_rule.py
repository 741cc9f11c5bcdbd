from ._base import AbstractRule
from ._signals import Signal
from ._spelled import spelled


def inner_rule(value: AbstractRule | str) -> AbstractRule:
    """The converter of the rule that a combinator is built around: a rule, or its name.

    Raises:
        ValueError: if the text names no registered rule or options that it does not take.
    """
    if not isinstance(value, str):
        return value
    from . import RULES  # the registry stands above the rules

    name, options, _ = spelled(value)
    return RULES.make(name, **options)


def check_reads_error(rule: AbstractRule) -> None:
    """Raises a `ValueError` unless a rule can be told what to do by an error."""
    if not isinstance(rule, AbstractRule):
        raise ValueError(
            f'`rule` must be a rule or text such as "adam(rate=0.001)", got {rule!r}.'
        )
    if Signal.ERROR not in rule.reads:
        raise ValueError(
            f"`rule` must read the error, as sgd, momentum and adam do, got "
            f"{type(rule).__name__}, which reads {sorted(map(str, rule.reads)) or 'nothing'}."
        )
