"""A report's numbers, tables, files and pictures, from scores planted by hand."""

import dataclasses
import io
import json
import re
import subprocess
import sys

import jax
import numpy as np
import pytest
import scipy.stats
from rich.console import Console

import plasticgym as pg
from plasticgym import benchmarks

SEEDS = tuple(range(8))
SPLITS = {"seen": ("easy", "hard"), "unseen": ("new",)}
RULES = {"sgd": pg.rules.SGD(rate=0.1), "oja": pg.rules.Oja()}


def planted(mean, *, times=(1, 3, 5), seeds=8, failed=(), chance=0.5, upper=1.0, seed=0):
    """Lives that end at `mean` on average, but for those that failed."""
    rng = np.random.default_rng(seed)
    held_out = np.linspace(chance, mean, len(times)) + 0.01 * rng.normal(
        size=(seeds, len(times))
    )
    diverged = np.isin(np.arange(seeds), failed)
    held_out[diverged] = chance
    stream = np.tile(np.linspace(chance, mean, times[-1]), (seeds, 1))
    weights = np.ones_like(stream)
    return benchmarks.Result(times, held_out, stream, weights, diverged, chance, upper)


def made(results, seeds=SEEDS, splits=SPLITS, trained_on=None, run=("seen", "unseen")):
    """A report of planted results; each setting of it has a body of its own."""
    bodies = iter(range(4, 40))
    splits = {
        split: {name: benchmarks.Setting("Xor-v0", {"hidden": (next(bodies),)}) for name in of}
        for split, of in splits.items()
    }
    suite = benchmarks.Suite("mine-v0", **splits, seeds=seeds)
    entries = {
        name: benchmarks.Entry(
            name, RULES.get(name, RULES["sgd"]), (trained_on or {}).get(name, {})
        )
        for name in results
    }
    perfect = benchmarks.perfect(suite)
    return benchmarks.Report(suite, "test", seeds, perfect, entries, results, run)


@pytest.fixture
def report():
    return made(
        {
            "sgd": {"easy": planted(0.95), "hard": planted(0.7), "new": planted(0.8)},
            "oja": {
                "easy": planted(0.6, failed=(2, 5)),
                "hard": planted(0.45),
                "new": planted(0.52, failed=range(8)),
            },
        }
    )


def test_a_summary_is_over_all_lives_of_its_split(report):
    easy, hard = (report.results["oja"][name] for name in SPLITS["seen"])
    pooled = 2 * (np.concatenate([easy.last, hard.last]) - 0.5)
    summary = report.summary("oja", "seen")
    assert summary.iqm == pytest.approx(scipy.stats.trim_mean(pooled, 0.25))
    assert summary.mean == pytest.approx(pooled.mean())
    assert (summary.worst, summary.worst_median) == ("hard", np.median(pooled[8:]))
    assert summary.failures == 2 / 16
    assert summary.low < summary.iqm < summary.high
    assert report.summary("oja", "unseen")[:4] == (0.0, 0.0, 0.0, 0.0)


def test_the_interval_does_not_grow_with_differences_between_problems(report):
    # The two problems of `sgd` differ by 0.5, its seeds within one by 0.02.
    low, high = report.summary("sgd", "seen")[1:3]
    assert high - low < 0.05


def test_presentations_of_no_weight_do_not_count():
    result = planted(0.9)
    weights = np.ones_like(result.stream)
    weights[:, -2:] = 0.0
    weighted = benchmarks.Result(
        result.times, result.held_out, result.stream, weights, result.diverged, 0.5, 1.0
    )
    np.testing.assert_allclose(weighted.stream_area, result.stream[:, :-2].mean(1))


