import json
import shlex

import pytest

import plasticgym as pg
from plasticgym.__main__ import main


@pytest.fixture
def shell(tmp_path, monkeypatch, capsys):
    """Runs a command line in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(command):
        monkeypatch.setattr("sys.argv", ["plasticgym", *shlex.split(command)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        told = capsys.readouterr()
        return code, told.out, " ".join(told.err.split())

    return run


@pytest.fixture
def tiny():
    """A suite that takes a second, under a name of its own."""
    options = {"hidden": (4,), "batch": 8, "presentations": 4}
    suite = pg.benchmarks.Suite(
        "tiny-v0",
        seen={"xor": pg.benchmarks.Setting("Xor-v0", options)},
        unseen={"nxor": pg.benchmarks.Setting("Nxor-v0", options)},
        seeds=(0, 1, 2),
    )
    pg.benchmarks.register("tiny-v0", lambda: suite)


def test_problems_and_rules_list_the_registries(shell):
    code, out, _ = shell("problems")
    assert code == 0
    assert all(name in out for name in pg.envs.PROBLEMS)
    code, out, _ = shell("rules")
    assert code == 0
    assert all(name in out for name in pg.rules.RULES)


def test_train_resume_plot_and_evaluate(shell, tiny, tmp_path):
    code, out, _ = shell(
        "train blur --suite tiny-v0 --agent 'cma-es(population=4, lives=1)' "
        "--generations 2 --seed 3 --out run"
    )
    assert code == 0
    assert "plasticgym evaluate run" in out
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(told["problems"]) == ["xor"]  # what is unseen is not trained on
    assert told["command"].startswith("plasticgym train blur")
    assert shell("train --resume run")[0] == 0
    assert shell("plot run")[0] == 0
    assert (tmp_path / "run" / "history.png").stat().st_size > 5000
    code, out, _ = shell(
        "evaluate run run/genome.safetensors 'sgd(rate=0.5)' --suite tiny-v0 "
        "--json out.json --plot out.png --seed 7"
    )
    assert code == 0
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["seeds"] == [7, 8, 9]
    scores = report["results"]
    assert scores["run"] == scores["run/genome.safetensors"] != scores["sgd(rate=0.5)"]
    assert (tmp_path / "out.png").stat().st_size > 5000
    assert "nxor" in out


def test_train_on_problems_with_options(shell, tmp_path):
    code, _, _ = shell(
        "train 'sgd(rate=0.2)' --on 'digits(hidden=(4,), presentations=2),digits(hidden=(), "
        "presentations=2)' --agent 'metagradient(lives=1)' --generations 1"
    )
    assert code == 0
    told = json.loads((tmp_path / "runs/sgd-metagradient-0/run.json").read_text())
    assert told["problems"] == {
        "digits": ["Digits-v0", {"hidden": [4], "presentations": 2}],
        "digits-1": ["Digits-v0", {"hidden": [], "presentations": 2}],
    }


def test_control_c_leaves_a_run_that_goes_on(shell, tmp_path, monkeypatch):
    from plasticgym.agents import _train

    count = []
    update = _train._update

    def interrupted(*args):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return update(*args)

    monkeypatch.setattr(_train, "_update", interrupted)
    settings = "--on 'xor(hidden=(4,))' --agent 'cma-es(population=4, lives=1)'"
    code, _, err = shell(f"train sgd {settings} --generations 4 --out run")
    assert code == 130
    assert "interrupted; go on with: plasticgym train --resume run" in err
    assert len((tmp_path / "run/history.csv").read_text().splitlines()) == 3
    assert shell("train --resume run")[0] == 0
    assert len((tmp_path / "run/history.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("evaluate sdg", "unknown rule 'sdg'; did you mean 'sgd'"),
        ("evaluate sgd --suite smoke", "unknown suite 'smoke'; did you mean 'smoke-v0'"),
        ("evaluate sgd sgd", "`entries` must all differ"),
        ("evaluate 'sgd(rate=-1)'", "`rate` must be positive, got -1"),
        ("evaluate 'sgd(rat=1)'", "'sgd' does not take these options"),
        ("evaluate 'sgd(rate=open(1))'", "must read like name(option=value, ...)"),
        ("evaluate gone.safetensors", "there is no genome file at gone.safetensors"),
        ("evaluate foreign.safetensors", "is not a readable safetensors file"),
        ("evaluate .", "holds no run"),
        ("evaluate sgd --json there.json", "there.json exists already"),
        ("evaluate sgd --plot no/where.png", "there is no folder no"),
        ("train", "name the RULE to train"),
        ("train sgd", "say what to train on"),
        ("train sgd --on digit", "unknown problem 'digit'; did you mean 'digits'"),
        ("train sgd --on 'xor(batch=-1)'", "`batch` must be a positive whole number, got -1"),
        ("train sgd --on 'xor(presentations=0)'", "`presentations` must be a positive"),
        ("train sgd --on xor --generations 0", "`generations` must be a positive"),
        ("train sgd --on xor --agent cma", "unknown agent 'cma'; did you mean 'cma-es'"),
        (
            "train sgd --on xor --agent 'evolution(strategy=\"CMAES\")'",
            "unknown `strategy` 'CMAES'; did you mean 'CMA_ES'",
        ),
        ("train sgd --on xor --out full", "`folder` full exists already"),
        ("train --resume full", "holds no run"),
        ("train sgd --resume full", "`--resume` goes on with a run as it was"),
        ("train --resume full --generations 7", "`--resume` goes on with a run as it was"),
        ("evaluate sgd --plot curves.foo", "`--plot` must end in .png, .svg, .pdf"),
        ("evaluate runs/gone", "there is no folder or file runs/gone"),
        ("plot full", "holds no run"),
    ],
)
def test_bad_input_says_what_to_do(shell, tmp_path, command, message):
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "foreign.safetensors").write_bytes(b"no")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    code, _, err = shell(command)
    assert code == 2
    assert message in err
    assert (tmp_path / "there.json").read_text() == "mine"
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    assert not (tmp_path / "runs").exists()
