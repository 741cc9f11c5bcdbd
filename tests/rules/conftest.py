"""All rules that keep to the contract: registered ones, those for bodies, combinators."""

import pytest

import plasticgym as pg

# Combinators are registered around one rule at most, and are to keep to it around others.
COMBINATORS = {
    "replicas of blur": lambda: pg.rules.Replicas("blur"),
    "replicas of three-factor": lambda: pg.rules.Replicas("three-factor"),
    "cross-modal over two": lambda: pg.rules.CrossModal(("blur", "three-factor")),
    "hierarchy of blur": lambda: pg.rules.Hierarchy("blur", modules=2),
}
# The tables of rules, which tell classes apart, are no place for it.
BODIES = {"chemotaxis": pg.rules.Chemotaxis}
UNREGISTERED = COMBINATORS | BODIES
# One of each kind; the others keep to the contract in the slow tests.
EXEMPLARS = {
    "sgd",
    "adam",
    "feedback-alignment",
    "node-perturbation",
    "equilibrium-propagation",
    "oja",
    "three-factor",
    "blur",
    "vsml",
    "remembering",
    "hopfield",
    "invariant-path",
    "replicas",
    "hierarchy of blur",
}

assert {*pg.rules.RULES, *UNREGISTERED} >= EXEMPLARS


@pytest.fixture(
    params=[
        pytest.param(name, marks=() if name in EXEMPLARS else pytest.mark.slow)
        for name in (*pg.rules.RULES, *UNREGISTERED)
    ]
)
def rule(request) -> pg.rules.AbstractRule:
    if request.param in UNREGISTERED:
        return UNREGISTERED[request.param]()
    return pg.rules.make(request.param)