def test_scores_are_clipped_and_how_many_is_told():
    result = planted(0.9)
    result.held_out[:3, -1] = (-3.0, 0.2, 0.95)
    steep = dataclasses.replace(result, upper=0.6)  # 0.1 above chance counts as 1
    np.testing.assert_allclose(steep.normalised[:3], (-0.5, -0.5, 2.0))
    assert steep.clipped == 1.0
    flat = dataclasses.replace(result, upper=1.0)
    np.testing.assert_allclose(flat.normalised[:3], (-0.5, -0.5, 0.9))
    assert flat.clipped == 2 / 8
    report = made({"sgd": {"easy": flat, "hard": planted(0.7), "new": steep}})
    assert report.summary("sgd", "seen").clipped == 2 / 16
    assert report.summary("sgd", "unseen").clipped == 1.0
    assert report.to_json()["results"]["sgd"]["easy"]["clipped"] == 2 / 8
    assert "12.5%" in shown(report)


def test_a_diverged_life_has_0_and_is_never_clipped():
    # Even where the scores of the file say otherwise.
    result = planted(0.9, failed=(0, 1))
    result.held_out[0, -1] = -5.0
    assert (result.normalised[:2] == 0.0).all()
    assert (result.clipped, result.failures) == (0.0, 2 / 8)


def test_what_a_rule_was_trained_on_counts_as_seen_for_it(report):
    met = {"mine": ("Xor-v0", {"hidden": [6], "batch": 8})}  # the body of `new`
    other = made(report.results, trained_on={"oja": met})
    assert (other.met("sgd"), other.met("oja")) == ([], ["new"])
    assert other.settings_of("sgd") == {"seen": ["easy", "hard"], "unseen": ["new"]}
    assert other.settings_of("oja") == {"seen": ["easy", "hard", "new"]}
    assert other.summary("oja", "seen").failures == 10 / 24
    assert other.summary("sgd", "unseen") == report.summary("sgd", "unseen")
    with pytest.raises(ValueError, match=r"unknown `split` 'unseen'; .*'seen'"):
        other.summary("oja", "unseen")
    told = other.to_json()
    assert told["rules"]["oja"]["counted_as_seen"] == ["new"]
    assert told["rules"]["oja"]["trained_on"] == {
        "mine": ["Xor-v0", {"hidden": [6], "batch": 8}]
    }
    assert told["summary"]["oja"].keys() == {"seen"}
    text = shown(other)
    assert "oja †" in text
    assert "seen (3†)" in text
    assert "†: trained on it" in text
    assert "†" not in shown(report)


def test_validation_stands_between_seen_and_unseen():
    splits = {"seen": ("a",), "unseen": ("b",), "validation": ("c",)}
    results = {"sgd": {name: planted(0.9) for name in "abc"}}
    report = made(results, splits=splits, run=("seen", "validation", "unseen"))
    assert list(report.settings) == ["seen", "validation", "unseen"]
    text = shown(report)
    assert text.index("Seen prob") < text.index("Validation prob") < text.index("Unseen prob")
    assert report.to_json()["summary"]["sgd"].keys() == {"seen", "validation", "unseen"}
    part = made({"sgd": {"c": planted(0.9)}}, splits=splits, run=("validation",))
    assert list(part.settings) == ["validation"]
    assert "Seen prob" not in shown(part)
    assert part.to_json()["reference"]["scores"] == {"c": 1.0}
    assert part.to_json()["suite"]["unseen"].keys() == {"b"}


def test_a_rule_per_setting_is_told_by_setting(report):
    rules = {name: pg.rules.SGD(rate=rate) for name, rate in (("easy", 0.1), ("new", 0.2))}
    entries = {"mine": benchmarks.Entry("mine", rules)}
    results = {"mine": report.results["sgd"]}
    told = dataclasses.replace(report, entries=entries, results=results)
    by_setting = told.to_json()["rules"]["mine"]["by_setting"]
    assert [by_setting[name]["genome"]["rate"] for name in ("easy", "new")] == [0.1, 0.2]
    assert "mine nothing" in trained_on(told)  # what nobody has told is not guessed


