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
        ({"seen": {}, "unseen": {}}, r"`seen` and `unseen` must hold at least one"),
        ({"unseen": {"xor": XOR}}, r"`unseen` must not name what is seen, got \['xor'\]"),
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


def test_unknown_names_bring_the_near_ones():
    with pytest.raises(ValueError, match=r"unknown suite 'smok-v0'; did you mean 'smoke-v0'"):
        benchmarks.suite("smok-v0")
    with pytest.raises(ValueError, match=r"unknown setting 'digit'; did you mean 'digits'"):
        benchmarks.suite("smoke-v0").problem("digit")
    nowhere = benchmarks.Setting("Xorr-v0")
    with pytest.raises(ValueError, match=re.escape("unknown problem 'Xorr-v0'; did you mean")):
        nowhere.build()
