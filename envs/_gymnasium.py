import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..rules import RULES, AbstractRule, Registry, written_rule
from ..rules._registry import near
from ..rules._written_rule import is_of_file
from ._base import AbstractProblem
from ._role import AbstractRole
from ._steering import Steering
from ._synapses import Synapses


def register_id(name: str) -> None:
    """Gives a problem its id in Gymnasium, `plasticgym/<name>`, if it has none yet.

    Nothing is built or loaded before an environment is made.

    Raises:
        ValueError: if the name cannot be part of an id.
    """
    if f"plasticgym/{name}" in gymnasium.registry:
        return
    try:
        gymnasium.register(
            f"plasticgym/{name}",
            entry_point="plasticgym.envs._single:LearningEnv",
            vector_entry_point="plasticgym.envs._vector:LearningVectorEnv",
            kwargs={"problem": name},
        )
    except gymnasium.error.Error as error:
        raise ValueError(
            f'`name` must fit into an id of Gymnasium, such as "Digits-v0", got {name!r}: '
            f"{error}"
        ) from error


def register_ids(names: Iterable[str]) -> None:
    """Gives problems their ids; warns of those, from other packages, that can have none."""
    for name in names:
        try:
            register_id(name)
        except ValueError as error:
            warnings.warn(str(error), stacklevel=2)


def make_role(
    problem: str | AbstractProblem,
    rule: str | AbstractRule | None,
    options: dict[str, Any],
) -> AbstractRole:
    """Builds a role; each option goes to the first of role, problem, rule that takes it.

    A name of a role itself gives that one, to which all options go.
    """
    from . import PROBLEMS, ROLES  # which are made after this module

    if isinstance(problem, str) and problem in ROLES:
        return _registered(ROLES, problem, rule, options)
    builders: dict[str, Callable] = {"role": Synapses if rule is None else Steering}
    _check_role(rule, options)
    if not isinstance(problem, AbstractProblem):
        builders["problem"] = PROBLEMS[problem]
    name, written = _written(rule) if isinstance(rule, str) else ("", {})
    if name:
        builders["rule"] = RULES[name]
    given = _sorted_out(builders, options)
    if not isinstance(problem, AbstractProblem):
        problem = PROBLEMS.make(problem, **given["problem"])
    if rule is None:
        return Synapses(problem, **given["role"])
    if not isinstance(rule, AbstractRule):
        rule = RULES.make(name, **{**written, **given["rule"]})
    return Steering(problem, rule, **given["role"])


def _registered(
    roles: Registry[AbstractRole], name: str, rule: Any, options: dict[str, Any]
) -> AbstractRole:
    if rule is not None:
        raise ValueError(
            f"`rule` must be None, for {name} has a rule of its own, got {rule!r}."
        )
    return roles.make(name, **options)


def _written(rule: str) -> tuple[str, dict[str, Any]]:
    """Name and options of a rule that is given as text, as in a shell.

    Raises:
        ValueError: if it names a file, as making an environment runs no code of others.
    """
    if rule not in RULES and is_of_file(rule):
        raise ValueError(
            f"`rule` must be a registered name such as 'sgd', one with options such as "
            f"'sgd(rate=0.5)', a formula such as 'expr: rate * pre * error', or a rule; got "
            f"the file {rule!r}: build its rule and give that."
        )
    name, options, _ = written_rule(rule) if rule not in RULES else (rule, {}, True)
    return name, options


def _check_role(rule: str | AbstractRule | None, options: dict[str, Any]) -> None:
    """Raises a `ValueError` naming the first option that is one of the other role alone."""
    mine, other = (Synapses, Steering) if rule is None else (Steering, Synapses)
    alone = options_of(other) - options_of(mine)
    for name in options:
        if name in alone:
            told = (
                "is for steering a rule: name one, as in `rule='sgd'`"
                if rule is None
                else "is for being the rule yourself: name no `rule`"
            )
            raise ValueError(f"option `{name}` {told}.")


def options_of(role: type[AbstractRole]) -> set[str]:
    """The options that are of a role and not of a problem or a rule."""
    parameters = inspect.signature(role).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


def _sorted_out(
    builders: dict[str, Callable], options: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The options that go to each builder."""
    takes = {kind: inspect.signature(build).parameters for kind, build in builders.items()}
    known = {
        name: kind
        for kind, parameters in reversed(takes.items())
        for name, parameter in parameters.items()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and not (kind == "role" and parameter.kind is not parameter.KEYWORD_ONLY)
    }
    anything = [
        kind
        for kind, parameters in takes.items()
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    ]
    given: dict[str, dict[str, Any]] = {kind: {} for kind in builders}
    for name, value in options.items():
        if name not in known and not anything:
            raise ValueError(f"unknown option `{name}`; {near(name, list(known))}")
        kind = known[name] if name in known else anything[0]
        given[kind][name] = value
    return given


def make_spaces(role: AbstractRole) -> tuple[spaces.Box, spaces.Box | spaces.Discrete]:
    """What is seen and what is done in one environment."""
    seen = spaces.Box(-role.bound, role.bound, role.observed, np.float32)
    if role.choices is not None:
        return seen, spaces.Discrete(role.choices)
    return seen, spaces.Box(-1.0, 1.0, role.acted, np.float32)
