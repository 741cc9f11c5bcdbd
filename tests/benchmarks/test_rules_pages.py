"""What the pages on rules say is of the rules that there are."""

import json
from pathlib import Path

import pytest

import plasticgym as pg
from plasticgym.benchmarks._standing_alone import standing_alone

DOCS = Path(__file__).resolve().parents[2] / "docs"
SEARCH = json.loads((DOCS / "rules" / "search.json").read_text())["rules"]
# What their bare names stand for was tuned on a suite, is a baseline of BLUR or, of the
# homeostat, is for bodies that move.
KEPT = {"sgd", "momentum", "adam", "normalised-sgd", "normalised-adam", "homeostat"}


def silent(name):
    return not pg.rules.make(name).reads


@pytest.mark.parametrize("name", standing_alone())
def test_the_default_rate_is_the_one_that_was_found(name):
    rule = pg.rules.make(name)
    if getattr(rule, "rate", None) is None or silent(name) or name in KEPT:
        pytest.skip("has no rate that was searched for")
    assert float(rule.rate) == pytest.approx(SEARCH[name]["rate"])


@pytest.mark.parametrize("name", standing_alone())
def test_every_rule_is_in_the_tables(name):
    page = (DOCS / "choose-a-rule.md").read_text()
    report = json.loads((DOCS / "rules" / "side_by_side.json").read_text())
    assert page.count(f"\n| `{name}` |") == 1 + silent(name)
    assert name in report["results"]
