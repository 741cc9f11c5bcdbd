from collections.abc import Mapping
from typing import Any

from ..rules._as_json import as_json
from ..rules._genome_file import origin

# Id and options of problems by the names they go by.
Problems = Mapping[str, tuple[str, Mapping[str, Any]]]


def trained_on_before(rule: str, options: Mapping[str, Any]) -> Problems:
    """What the genome was trained on at which a rule begins, if it is a trained one.

    Args:
        rule: a registered name.
        options: those it is built with; `genome=PATH` or `genome="shipped"` names one.

    Raises:
        ValueError: if there is no such genome, or it does not say.
    """
    found = origin(rule, options)
    told = {} if found is None else found.provenance
    try:
        return read_problems(told.get("trained_on", told.get("problems", {})))
    except ValueError as error:
        raise ValueError(
            f"the genome {options['genome']!r} does not say what it was trained on: {error}"
        ) from error


def read_problems(told: Any) -> Problems:
    """Problems as JSON holds them.

    Raises:
        ValueError: if it holds anything else.
    """
    try:
        problems = {name: (problem, dict(o)) for name, (problem, o) in told.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"problems must be names with id and options: {error}.") from error
    if not all(isinstance(problem, str) for problem, _ in problems.values()):
        raise ValueError(f"problems must be names with id and options, got {told}.")
    return problems


def written_problems(problems: Problems) -> dict[str, list]:
    """Problems for JSON."""
    return {name: [problem, dict(options)] for name, (problem, options) in problems.items()}


def joined(*sources: Problems) -> Problems:
    """All problems of all sources, each once; of two of one name, the later is renamed."""
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for source in sources:
        for name, (problem, options) in source.items():
            if any(
                as_json([problem, options]) == as_json([*other]) for other in found.values()
            ):
                continue
            free, number = name, 2
            while free in found:
                free, number = f"{name}-{number}", number + 1
            found[free] = (problem, options)
    return found
