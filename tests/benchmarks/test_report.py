"""A report's numbers, tables, files and pictures, from scores planted by hand."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from rich.console import Console

import plasticgym as pg
from plasticgym import benchmarks

SEEDS = tuple(range(8))
SPLITS = {"seen": ("easy", "hard"), "unseen": ("new",)}
RULES = {"sgd": pg.rules.SGD(rate=0.1), "oja": pg.rules.Oja()}


def planted(mean, *, times=(1, 3, 5), seeds=8, failed=(), chance=0.5, seed=0):
    """Lives that end at `mean` on average, but for those that failed."""
    rng = np.random.default_rng(seed)
    held_out = np.linspace(chance, mean, len(times)) + 0.01 * rng.normal(
        size=(seeds, len(times))
    )
    diverged = np.isin(np.arange(seeds), failed)
    held_out[diverged] = chance
    stream = np.tile(np.linspace(chance, mean, times[-1]), (seeds, 1))
    weights = np.ones_like(stream)
    return benchmarks.Result(times, held_out, stream, weights, diverged, chance, 1.0)


def made(results, seeds=SEEDS, splits=SPLITS):
    splits = {
        split: {name: benchmarks.Setting("Xor-v0", {"hidden": (4,)}) for name in names}
        for split, names in splits.items()
    }
    suite = benchmarks.Suite("mine-v0", **splits, seeds=seeds)
    rules = {name: RULES.get(name, RULES["sgd"]) for name in results}
    return benchmarks.Report(suite, "test", seeds, benchmarks.perfect(suite), rules, results)


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


def test_a_report_survives_its_file(report, tmp_path):
    file = tmp_path / "report.json"
    file.write_text("an older one")
    report.save(file)
    read = json.loads(file.read_text())
    assert read == report.to_json()
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert read["format"] == "plasticgym-report-v1"
    assert read["versions"].keys() == {"python", "plasticgym", "jax", "numpy"}
    assert read["suite"]["seen"]["easy"] == {"problem": "Xor-v0", "options": {"hidden": [4]}}
    assert read["seeds"] == list(SEEDS)
    assert read["rules"]["sgd"] == {"class": "SGD", "tier": "gradient", "reads": ["error"]}
    of, result = read["results"]["sgd"]["easy"], report.results["sgd"]["easy"]
    assert of.keys() == {
        *("chance", "upper", "times", "held_out", "stream", "diverged", "last", "area"),
        *("stream_area", "normalised", "failures"),
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
    worst = [f"{summary.worst_median:.3f}", "new", "0.0%"]
    assert ["unseen", "(1)", f"{summary.iqm:.3f}", *ends, *worst] in lines
    assert text.index("Seen problems") < text.index("Unseen problems") < text.index("Summary")
    assert "1: a perfect score of 1.0" in text


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
