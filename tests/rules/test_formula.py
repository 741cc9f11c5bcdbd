"""Formulas are read by a whitelist: what is in it, its bounds, and hostile strings."""

import random
import string
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import Body, Clamped, Expression, Feedback
from plasticgym.rules._formula import (
    FUNCTIONS,
    SIGNALS,
    Formula,
    Operation,
    names,
    parsed,
    value,
)
from plasticgym.rules._sum_of_products import MIXED, SIDES, mean_over_rows, products

KNOWN = {"pre": 0.5, "post": -1.5, "weight": 2.0, "error": 0.25, "reward": -3.0, "target": 1.0}


def at(text: str, **genes: float) -> float:
    """What a formula comes to at the signals of `KNOWN`."""
    formula = parsed(text)
    numbers = {f"c{i}": number for i, number in enumerate(formula.numbers)}
    arrays = {k: jnp.asarray(v, float) for k, v in (KNOWN | numbers | genes).items()}
    return float(value(formula.root, arrays))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pre - post - weight", 0.5 + 1.5 - 2.0),
        ("pre - (post - weight)", 0.5 + 1.5 + 2.0),
        ("weight / pre / 4", 1.0),
        ("-post ** 2", -2.25),
        ("post ** -2", 1 / 2.25),
        ("weight ** 3", 8.0),
        ("+ - + pre", -0.5),
        ("1.5e1 * pre + .5 + 2.", 10.0),
        ("abs(post) ** 0.5", 1.5**0.5),
        ("weight ** power", 2.0**2.5),
        ("tanh(error) + sigmoid(reward)", np.tanh(0.25) + 1 / (1 + np.exp(3))),
        ("relu(post) + relu(pre) + sign(post) + exp(target)", 0.5 - 1 + np.e),
        ("  pre\n\t* eta ", 1.0),
    ],
)
def test_a_formula_means_what_it_means_in_python(text, expected):
    known = {"power": 2.5, "eta": 2.0}
    genes = {name: known[name] for name in parsed(text).genes}
    np.testing.assert_allclose(at(text, **genes), expected, rtol=1e-6)


def test_numbers_and_names_become_genes_but_for_whole_exponents():
    formula = parsed("0.1 * pre ** 2 - a * 0.1 * trace(b * post) + a / post ** -0.5")
    assert formula.numbers == (0.1, 0.1, -0.5)
    assert formula.genes == ("a", "b")
    assert formula.traces == (Operation("*", ("b", "post")),)
    assert formula.signals == {"pre", "post"}
    assert "trace0" in names(formula.root)


def test_equal_traces_are_one():
    assert len(parsed("trace(pre) * trace(post) + trace(pre)").traces) == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "cannot be read"),
        ("pre +", "cannot be read"),
        ("pre post", "cannot be read"),
        ("(" * 300 + "pre" + ")" * 300, "cannot be read"),
        ("pre; post", "cannot be read from '; post'"),
        ("pre = post", "cannot be read from '= post'"),
        ("pre.post", r"cannot be read from '\.post'"),
        ("'pre'", "cannot be read from"),
        ("pre\0", "cannot be read from"),
        ("1j * pre", "cannot be read from '1j"),
        ("0x10 * pre", "cannot be read from '0x10"),
        ("1_000", "cannot be read from '1_000'"),
        ("1if pre else 2", "cannot be read from '1if"),
        ("ｐｒｅ", "cannot be read from"),
        ("pre @ post", "cannot be read from"),
        ("pre // post", "made of numbers"),
        ("pre and post", "made of numbers"),
        ("pre if post else 1", "made of numbers"),
        ("not pre", "made of numbers"),
        ("True * pre", "made of numbers"),
        ("(pre, post)", "made of numbers"),
        ("tanh(*pre)", "made of numbers"),
        ("tanh(pre, post)", "made of numbers"),
        ("tanh()", "made of numbers"),
        ("tanh(pre)(post)", "made of numbers"),
        ("eval(pre)", "unknown function 'eval'"),
        ("tanj(pre)", "unknown function 'tanj' in `formula`; did you mean 'tanh'"),
        ("__import__(os)", "unknown function '__import__'"),
        ("__class__", "means something else"),
        ("tanh * pre", "means something else"),
        ("c0 * pre", "means something else"),
        ("trace * pre", "means something else"),
        ("activation * pre", "means something else"),
        ("trace(trace(pre))", "must not hold another trace"),
        ("pre ** 9", "an exponent in `formula` must be a number from -8 to 8"),
        ("pre ** -9", "an exponent"),
        ("pre ** 8.5", "an exponent"),
        ("pre ** True", "an exponent"),
        ("pre ** post", "an exponent .* got 'post'"),
        ("9 ** 9 ** 9", "an exponent"),
        ("9 ** 9 ** 9 ** 9 ** 9 * pre", "an exponent"),
        ("1e999 * pre", "a number in `formula` is too large"),
        ("9" * 400, "a number in `formula` is too large"),
        ("+".join(["pre"] * 200), "nested at most 60 deep"),
        ("-" * 990 + "pre", "nested|cannot be read"),
        ("*".join(["(pre + post)"] * 50) + "+" + "+".join(["a"] * 100), "at most 250 parts"),
        ("pre + " * 166 + "pre  ", "at most 1000 characters, got 1001"),
    ],
)
def test_what_is_no_formula_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        parsed(text)


