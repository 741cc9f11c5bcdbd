"""Frozen references: made by the script on a tiny suite, and read by the package."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import plasticgym as pg
from plasticgym import benchmarks
from plasticgym.benchmarks import _rates, _reference

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks" / "references"
OPTIONS = {"hidden": (4,), "batch": 8, "presentations": 6}
SMALL = {"rules": ("sgd", "adam"), "tuning_seeds": (0, 1, 2), "test_seeds": (50, 51, 52, 53)}
RATES = (0.001, 0.01, 0.1)


def setting(**options):
    return benchmarks.Setting("Xor-v0", OPTIONS | options)


SUITE = benchmarks.Suite(
    "tiny-v0", seen={"xor": setting()}, unseen={"wide": setting(hidden=(6,))}, seeds=(1, 2)
)


@eqx.filter_jit
def alone(rule, problem, *, key):
    return pg.envs.live(rule, problem, key=key, part="validation").tests.score[-1]


@pytest.fixture(scope="module")
def scripts():
    sys.path.insert(0, str(SCRIPTS))
    yield {"rates": _rates, "tune_suite": importlib.import_module("tune_suite")}
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def folder(scripts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("references")
    scripts["tune_suite"].tune(SUITE, folder, rates=RATES, **SMALL)
    return folder


@pytest.fixture
def shipped(folder, monkeypatch):
    """The package finds the references of the tiny suite."""
    monkeypatch.setattr(_reference, "_FOLDER", folder)


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Stores what is said of Adam in a reference of the tiny suite."""
    monkeypatch.setattr(_reference, "_FOLDER", tmp_path)
    xor = {"problem": "Xor-v0", "options": setting().complete}

    def store(record, **told):
        told |= {"format": _reference.REFERENCE_FORMAT}
        told |= {"settings": {"xor": {**xor, "rules": {"adam": record}}}}
        (tmp_path / "tiny-v0.json").write_text(json.dumps(told))

    return store


@pytest.fixture
def counted(scripts, monkeypatch):
    """What the script measures from now on."""
    made = []

    def measured(rule, setting, *rest):
        made.append((rule, setting.complete["hidden"]))
        return measure(rule, setting, *rest)

    measure = scripts["tune_suite"].measured
    monkeypatch.setattr(scripts["tune_suite"], "measured", measured)
    return made


def told(folder, name="tiny-v0"):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("peak", [0.01, 1e-6, 30.0])
def test_rates_are_added_until_the_best_is_interior(scripts, peak):
    tried, best = scripts["rates"].search(
        lambda rates: [-abs(np.log10(rate / peak)) for rate in rates], RATES
    )
    assert abs(np.log10(best / peak)) <= 0.25
    assert min(tried) < best < max(tried)
    assert np.diff(np.log10(sorted(tried))).max() <= 1 + 1e-6


def test_rates_are_not_added_for_ever_and_of_several_best_the_middle_is_taken(scripts):
    assert 1e4 <= scripts["rates"].search(lambda rates: rates, RATES)[1] < 1e5
    assert scripts["rates"].search(lambda rates: [0.5] * len(rates), RATES)[1] == 0.01
    assert len(scripts["rates"].RATES) == 14


@pytest.mark.slow
def test_rates_are_chosen_on_validation_and_scored_on_test_by_fresh_seeds(folder, scripts):
    record = told(folder)["settings"]["xor"]["rules"]["sgd"]
    problem = SUITE.problem("xor")
    scores = {
        float(rate): np.mean(
            [
                alone(pg.rules.SGD(rate=float(rate)), problem, key=jax.random.key(seed))
                for seed in SMALL["tuning_seeds"]
            ]
        )
        for rate in record["validation"]
    }
    for rate, (last, _) in record["validation"].items():
        assert last == pytest.approx(scores[float(rate)], abs=1e-4)
    assert record["rate"] == pytest.approx(scripts["rates"].best(scores))
    fresh = dataclasses.replace(SUITE, seeds=SMALL["test_seeds"])
    rule = {"sgd": pg.rules.SGD(rate=record["rate"])}
    result = benchmarks.evaluate(rule, fresh).results["sgd"]["xor"]
    for values, field in ((result.last, "last"), (result.stream_area, "stream_area")):
        assert record[field]["mean"] == pytest.approx(values.mean(), abs=1e-5)
        assert record[field]["sd"] == pytest.approx(values.std(ddof=1), abs=1e-5)


@pytest.mark.slow
def test_what_is_known_is_not_measured_again(folder, scripts, counted, tmp_path):
    (tmp_path / "tiny-v0.json").write_bytes((folder / "tiny-v0.json").read_bytes())
    tune = scripts["tune_suite"].tune
    other = benchmarks.Suite(
        "other-v0",
        seen={"mine": setting(), "new": setting(hidden=(5,)), "twin": setting(hidden=[5])},
        unseen={},
        seeds=(0,),
    )
    tune(other, tmp_path, rates=RATES, **SMALL)
    assert counted == [("sgd", [5]), ("adam", [5])]
    mine, xor = told(tmp_path, "other-v0"), told(tmp_path)
    assert mine["settings"]["mine"] == xor["settings"]["xor"]
    assert mine["settings"]["twin"] == mine["settings"]["new"]
    tune(other, tmp_path, rates=RATES, **SMALL)
    assert len(counted) == 2
    old = xor | {"versions": xor["versions"] | {"jax": "0.1"}}
    (tmp_path / "tiny-v0.json").write_text(json.dumps(old))
    (tmp_path / "other-v0.json").unlink()
    tune(SUITE, tmp_path, rates=RATES, **SMALL | {"rules": ("sgd",)})
    assert counted[2:] == [("sgd", [4]), ("sgd", [6])]


