"""`plasticgym evaluate`: parts, splits, starred entries, labels."""

import json
import shlex

import pytest

from plasticgym import benchmarks
from plasticgym.__main__ import main
from plasticgym.benchmarks import _reference


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Commands run in an empty folder, on a small suite, and leave no cache behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLASTICGYM_CACHE", "")
    setting = benchmarks.Setting("Xor-v0", {"hidden": (4,), "batch": 8, "presentations": 4})
    wide = benchmarks.Setting("Xor-v0", {**setting.options, "hidden": (5,)})
    suite = benchmarks.Suite(
        "tiny-v0", seen={"xor": setting}, validation={"wide": wide}, unseen={}, seeds=(0, 1)
    )
    benchmarks.register("tiny-v0", lambda: suite)
    return tmp_path


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """Runs the command; returns exit code, output and errors."""

    def run(arguments):
        command = ["plasticgym", "evaluate", *shlex.split(arguments), "--suite", "tiny-v0"]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        return end.value.code or 0, told.out, " ".join(told.err.split())

    return run


def test_parts_and_splits_can_be_chosen(evaluate, folder):
    code, out, _ = evaluate("sgd --part validation --split validation --json a.json")
    assert code == 0
    assert "Validation problems: scores on the validation part" in out
    assert "sgd (shipped)" in out
    read = json.loads((folder / "a.json").read_text())
    assert (read["part"], read["splits"]) == ("validation", ["validation"])
    assert read["results"]["sgd (shipped)"].keys() == {"wide"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sgd --split sen", "unknown split 'sen'; did you mean 'seen'"),
        ("sgd --split seen,", "unknown split ''"),
        ("sgd --split unseen", "`splits` must name one that tiny-v0 has (seen, validation)"),
        ("sgd --part tests", "unknown `part` 'tests'; did you mean 'test'"),
        ("'sgd*'", "no rates have been tuned for tiny-v0"),
        ("sgd sgd", "`entries` must all differ"),
    ],
)
def test_bad_input_says_what_to_do(evaluate, arguments, message, unchecked):
    code, _, err = evaluate(arguments)
    assert code == 2
    assert message in err


def test_a_star_stands_for_the_best_rate_of_each_setting(evaluate, folder, monkeypatch):
    monkeypatch.setattr(_reference, "_FOLDER", folder)
    suite = benchmarks.suite("tiny-v0")
    records = {"rate": 0.5, "last": {"mean": 0.9}}
    settings = {
        name: {"problem": s.problem, "options": s.complete, "rules": {"adam": records}}
        for name, s in suite.settings.items()
    }
    told = {"format": _reference.REFERENCE_FORMAT, "date": "2000-01-01", "settings": settings}
    (folder / "tiny-v0.json").write_text(json.dumps(told))
    code, out, _ = evaluate("'adam*' --json a.json --split seen")
    assert code == 0
    read = json.loads((folder / "a.json").read_text())
    assert read["reference"]["scores"] == {"xor": 0.9}
    assert read["rules"]["adam*"]["by_setting"]["xor"]["genome"]["rate"] == 0.5
    assert "rate chosen for each setting on its validation part" in " ".join(out.split())
    assert "seen (1*)" in out