@pytest.mark.parametrize("text", [None, 3, b"pre", ["pre"]])
def test_what_is_no_text_is_refused(text, unchecked):
    with pytest.raises((ValueError, TypeError)):
        parsed(text)


PIECES = [
    *SIGNALS,
    *FUNCTIONS,
    *"+-*/(),.;:=@#'\"\\[]{}~^&|<>%!?$`\0\n\t 0123456789eEjJxX_éπ\u202e\ud800",
    *("**", "**2", "**-3", "//", "trace(", "trace(trace(", "tanh(", "1e999", "1e-999", "0.1"),
    *("rate", "a", "c0", "trace0", "__class__", "__import__('os')", "eval(", "exec(", "open("),
    *(
        "lambda pre: pre",
        "lambda",
        "if",
        "else",
        "for",
        "in",
        "and",
        "or",
        "not",
        "is",
        "await",
    ),
    *(
        "yield",
        "None",
        "True",
        "...",
        "{pre}",
        "f'{pre}'",
        "pre.__class__",
        "pre[0]",
        ":=",
        "9**9",
    ),
    *("9" * 50, "(" * 50, ")" * 50, "-" * 50, "~" * 20, "1if ", "0x", "1_0", "1j", "import os"),
]


def strings(count: int, seed: int):
    """Random and hostile text: pieces of formulas and of Python, and plain characters."""
    draw = random.Random(seed)
    operators = ["+", "-", "*", "/", " ", ""]
    atoms = [*SIGNALS, "rate", "0.5", "tanh(post)", "trace(pre)", "(pre", "post)", "weight**2"]
    for index in range(count):
        kind, length = index % 4, draw.choice([1, 2, 3, 5, 8, 13, 40, 300])
        if kind == 0:
            yield "".join(draw.choice(PIECES) for _ in range(length))
        elif kind == 1:
            yield "".join(draw.choice(string.printable) for _ in range(length))
        elif kind == 2:
            yield "".join(chr(draw.randrange(1, 0x11000)) for _ in range(length))
        else:  # mostly formulas
            yield draw.choice(operators).join(draw.choice(atoms) for _ in range(length % 20))


LISTED = {*SIGNALS, *(f"trace{i}" for i in range(250)), *(f"c{i}" for i in range(250))}
DONE = {"+", "-", "*", "/", "**", "negative", *FUNCTIONS}


def operations(node):
    if isinstance(node, Operation):
        yield node.does
        for part in node.to:
            yield from operations(part)


def check_sound(formula: Formula):
    """Nothing is in it but what the whitelist has and genes by plain names."""
    for node in (formula.root, *formula.traces):
        assert set(operations(node)) <= DONE
        assert names(node) - LISTED <= set(formula.genes)
    assert all(name.isidentifier() and name[0] != "_" for name in formula.genes)