def test_an_entry_that_was_fitted_to_each_problem_shows_it(report):
    met = {"mine": ("Xor-v0", {"hidden": (6,)})}
    notes = {"sgd": ("fitted by hand", {}), "oja": ("fitted, too", met)}
    entries = {n: benchmarks.Entry(n, RULES[n], on, note) for n, (note, on) in notes.items()}
    fitted = dataclasses.replace(report, entries=entries)
    assert "sgd fitted by hand oja mine; fitted, too" in trained_on(fitted)
    summary = shown(fitted).split("Summary")[1]
    rows = re.findall(r"^ +((?:un)?seen \(.*?\)) ", summary, re.MULTILINE)
    assert rows == ["seen (2*)", "unseen (1*)", "seen (3†*)"]
    assert "*: fitted to each of these problems" in " ".join(summary.split())
    assert fitted.to_json()["rules"]["sgd"]["note"] == "fitted by hand"
    one = dataclasses.replace(report, entries=report.entries | {"sgd": entries["sgd"]})
    text = shown(one)
    assert ("unseen (1*)" in text, "unseen (1) " in text) == (True, True)
    assert "*" not in shown(report)


def test_options_are_told_as_json_gives_them_back(report):
    met = {"mine": ("Xor-v0", {"hidden": (6,), "deep": {"er": ((1,), [2])}})}
    told = made(report.results, trained_on={"sgd": met}).to_json()["rules"]["sgd"]
    assert told == json.loads(json.dumps(told))
    assert told["trained_on"]["mine"][1] == {"hidden": [6], "deep": {"er": [[1], [2]]}}


def test_a_life_without_a_scored_presentation_has_no_stream_area():
    result = planted(0.9)
    result.weights[0] = 0.0
    result.weights[:, 1] = 0.0
    assert np.isnan(result.stream_area[0])
    assert np.isfinite(result.stream_area[1:]).all()
    report = made({"sgd": dict.fromkeys(("easy", "hard", "new"), result)})
    of = report.to_json()["results"]["sgd"]["easy"]
    assert of["stream_area"][0] is None
    assert [score is None for score in of["stream"]] == [False, True, False, False, False]
    assert f" {result.stream_area[1:].mean():.3f} " in shown(report)
    result.weights[:] = 0.0
    assert "?" in shown(report)


def test_a_report_survives_its_file(report, tmp_path):
    file = tmp_path / "report.json"
    file.write_text("an older one")
    report.save(file)
    read = json.loads(file.read_text())
    assert read == report.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert read["format"] == "plasticgym-report-v2"
    assert read["versions"].keys() == {"python", "plasticgym", "jax", "numpy"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", read["date"])
    assert read["cores"] == report.machine.cores
    assert read["processor"]
    assert read["backend"] == jax.default_backend()
    assert read["suite"]["seen"]["easy"] == {"problem": "Xor-v0", "options": {"hidden": [4]}}
    assert read["seeds"] == list(SEEDS)
    assert read["rules"]["sgd"] == {
        "class": "SGD",
        "tier": "gradient",
        "reads": ["error"],
        "genome": {"rate": 0.1},
        "trained_on": {},
        "note": "",
        "counted_as_seen": [],
    }
    of, result = read["results"]["sgd"]["easy"], report.results["sgd"]["easy"]
    assert of.keys() == {
        *("chance", "upper", "times", "held_out", "stream", "diverged", "last", "area"),
        *("stream_area", "normalised", "failures", "clipped"),
    }
    np.testing.assert_allclose(of["held_out"], result.held_out, rtol=1e-6)
    np.testing.assert_allclose(of["stream"], result.stream.mean(0), rtol=1e-6)
    np.testing.assert_allclose(of["area"], result.area, rtol=1e-6)
    assert read["summary"]["oja"]["seen"]["worst"] == "hard"


def test_what_a_single_seed_cannot_tell_is_null():
    report = made(
        {"sgd": {"easy": planted(0.9, seeds=1)}},
        seeds=(0,),
        splits={"seen": ("easy",), "unseen": ()},
    )
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert read["results"]["sgd"]["easy"]["last"]["half_width"] is None
    assert read["summary"]["sgd"].keys() == {"seen"}
    assert read["summary"]["sgd"]["seen"]["low"] is None


def test_a_failed_write_leaves_what_was_there(report, tmp_path, monkeypatch):
    file = tmp_path / "report.json"
    file.write_text("an older one")
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError("full"))
    )
    with pytest.raises(OSError, match="full"):
        report.save(file)
    assert file.read_text() == "an older one"
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def shown(report):
    console = Console(width=100, record=True, file=io.StringIO())
    for table in benchmarks.tables(report):
        console.print(table)
    return console.export_text()