@pytest.mark.slow
def test_tuned_adam_counts_as_one_by_default(folder, shipped):
    reference = benchmarks.reference(SUITE)
    settings = told(folder)["settings"]
    for name in ("xor", "wide"):
        assert reference.scores[name] == settings[name]["rules"]["adam"]["last"]["mean"]
    assert reference.name == f"Adam tuned for each problem, {told(folder)['date']}"
    report = benchmarks.evaluate({"sgd": pg.rules.SGD(rate=0.1)}, SUITE)
    assert report.reference == reference
    assert report.results["sgd"]["wide"].upper == reference.scores["wide"]


@pytest.mark.slow
def test_the_best_rates_come_by_setting(folder, shipped):
    settings = told(folder)["settings"]
    rules = benchmarks.tuned(SUITE, "adam")
    for name in ("xor", "wide"):
        rate = settings[name]["rules"]["adam"]["rate"]
        assert rules[name] == pg.rules.make("adam", rate=rate)
    entry = benchmarks.entry("sgd*", SUITE)
    assert (entry.label, entry.trained_on) == ("sgd*", {})
    assert entry.note == "rate chosen for each setting on its validation part"
    assert entry.rule == benchmarks.tuned(SUITE, "sgd")
    with pytest.raises(ValueError, match=r"no rates of 'adm' .*did you mean 'adam'"):
        benchmarks.tuned(SUITE, "adm")
    with pytest.raises(ValueError, match=r"tune_suite.py other-v0"):
        benchmarks.tuned(dataclasses.replace(SUITE, id="other-v0"), "sgd")


def test_the_best_rates_are_those_for_the_score_that_is_asked_for(stored):
    stored({"rate": 0.5, "rate_stream": 0.25})
    for score, rate in (("last", 0.5), ("stream_area", 0.25)):
        rules = benchmarks.tuned(SUITE, "adam", score=score)
        assert rules == {"xor": pg.rules.make("adam", rate=rate)}
    assert benchmarks.tuned(SUITE, "adam") == benchmarks.tuned(SUITE, "adam", score="last")
    stored({"rate": 0.5})
    older = benchmarks.tuned(SUITE, "adam", score="stream_area")
    assert older == {"xor": pg.rules.make("adam", rate=0.5)}


def test_rates_for_an_unknown_score_are_refused(unchecked):
    with pytest.raises(
        ValueError, match=r"unknown `score` 'stream'; did you mean 'stream_area'"
    ):
        benchmarks.tuned(SUITE, "adam", score="stream")


def test_a_setting_that_has_changed_has_no_reference(shipped):
    changed = dataclasses.replace(SUITE, unseen={"wide": setting(hidden=(7,))})
    assert benchmarks.reference(changed).scores.keys() == {"xor"}
    with pytest.raises(ValueError, match=r"lacks \['wide'\] .*tune_suite.py"):
        benchmarks.evaluate({"sgd": pg.rules.SGD(rate=0.1)}, changed)
    apart = dataclasses.replace(SUITE, id="apart-v0")
    assert benchmarks.reference(apart) == benchmarks.perfect(apart)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is no reference of this version"),
        ('{"format": "plasticgym-reference-v1"}', "is damaged"),
        ('{"format": "plasticgym-reference-v0"}', "is no reference of this version"),
    ],
)
def test_damaged_files_are_named(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(_reference, "_FOLDER", tmp_path)
    (tmp_path / "tiny-v0.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        benchmarks.reference(SUITE)


LAST = {"last": {"mean": 0.9}}


@pytest.mark.parametrize(
    ("record", "date", "message"),
    [
        (LAST, {}, "is damaged: KeyError.'date'"),
        ({}, {"date": "2000-01-01"}, "is damaged: KeyError.'last'"),
        ({"last": {"sd": 0.1}}, {"date": "2000-01-01"}, "is damaged: KeyError.'mean'"),
        ({"last": 0.9}, {"date": "2000-01-01"}, "is damaged: TypeError"),
        ({"last": {"mean": "high"}}, {"date": "2000-01-01"}, "is damaged: ValueError"),
        ([], {"date": "2000-01-01"}, "is damaged: TypeError"),
    ],
)
def test_a_reference_that_lacks_a_part_is_damaged(stored, record, date, message):
    stored(record, **date)
    with pytest.raises(ValueError, match=rf"tiny-v0\.json {message}"):
        benchmarks.reference(SUITE)


@pytest.mark.parametrize(
    ("record", "score", "message"),
    [
        (LAST, "last", "KeyError.'rate'"),
        (LAST, "stream_area", "KeyError.'rate'"),
        ({"rate": None}, "last", "TypeError"),
        ({"rate": "fast"}, "last", "ValueError"),
        ({"rate": 0.1, "rate_stream": {}}, "stream_area", "TypeError"),
        (0.1, "last", "AttributeError"),
    ],
)
def test_rates_that_cannot_be_read_are_damaged(stored, record, score, message):
    stored(record)
    with pytest.raises(ValueError, match=rf"tiny-v0\.json is damaged: {message}"):
        benchmarks.tuned(SUITE, "adam", score=score)


@pytest.mark.parametrize("name", list(benchmarks.SUITES))
def test_references_that_come_with_the_package_cover_their_suites(name):
    suite = benchmarks.suite(name)
    reference = benchmarks.reference(suite)
    assert reference.scores.keys() == suite.settings.keys()
    assert all(0 < score <= 1 for score in reference.scores.values())
