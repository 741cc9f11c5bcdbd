"""All rules that keep to the contract: the registered ones, and combinators of others."""

import pytest

import plasticgym as pg

# Combinators are registered around one rule at most, and are to keep to it around others.
COMBINATORS = {
    "replicas of blur": lambda: pg.rules.Replicas("blur"),
    "replicas of three-factor": lambda: pg.rules.Replicas("three-factor"),
    "cross-modal over two": lambda: pg.rules.CrossModal(("blur", "three-factor")),
    "hierarchy of blur": lambda: pg.rules.Hierarchy("blur", modules=2),
}


@pytest.fixture(params=[*pg.rules.RULES, *COMBINATORS])
def rule(request) -> pg.rules.AbstractRule:
    if request.param in COMBINATORS:
        return COMBINATORS[request.param]()
    return pg.rules.make(request.param)
