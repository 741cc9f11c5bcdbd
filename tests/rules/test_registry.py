"""Names: near ones in errors, members from outside, and no name taken twice."""

from importlib.metadata import EntryPoint
from typing import NamedTuple

import pytest

import plasticgym as pg
from plasticgym.rules import RULES, Registry


@pytest.fixture
def colours():
    return Registry("colour", {"red": lambda: "#f00", "green": lambda: "#0f0"})


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sdg", "did you mean 'sgd'"),
        ("SGD", "did you mean 'sgd'"),
        ("adm", "did you mean 'adam'"),
        ("momentun", "did you mean 'momentum'"),
        ("blurr", "did you mean 'blur'"),
        ("hebbian", "did you mean 'hebb'"),
        ("zzzzzz", "known are abcd, adam, "),
        ("", "known are abcd, adam, "),
    ],
)
def test_an_unknown_rule_gets_the_near_names(name, hint):
    with pytest.raises(ValueError, match=rf"unknown rule {name!r}; .*{hint}"):
        pg.rules.make(name)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Digits", "'Digits-v0'"),
        ("digits-v0", "'Digits-v0'"),
        ("Digits-v1", "'Digits-v0'"),
        ("xor-v0", "'Xor-v0'"),
        ("BreastCancer", "'BreastCancer-v0'"),
        ("zzzzzz", "known are Acrobot-v0, "),
    ],
)
def test_an_unknown_problem_gets_the_near_names(name, hint):
    with pytest.raises(ValueError, match=rf"unknown problem '{name}'; .*{hint}"):
        pg.envs.problem(name)


def test_every_member_can_be_built_by_its_name():
    for name in RULES:
        assert name in RULES
        assert isinstance(pg.rules.make(name), pg.rules.AbstractRule)


def test_options_reach_the_builder():
    assert float(pg.rules.make("sgd", rate=0.5).rate) == 0.5
    assert pg.rules.make("blur", states=4).states == 4
    assert pg.envs.problem("Xor-v0", hidden=(7,)).body.layers == (2, 7, 2)


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"sgd.*rte|rte.*sgd"):
        pg.rules.make("sgd", rte=0.5)


def test_members_from_outside(colours):
    colours.register("blue", lambda shade="#00f": shade)
    assert "blue" in colours
    assert list(colours) == ["red", "green", "blue"]
    assert colours.make("blue", shade="#008") == "#008"


def test_a_taken_name_is_refused(colours):
    with pytest.raises(ValueError, match="the colour 'red' exists already; choose another"):
        colours.register("red", lambda: "#f11")
    assert colours.make("red") == "#f00"


def test_registering_the_same_member_again_changes_nothing(colours):
    colours.register("red", colours["red"])
    assert list(colours) == ["red", "green"]


def test_registries_share_nothing(colours):
    assert "red" not in RULES
    assert "sgd" not in colours


class Pair(NamedTuple):
    one: list
    other: list


def test_options_stored_as_json_build_what_they_built_before(colours):
    colours.register("any", lambda *args, **options: (args, options))
    pair = Pair([1], [2])
    args, options = colours.make(
        "any", [1, [2]], mixed={"a": [3, (4, [5])]}, name=[], pair=pair
    )
    assert args == ((1, (2,)),)
    assert options == {"mixed": {"a": (3, (4, (5,)))}, "name": (), "pair": pair}
    assert options["pair"] is pair


def test_a_builder_that_stumbles_over_its_options_is_bad_input(colours):
    colours.register("many", lambda n: ["red"] * (n + 1))
    message = "the colour 'many' cannot be built from these options: can only concatenate"
    with pytest.raises(ValueError, match=message):
        colours.make("many", n="x")


@pytest.mark.parametrize(
    ("value", "message"),
    [("no_such_module:blue", "No module named"), ("json:blue", "no attribute 'blue'")],
)
def test_a_broken_member_of_another_package_harms_no_other(
    colours, monkeypatch, value, message
):
    point = EntryPoint("blue", value, "plasticgym.colours")
    monkeypatch.setattr(colours, "_offered", lambda: {"blue": point})
    assert list(colours) == ["red", "green", "blue"]
    assert colours.make("red") == "#f00"
    with pytest.raises(ValueError, match=f"'blue' of another package cannot be .*{message}"):
        colours.make("blue")
