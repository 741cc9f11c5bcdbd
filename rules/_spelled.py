import ast
import re
from typing import Any, NamedTuple

_FORM = re.compile(r"\s*([A-Za-z][A-Za-z0-9_.-]*)\s*(?:\((.*)\))?\s*", re.DOTALL)
_LONGEST = 1000


class Spelled(NamedTuple):
    """A member of a registry with options, as written in a shell.

    `literal` tells whether there were parentheses.
    """

    name: str
    options: dict[str, Any]
    literal: bool


def spelled(text: str) -> Spelled:
    """Reads `name` or `name(option=literal, ...)`. Nothing in it is evaluated.

    Raises:
        ValueError: if it has another form, or a value is no Python literal.

    !!! example

        ```python
        >>> from plasticgym.rules import spelled
        >>> spelled("digits(hidden=(64, 32), batch=16)").options
        {'hidden': (64, 32), 'batch': 16}

        ```
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"`{text[:80]}` must read like name or name(option=value, ...).")
    name, inside = match.groups()
    if inside is None:
        return Spelled(name, {}, literal=False)
    try:
        call = ast.parse(f"f({inside}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise ValueError("only option=value")
        options = {_keyword(k): ast.literal_eval(k.value) for k in call.keywords}
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(
            f"`{text}` must read like name(option=value, ...) with plain values such as 3, "
            "0.1, 'tanh' or (64, 32)."
        ) from error
    if len(options) != len(call.keywords):
        raise ValueError(f"`{text}` names an option twice.")
    return Spelled(name, options, literal=True)


def spelled_list(text: str) -> list[Spelled]:
    """Reads several of them, with commas between.

    !!! example

        ```python
        >>> from plasticgym.rules import spelled_list
        >>> [item.name for item in spelled_list("digits(hidden=(8, 8)),xor")]
        ['digits', 'xor']

        ```
    """
    items, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            items.append(text[start:index])
            start = index + 1
    return [spelled(item) for item in (*items, text[start:])]


def _keyword(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("no **")
    return keyword.arg
