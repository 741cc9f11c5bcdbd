"""Formulas of one synapse: read by a whitelist, never run as code.

A formula is a tree. Its leaves are names (signals such as `"pre"`, genes such as `"rate"`,
numbers by the names `"c0"`, `"c1"`, ..., traces as `"trace0"`, ...) and whole exponents; its
other nodes apply an operation.
"""

import ast
import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Union

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._local_view import LocalView
from ._registry import near

SIGNALS = LocalView._fields
LONGEST, DEEPEST, LARGEST, STEEPEST = 1000, 60, 250, 8

# All of them are defined everywhere: what is not finite comes from dividing or overflow.
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "exp": jnp.exp,
    "abs": jnp.abs,
    "sign": jnp.sign,
}
_OPERATIONS: dict[str, Callable[..., Array]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "**": operator.pow,
    "negative": operator.neg,
    **FUNCTIONS,
}
_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
}
_TOKEN = re.compile(
    r"\s*(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|[A-Za-z_]\w*|[-+*/(),])",
    re.ASCII,
)
# Names that the rule itself gives to numbers and traces, and those of its options.
_TAKEN = re.compile(r"c\d+|trace\d*|trace_decay|formula|activation|self|_.*")

Node = Union[str, int, "Operation"]


class Operation(NamedTuple):
    """A node that is no leaf: what is done, and to what."""

    does: str
    to: tuple[Node, ...]


class Formula(NamedTuple):
    """What a formula says.

    `root` is the change of the weight; `traces` are what each trace follows; `numbers` are
    the values of the literals; `genes` are the other names that need a value.
    """

    root: Node
    traces: tuple[Node, ...]
    numbers: tuple[float, ...]
    genes: tuple[str, ...]

    @property
    def signals(self) -> frozenset[str]:
        """The signals that it names, in traces or outside."""
        named = frozenset().union(*(names(node) for node in (self.root, *self.traces)))
        return named & frozenset(SIGNALS)


def names(node: Node) -> frozenset[str]:
    """All names in a tree."""
    if isinstance(node, Operation):
        return frozenset().union(*(names(part) for part in node.to))
    return frozenset([node]) if isinstance(node, str) else frozenset()


def value(node: Node, known: Mapping[str, Float[Array, "..."]]) -> Any:
    """What a tree comes to where its names have these values."""
    if isinstance(node, Operation):
        return _OPERATIONS[node.does](*(value(part, known) for part in node.to))
    return known[node] if isinstance(node, str) else node


@functools.lru_cache(maxsize=256)
def parsed(text: str) -> Formula:
    """Reads a formula.

    Raises:
        ValueError: and nothing else, if it is none or exceeds the bounds.
    """
    if not isinstance(text, str):
        raise ValueError(f"`formula` must be text such as 'rate * pre * post', got {text!r}.")
    if len(text) > LONGEST:
        raise ValueError(f"`formula` must have at most {LONGEST} characters, got {len(text)}.")
    text = " ".join(text.split())
    _check_tokens(text)
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else "it is nested too deep"
        raise ValueError(f"`formula` {_short(text)} cannot be read: {reason}.") from None
    reader = _Reader(text)
    root = reader.read(body)
    return Formula(root, tuple(reader.traces), tuple(reader.numbers), tuple(reader.genes))


def _check_tokens(text: str) -> None:
    """So that Python's parser meets nothing but numbers, names and arithmetic."""
    start = 0
    while start < len(text):
        match = _TOKEN.match(text, start)
        if match is None:
            raise ValueError(
                f"`formula` cannot be read from {_short(text[start:].strip())} on; write "
                "numbers, names, + - * / **, brackets and functions."
            )
        start = match.end()


class _Reader:
    """Turns the syntax tree of a formula into ours, and collects what it names."""

    def __init__(self, text: str):
        self.text = text
        self.traces: list[Node] = []
        self.numbers: list[float] = []
        self.genes: list[str] = []
        self._nodes = 0
        self._in_trace = False

    def read(self, node: ast.expr, depth: int = 1) -> Node:
        self._nodes += 1
        if depth > DEEPEST or self._nodes > LARGEST:
            raise ValueError(
                f"`formula` must be nested at most {DEEPEST} deep and have at most {LARGEST} "
                f"parts, got {_short(self.text)}."
            )
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self._number(number)
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.USub(), operand=of):
                return Operation("negative", (self.read(of, depth + 1),))
            case ast.UnaryOp(op=ast.UAdd(), operand=of):
                return self.read(of, depth + 1)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return Operation("**", (self.read(left, depth + 1), self._exponent(right)))
            case ast.BinOp(left=left, op=does, right=right) if type(does) in _BINARY:
                parts = self.read(left, depth + 1), self.read(right, depth + 1)
                return Operation(_BINARY[type(does)], parts)
            case ast.Call(func=ast.Name(id=name), args=[of], keywords=[]):
                return self._call(name, of, depth + 1)
        part = ast.get_source_segment(self.text, node) or self.text
        raise ValueError(
            f"`formula` must be made of numbers, names, + - * / **, and functions of one "
            f"thing ({', '.join([*FUNCTIONS, 'trace'])}), got {_short(part)}."
        )

    def _number(self, number: int | float) -> str:
        try:
            number = float(number)
        except OverflowError:
            number = float("inf")
        if number == float("inf"):
            raise ValueError("a number in `formula` is too large.")
        self.numbers.append(number)
        return f"c{len(self.numbers) - 1}"

    def _name(self, name: str) -> str:
        if name in SIGNALS:
            return name
        if _TAKEN.fullmatch(name) or name in FUNCTIONS:
            raise ValueError(f"`{name}` in `formula` means something else; rename it.")
        if name not in self.genes:
            self.genes.append(name)
        return name

    def _exponent(self, node: ast.expr) -> Node:
        sign, number = 1, node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            sign, number = -1, node.operand
        match number:
            case ast.Constant(value=int() as size) if type(size) is int and size <= STEEPEST:
                return sign * size
            case ast.Constant(value=float() as size) if size <= STEEPEST:
                return self._number(sign * size)
            case ast.Name(id=name) if name not in SIGNALS and sign == 1:
                return self._name(name)
        raise ValueError(
            f"an exponent in `formula` must be a number from {-STEEPEST} to {STEEPEST} or a "
            f"named constant, got {_short(ast.get_source_segment(self.text, node) or '')}."
        )

    def _call(self, name: str, of: ast.expr, depth: int) -> Node:
        if name in FUNCTIONS:
            return Operation(name, (self.read(of, depth),))
        if name != "trace":
            known = [*FUNCTIONS, "trace"]
            raise ValueError(
                f"unknown function {name[:40]!r} in `formula`; {near(name, known)}"
            )
        if self._in_trace:
            raise ValueError("a trace in `formula` must not hold another trace.")
        self._in_trace = True
        followed = self.read(of, depth)
        self._in_trace = False
        # The numbers of two traces are genes of their own, so only those without are shared.
        if followed not in self.traces:
            self.traces.append(followed)
        return f"trace{self.traces.index(followed)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def check_named(formula: Formula, given: Mapping[str, Any]) -> None:
    """Raises a `ValueError` for a gene without a value, or a value without a gene."""
    for name in (n for n in formula.genes if n not in given):
        raise ValueError(
            f"`{name[:40]}` in `formula` is no signal; give it a value, as in "
            f"{name[:40]}=0.1, or name a signal: {near(name, list(SIGNALS))}"
        )
    for name in (n for n in given if n not in formula.genes):
        named = ", ".join(formula.genes) or "no constants"
        raise ValueError(f"`{name[:40]}` is not in `formula`, which names {named}.")