def trained_on(report):
    return " ".join(shown(report).split("Trained on")[-1].split())


def test_tables_hold_the_numbers_and_fit_a_terminal(report):
    long = {f"sgd(rate={n}, activation='tanh')": report.results["sgd"] for n in range(3)}
    text = shown(made({**report.results, **long}))
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "…" not in text
    text = shown(report)
    lines = [line.split() for line in text.splitlines()]
    easy = report.results["oja"]["easy"]
    half = scipy.stats.t.ppf(0.975, 7) * scipy.stats.sem(easy.last)
    row = [f"{easy.last.mean():.3f}", "±", f"{half:.3f}", f"{easy.area.mean():.3f}"]
    assert ["oja", *row, f"{easy.stream_area.mean():.3f}", "2/8"] in lines
    assert ["easy", "n=1", "3", "5"] in lines
    summary = report.summary("sgd", "unseen")
    ends = [f"{summary.low:.3f}", "..", f"{summary.high:.3f}", f"{summary.mean:.3f}"]
    worst = [f"{summary.worst_median:.3f}", "new", "0.0%", "0.0%"]
    assert ["unseen", "(1)", f"{summary.iqm:.3f}", *ends, *worst] in lines
    assert text.index("Seen problems") < text.index("Unseen problems") < text.index("Summary")
    assert "1: a perfect score of 1.0" in text
    machine = " ".join(text.split("Trained on")[1].split())
    assert f"jax {jax.__version__}" in machine
    assert f"{report.machine.cores} cores" in machine
    assert report.machine.date in machine


def test_a_picture_shows_its_curves(report, tmp_path):
    from matplotlib import image

    benchmarks.plot(report, tmp_path / "curves.png")
    pixels = (image.imread(tmp_path / "curves.png")[..., :3] * 255).round().astype(int)
    assert pixels.shape[0] > 500
    assert pixels.shape[1] > 800
    lines = np.array([[0x00, 0x72, 0xB2], [0xD5, 0x5E, 0x00]])  # the colours of the two rules
    for colour in (*lines, *(0.2 * lines + 0.8 * 255)):  # and those of their bands
        assert (np.abs(pixels - colour).max(-1) <= 2).sum() > 500
    benchmarks.plot(report, tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    for label in ("easy", "hard", "new", "seen", "unseen", "sgd", "oja", "chance"):
        assert f"<!-- {label} -->" in text


@pytest.mark.parametrize(("seeds", "times"), [(1, (1,)), (1, (1, 2)), (3, (1, 30, 1000))])
def test_odd_reports_can_be_drawn_and_shown(seeds, times, tmp_path):
    names = tuple("abcd")
    results = {
        f"rule {n}": {name: planted(0.9, times=times, seeds=seeds) for name in names}
        for n in range(9)
    }
    report = made(results, seeds=tuple(range(seeds)), splits={"seen": names, "unseen": ()})
    benchmarks.plot(report, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    assert ("?" in shown(report)) == (seeds == 1)


def test_without_matplotlib_the_extra_is_named(report, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'plasticgym\[plot\]'"):
        benchmarks.plot(report, tmp_path / "curves.png")


def test_an_unknown_format_is_refused(report, tmp_path):
    with pytest.raises(ValueError, match="xyz"):
        benchmarks.plot(report, tmp_path / "curves.xyz")


def test_importing_draws_in_neither_matplotlib_nor_data():
    code = "import sys, plasticgym.benchmarks as b; b.suite('smoke-v0'); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"matplotlib", "sklearn", "scipy.special"} & set(run.stdout.split())


def test_unknown_names_bring_the_near_ones(report):
    with pytest.raises(ValueError, match=r"unknown `rule` 'sgdd'; did you mean 'sgd'"):
        report.summary("sgdd", "seen")
    with pytest.raises(ValueError, match=r"unknown `split` 'unsen'; did you mean 'unseen'"):
        report.summary("sgd", "unsen")
