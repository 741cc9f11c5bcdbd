"""What a suite promises: fixed settings, explicit seeds, nothing built unless asked for."""

import re

import pytest

from plasticgym import benchmarks, envs

XOR = benchmarks.Setting("Xor-v0")


def test_smoke_v0_stays_what_it_is():
    # Its settings may grow; what is here may not change under this id.
    suite = benchmarks.suite("smoke-v0")
    assert {name: (s.problem, dict(s.options)) for name, s in suite.seen.items()} == {
        "digits": ("Digits-v0", {}),
        "xor": ("Xor-v0", {}),
        "moons": ("Moons-v0", {}),
    }
    assert {name: (s.problem, dict(s.options)) for name, s in suite.unseen.items()} == {
        "nxor": ("Nxor-v0", {}),
        "and": ("And-v0", {}),
        "slice": ("Slice-v0", {}),
    }
    assert suite.seeds == tuple(range(1000, 1032))


def bodies_and_lives(settings):
    problems = {name: setting.build() for name, setting in settings.items()}
    assert all(problem.batch == 32 for problem in problems.values())
    return {name: (p.body.layers, p.presentations) for name, p in problems.items()}


def test_lite_v0_stays_what_it_is():
    suite, plane = benchmarks.suite("lite-v0"), (2, 20, 2)
    assert bodies_and_lives(suite.seen) == {
        "digits": ((64, 32, 10), 20),
        **dict.fromkeys(("xor", "or", "moons", "circle"), (plane, 50)),
    }
    assert bodies_and_lives(suite.validation) == {
        **dict.fromkeys(("nxor", "and", "slice"), (plane, 50)),
        "digits-64-32": ((64, 64, 32, 10), 20),
        "digits-128": ((64, 128, 10), 20),
    }
    assert bodies_and_lives(suite.unseen) == {
        **dict.fromkeys(("cross", "triangle", "blobs"), (plane, 50)),
        "wine": ((13, 32, 3), 20),
        "breast-cancer": ((30, 32, 2), 20),
        "digits-48-24-16": ((64, 48, 24, 16, 10), 20),
        "digits-256": ((64, 256, 10), 20),
        "digits-long": ((64, 32, 10), 200),
        **dict.fromkeys(("xor-long", "or-long", "moons-long", "circle-long"), (plane, 500)),
    }
    assert suite.seeds == tuple(range(2000, 2032))
    for name, setting in suite.settings.items():
        assert name.startswith(envs.shell_name(setting.problem))


def test_race_v0_is_lite_v0_in_two_lengths_of_life():
    lite, race = benchmarks.suite("lite-v0"), benchmarks.suite("race-v0")
    assert race.validation == {}
    assert race.seeds == tuple(range(3000, 3100))
    for split, count in (("seen", 5), ("unseen", 7)):
        assert len(race.splits[split]) == 2 * count
        for name, setting in race.splits[split].items():
            short, length = name.rsplit("-", 1)
            same = lite.splits[split][short]
            assert setting.problem == same.problem
            assert setting.complete == {**same.complete, "presentations": int(length)}


@pytest.mark.parametrize("name", list(benchmarks.SUITES))
def test_every_suite_has_its_id_and_problems_that_exist(name):
    suite = benchmarks.suite(name)
    assert suite.id == name
    assert all(setting.problem in envs.PROBLEMS for setting in suite.settings.values())


def test_settings_are_built_when_asked_for_and_not_before():
    built = []

    def build(presentations):
        built.append(presentations)
        return envs.plane("xor", hidden=(4,), presentations=presentations)

    envs.register("CountedXor-v0", build)
    setting = benchmarks.Setting("CountedXor-v0", {"presentations": 7})
    suite = benchmarks.Suite("counted-v0", seen={"xor": setting}, unseen={}, seeds=(0,))
    benchmarks.register("counted-v0", lambda: suite)
    assert benchmarks.suite("counted-v0") is suite
    assert built == []
    assert suite.problem("xor").presentations == 7
    assert built == [7]


