import json
import shlex
from importlib.metadata import EntryPoint

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


RULE_FILE = """
import plasticgym as pg

def number():
    return 3

def delta():
    return pg.rules.PerSynapse(lambda view: view.pre * view.error)
"""


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
    assert all(name in out for name in [*pg.envs.PROBLEMS, *pg.envs.ROLES])
    code, out, _ = shell("rules")
    assert code == 0
    assert all(name in out for name in [*pg.rules.RULES, "Hierarchy", "LSTM"])
    assert "AbstractRule" not in out
    assert "broken" not in out


def test_train_resume_plot_and_evaluate(shell, tiny, tmp_path):
    code, out, _ = shell(
        "train sgd --suite tiny-v0 --agent 'cma-es(population=4, lives=1)' "
        "--generations 2 --seed 3 --out run"
    )
    assert code == 0
    assert "plasticgym evaluate run" in out
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert list(told["problems"]) == ["xor"]  # what is unseen is not trained on
    assert told["command"].startswith("plasticgym train sgd")
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


@pytest.fixture
def recipe(monkeypatch):
    """A recipe that takes a second, on what the benchmark then lists as unseen."""
    options = {"hidden": (4,), "batch": 8, "presentations": 3}

    def recipe_of(seed: int = 0, generations: int = 2):
        problems, agent = {"mine": ("Nxor-v0", options)}, {"population": 4, "lives": 1}
        return pg.agents.Run("sgd", problems, "cma-es", generations, seed, agent_options=agent)

    lite = pg.benchmarks.Suite(
        "lite-v0",
        seen={"xor": pg.benchmarks.Setting("Xor-v0", options)},
        unseen={"nxor": pg.benchmarks.Setting("Nxor-v0", options)},
        seeds=(0,),
    )
    monkeypatch.setitem(pg.agents.RECIPES._members, "tiny", recipe_of)
    monkeypatch.setitem(pg.benchmarks.SUITES._members, "lite-v0", lambda: lite)


def test_train_by_a_recipe_and_on_what_is_unseen(shell, recipe, tmp_path):
    command = "train --recipe tiny --seed 3 --generations 1"
    code, _, err = shell(command)
    assert code == 2
    assert "lite-v0 lists nxor as unseen" in err
    assert not (tmp_path / "runs").exists()
    assert shell(f"{command} --allow-unseen")[0] == 0
    run = pg.agents.read_run(tmp_path / "runs" / "tiny-3")
    assert (run.seed, run.generations, [*run.unseen]) == (3, 1, ["nxor"])
    assert run.command == f"plasticgym {command} --allow-unseen"
    provenance = pg.rules.read_genome(tmp_path / "runs/tiny-3/genome.safetensors").provenance
    assert provenance["unseen"] == ["nxor"]
    assert provenance["trained_on"]["mine"][0] == "Nxor-v0"


@pytest.mark.parametrize(
    ("command", "registry"), [("rules", pg.rules.RULES), ("problems", pg.envs.PROBLEMS)]
)
def test_a_broken_member_of_another_package_is_listed_as_broken(
    shell, monkeypatch, command, registry
):
    point = EntryPoint("theirs", "no_such_module:theirs", f"plasticgym.{command}")
    monkeypatch.setattr(registry, "_offered", lambda: {"theirs": point})
    registry.register("unsound", lambda: 1 / 0)
    code, out, err = shell(command)
    assert code == 0
    assert all(name in out for name in registry)
    assert out.count("broken") == 2
    assert "'theirs' of another package cannot be loaded from 'no_such_module:theirs'" in err
    assert "unsound: broken: division by zero" in err


@pytest.mark.parametrize("error", [ModuleNotFoundError, FileNotFoundError])
def test_a_member_whose_data_are_not_here_is_listed_with_what_to_install(shell, error):
    def build():
        raise error("install it with `pip install them`.")

    pg.envs.PROBLEMS.register("Theirs-v0", build)
    code, out, err = shell("problems")
    assert code == 0
    assert "not installed" in out.split("Theirs-v0")[1]
    assert "Theirs-v0: not installed: install it with" in err


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
        ("train sgd --resume full", "holds no run"),
        ("train --resume full --generations 7", "`--resume` goes on with a run as it was"),
        ("evaluate sgd --plot curves.foo", "`--plot` must end in .png, .svg, .pdf"),
        ("evaluate runs/gone", "there is no folder or file runs/gone"),
        ("plot full", "holds no run"),
        (
            "train sgd --on wine",
            "lite-v0 lists wine as unseen; train on other problems, or add",
        ),
        ("train sgd --on 'xor(presentations=500)'", "lite-v0 lists xor-long as unseen"),
        ("train 'blur(genome=\"old.safetensors\")' --on xor", "lite-v0 lists wine as unseen"),
        (
            "train 'blur(genome=\"gone.safetensors\")' --on xor",
            "there is no genome file at gone",
        ),
        ("train sgd --recipe blur-cmaes", "`--recipe` says which rule, problems and agent"),
        (
            "train --recipe blur-cmaes --on xor",
            "`--recipe` says which rule, problems and agent",
        ),
        ("train --recipe blur-cma", "unknown recipe 'blur-cma'; did you mean 'blur-cmaes'"),
        ("train --recipe blur-cmaes --generations 0", "`generations` must be a positive"),
        ("train --recipe blur-cmaes --seed -1", "`seed` must be a whole number from 0"),
        ("train --resume full --recipe blur-cmaes", "`--resume` goes on with a run as it was"),
        ("train --resume full --allow-unseen", "`--resume` goes on with a run as it was"),
        ("train rule.py:number --on xor", "'rule.py:number' must build a rule, got int"),
        ("train rule.py:delta --on xor", "PerSynapse has no genes to train: name a constant"),
        (
            "train 'expr: pre * error' --on xor",
            "Expression has no genes to train: name a constant, or give `rate=`",
        ),
    ],
)
def test_bad_input_says_what_to_do(shell, tmp_path, command, message):
    (tmp_path / "there.json").write_text("mine")
    (tmp_path / "foreign.safetensors").write_bytes(b"no")
    (tmp_path / "rule.py").write_text(RULE_FILE)
    trained = {"problems": {"wine": ["Wine-v0", {}]}}
    old = tmp_path / "old.safetensors"
    pg.rules.save_genome(old, pg.rules.make("blur"), name="blur", provenance=trained)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    code, _, err = shell(command)
    assert code == 2
    assert message in err
    assert (tmp_path / "there.json").read_text() == "mine"
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    assert not (tmp_path / "runs").exists()
