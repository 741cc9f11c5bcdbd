from jaxtyping import PyTree

from ._base import AbstractRule, State
from ._signals import Signal
from ._spelled import spelled


def inner_rule(value: AbstractRule | str) -> AbstractRule:
    """The converter of the rule that a combinator is built around: a rule, or its name.

    Raises:
        ValueError: if it is neither, or the text names no registered rule or options that it
            does not take.
    """
    if isinstance(value, AbstractRule):
        return value
    if not isinstance(value, str):
        raise ValueError(
            f'`rule` must be a rule or text such as "adam(rate=0.001)", got {value!r}.'
        )
    from . import RULES  # the registry stands above the rules

    name, options, _ = spelled(value)
    return RULES.make(name, **options)


def check_reads_error(rule: AbstractRule) -> None:
    """Raises a `ValueError` unless a rule can be told what to do by an error."""
    if Signal.ERROR not in rule.reads:
        raise ValueError(
            f"`rule` must read the error, as sgd, momentum and adam do, got "
            f"{type(rule).__name__}, which reads {sorted(map(str, rule.reads)) or 'nothing'}."
        )


def check_room(past: tuple[int, ...], tasks: int) -> None:
    """Raises a `ValueError` unless so many `tasks` are all that end before the last one."""
    if tasks < len(past):
        raise ValueError(
            f"`tasks` must be at least {len(past)}, the tasks of this problem that end before "
            f"the last one begins, got {tasks}; keep some of each."
        )


def check_enough(past: tuple[int, ...], **kept: int) -> None:
    """Raises a `ValueError` naming what is to be kept of a task if it has fewer rows."""
    rows = min(past, default=max(kept.values()))
    for name, size in kept.items():
        if size > rows:
            raise ValueError(
                f"`{name}` must be at most {rows}, the different rows of the shortest task, "
                f"got {size}; keep fewer or give the problem more presentations."
            )


def within(state: State, *own: str) -> State:
    """The network as the rule within knows it: without what synapses and neurons hold besides.

    Args:
        state: of the combinator; its memory is a dictionary, that of the rule its `"rule"`.
        own: the names of what the combinator keeps at synapses and neurons.
    """
    if not own:
        return State(state.body, state.neurons, state.synapses, state.memory["rule"])
    neurons, synapses = (
        tuple({n: x for n, x in part.items() if n not in own} for part in parts)
        for parts in (state.neurons, state.synapses)
    )
    return State(state.body, neurons, synapses, state.memory["rule"])


def around(inner: State, memory: dict[str, PyTree]) -> State:
    """The network with all that the combinator remembers."""
    memory = memory | {"rule": inner.memory}
    return State(inner.body, inner.neurons, inner.synapses, memory)