def test_a_suite_cannot_be_changed():
    settings, options = {"xor": XOR}, {"hidden": (4,)}
    suite = benchmarks.Suite("mine-v0", seen=settings, unseen={}, seeds=(0,))
    setting = benchmarks.Setting("Xor-v0", options)
    settings["and"], options["hidden"] = XOR, (5,)
    assert list(suite.settings) == ["xor"]
    assert setting.options["hidden"] == (4,)
    with pytest.raises(TypeError):
        suite.seen["and"] = XOR


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "mine"}, r"`id` must be lower-case words and a version.*'mine'"),
        ({"id": "Mine-v0"}, r"`id` must be lower-case"),
        ({"seen": {}, "validation": {"xor": XOR}, "unseen": {"xor": XOR}}, "`unseen` must not"),
        ({"validation": {"xor": XOR}}, r"`validation` must not name what `seen` does"),
        ({"seen": {}, "unseen": {}}, r"`seen` and `unseen` must hold at least one"),
        ({"unseen": {"xor": XOR}}, r"`unseen` must not name what `seen` does, got \['xor'\]"),
        ({"seeds": ()}, r"`seeds` must be a tuple of at least one"),
        ({"seeds": (1, 2, 1)}, r"`seeds` must be .* all different, got \(1, 2, 1\)"),
        ({"seeds": (True,)}, r"`seeds` must be"),
        ({"seeds": (-1,)}, r"`seeds` must be a tuple of .* from 0 to"),
        ({"seeds": (2**32,)}, r"`seeds` must be"),
        ({"seeds": [1, 2]}, r"`seeds` must be a tuple"),
        ({"seeds": (0.5,)}, r"`seeds` must be"),
        ({"seeds": 3}, r"`seeds` must be a tuple"),
    ],
)
def test_bad_suites_are_refused(change, message, unchecked):
    right = {"id": "mine-v0", "seen": {"xor": XOR}, "unseen": {}, "seeds": (0, 1)}
    with pytest.raises(ValueError, match=message):
        benchmarks.Suite(**(right | change))


@pytest.mark.parametrize(
    ("problem", "options", "expected"),
    [
        ("Digits-v0", {}, []),
        ("Digits-v0", {"hidden": (256,)}, ["digits-256"]),
        ("Digits-v0", {"hidden": [256], "batch": 8, "view": "rotated"}, ["digits-256"]),
        ("Digits-v0", {"hidden": (48, 24)}, []),
        ("Digits-v0", {"hidden": [48, 24, 16]}, ["digits-48-24-16"]),
        ("Digits-v0", {"presentations": 200}, ["digits-long"]),
        ("Digits-v0", {"presentations": 200, "hidden": (256,)}, ["digits-256", "digits-long"]),
        ("Digits-v0", {"presentations": 500}, ["digits-long"]),
        ("Digits-v0", {"presentations": 199}, []),
        ("Digits-v0", {"presentations": 500, "hidden": (255,)}, ["digits-long"]),
        ("Digits-v0", {"presentations": 199, "hidden": (255,)}, []),
        ("Digits-v0", {"presentations": "500"}, []),
        ("Xor-v0", {"presentations": 501}, ["xor-long"]),
        ("Xor-v0", {"presentations": 499}, []),
        ("Wine-v0", {}, ["wine"]),
        ("Wine-v0", {"hidden": (5,), "presentations": 7}, ["wine"]),
        ("Xor-v0", {}, []),
        ("Nxor-v0", {}, []),  # validation is not unseen
        ("Elsewhere-v0", {"hidden": (256,)}, []),
    ],
)
def test_what_is_unseen_is_known_however_it_is_written(problem, options, expected):
    lite = benchmarks.suite("lite-v0")
    assert benchmarks.unseen_in(lite, {"mine": (problem, options)}) == expected
    assert (
        benchmarks.unseen_in(lite, {"xor": ("Xor-v0", {}), "b": (problem, options)}) == expected
    )


def test_options_left_out_are_as_the_builder_has_them():
    options = {"hidden": (20,), "presentations": 50}
    suite = benchmarks.Suite(
        "mine-v0",
        seen={"tiny": benchmarks.Setting("Xor-v0", {"hidden": (2,)})},
        unseen={"xor": benchmarks.Setting("Xor-v0", options)},
        seeds=(0,),
    )
    assert benchmarks.unseen_in(suite, {"mine": ("Xor-v0", {})}) == ["xor"]
    for presentations in (49, 51):  # 50 is usual: longer lives are no less of another kind
        mine = {"mine": ("Xor-v0", {"presentations": presentations})}
        assert benchmarks.unseen_in(suite, mine) == []


def test_an_id_that_is_unseen_alone_is_unseen_with_any_options():
    race = benchmarks.suite("race-v0")
    trained = {"mine": ("Wine-v0", {"presentations": 35})}
    assert benchmarks.unseen_in(race, trained) == ["wine-20", "wine-50"]


def test_unknown_names_bring_the_near_ones():
    with pytest.raises(ValueError, match=r"unknown suite 'smok-v0'; did you mean 'smoke-v0'"):
        benchmarks.suite("smok-v0")
    with pytest.raises(ValueError, match=r"unknown setting 'digit'; did you mean 'digits'"):
        benchmarks.suite("smoke-v0").problem("digit")
    nowhere = benchmarks.Setting("Xorr-v0")
    with pytest.raises(ValueError, match=re.escape("unknown problem 'Xorr-v0'; did you mean")):
        nowhere.build()