def check_lives(text: str, formula: Formula):
    """A rule can be built of it and traced, or is refused by a `ValueError`."""
    genes = dict.fromkeys(formula.genes, 0.5)
    if any(abs(number) > jnp.finfo(float).max for number in formula.numbers):
        with pytest.raises(ValueError, match="must be one finite number"):
            Expression(text, **genes)
        return
    rule = Expression(text, **genes)
    body, key = Body((2, 3, 2)), jax.random.key(0)
    inputs, targets = Clamped.full(jnp.ones((4, 2))), Clamped.full(jnp.zeros((4, 2)))
    heard = Feedback(targets, jnp.ones((4, 2)), jnp.ones(4), jnp.ones(4, bool))

    def present():
        state = rule.rest(rule.init(body, key=key), 4)
        before = state.synapses
        state, _ = rule.predict(state, inputs, key=key)
        return before, rule.adapt(rule.receive(state, heard, key=key), key=key).synapses

    before, after = jax.eval_shape(present)
    assert before == after


SECONDS = 5.0  # of the processor for a string, a hundred times what the slowest takes


def fuzz(count: int, seed: int, every: int) -> int:
    """How many of so many strings were formulas; all others raise a `ValueError`.

    One of `every` formulas learns, too.
    """
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in strings(count, seed):
            clock = time.process_time()
            try:
                formula = parsed(text)
            except ValueError:
                formula = None
            if formula is not None:
                check_sound(formula)
                products(formula.root, SIDES)
                if read % every == 0:
                    check_lives(text, formula)
                read += 1
            assert time.process_time() - clock < SECONDS, text
    return read


def test_hostile_strings_are_read_or_refused():
    assert 100 < fuzz(2_000, seed=0, every=20) < 1_500


@pytest.mark.slow
def test_a_hundred_thousand_hostile_strings_are_read_or_refused():
    assert fuzz(100_000, seed=1, every=50) > 5_000


BY_MATRICES = [
    "rate * post * (pre - post * weight)",
    "(pre - post * weight) ** 2 + pre / post - weight",
    "tanh(pre) * exp(post) / (weight * post) - error * sign(pre) * reward",
    "-(pre * (post - target)) ** 3 / rate",
    "(pre * post) ** -2 + rate",
    "weight + weight ** 2 * post + pre",
    "(pre + post) ** 0 + rate * 3",
    "relu(pre) * abs(weight)",
]
BY_ROWS = [
    "tanh(pre * post)",
    "rate * pre * post + weight * sigmoid(pre - weight) * error",
    "pre / (pre + post)",
    "(pre * post) ** rate",
    "(pre + post + weight) ** 4",  # 81 products
    "1 / (pre * post + weight) ** 2",
]


@pytest.mark.parametrize("text", BY_MATRICES + BY_ROWS)
def test_a_sum_of_products_has_the_mean_of_the_formula(text):
    formula = parsed(text)
    terms = products(formula.root, SIDES)
    assert any(term.of(MIXED) for term in terms) == (text in BY_ROWS)
    rng = np.random.default_rng(0)
    shapes = {"pre": (5, 3), "weight": (3, 4)}
    known = {s: jnp.asarray(rng.uniform(0.5, 2, shapes.get(s, (5, 4)))) for s in SIGNALS}
    genes = {f"c{i}": number for i, number in enumerate(formula.numbers)} | {"rate": 0.3}
    known |= {name: jnp.asarray(number) for name, number in genes.items()}
    found = mean_over_rows(terms, known, SIDES)
    axes = {"pre": (5, 3, 1), "weight": (1, 3, 4)}
    spread = {
        name: jnp.broadcast_to(array.reshape(axes.get(name, (5, 1, 4))), (5, 3, 4))
        for name, array in known.items()
        if name in SIGNALS
    }
    one_by_one = value(formula.root, known | spread)
    expected = jnp.broadcast_to(one_by_one, (5, 3, 4)).mean(0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
