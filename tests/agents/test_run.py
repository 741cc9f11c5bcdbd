import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

import plasticgym as pg
from plasticgym import agents
from plasticgym.agents import _run, _train
from plasticgym.agents._trained_on import joined

FILES = ("run.json", "checkpoint.safetensors", "genome.safetensors", "history.csv")


def a_run(**changes):
    settings = {
        "rule": "blur",
        "options": {"states": 2},
        "problems": {"xor": ("Xor-v0", {"hidden": [4], "presentations": 4, "batch": 8})},
        "agent": "cma-es",
        "agent_options": {"population": 4, "lives": 1},
        "generations": 5,
        "seed": 2,
    }
    return agents.Run(**{**settings, **changes})


class Stop(KeyboardInterrupt):
    pass


def stop_at(generation):
    def look(trained, seconds):
        if int(trained.search.generation) == generation:
            raise Stop

    return look


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return folder, agents.start(a_run(), folder)


def test_a_run_holds_its_files_and_a_genome_that_loads(whole):
    folder, trained = whole
    assert sorted(os.listdir(folder)) == sorted(FILES)
    rule = pg.rules.load_genome(folder / "genome.safetensors", expected="blur")
    np.testing.assert_array_equal(pg.rules.genome(rule), pg.rules.genome(trained.rule))
    rows = (folder / "history.csv").read_text().splitlines()
    assert rows[0] == "generation,best,mean,diverged"
    assert len(rows) == 6
    provenance = pg.rules.read_genome(folder / "genome.safetensors").provenance
    assert provenance["problems"]["xor"][0] == "Xor-v0"
    assert provenance["trained_on"] == provenance["problems"]
    assert provenance["unseen"] == []
    assert provenance["mean_fitness_of_last_generation"] == trained.history.mean[-1]


def test_interrupted_and_resumed_is_the_same_bit_for_bit(whole, tmp_path):
    with pytest.raises(Stop):
        agents.start(a_run(), tmp_path / "run", on_generation=stop_at(2))
    with pytest.raises(Stop):
        agents.resume(tmp_path / "run", on_generation=stop_at(4))
    trained = agents.resume(tmp_path / "run")
    np.testing.assert_array_equal(pg.rules.genome(trained.rule), pg.rules.genome(whole[1].rule))
    for name in ("run.json", "history.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (whole[0] / name).read_bytes()
    for name in ("checkpoint.safetensors", "genome.safetensors"):
        one, other = load_file(tmp_path / "run" / name), load_file(whole[0] / name)
        assert one.keys() == other.keys()
        for key, value in one.items():
            np.testing.assert_array_equal(value, other[key])


def test_resuming_a_finished_run_changes_nothing(whole):
    before = load_file(whole[0] / "checkpoint.safetensors")
    trained = agents.resume(whole[0])
    np.testing.assert_array_equal(pg.rules.genome(trained.rule), pg.rules.genome(whole[1].rule))
    after = load_file(whole[0] / "checkpoint.safetensors")
    assert all((after[key] == value).all() for key, value in before.items())


def counting(monkeypatch, where, name):
    """Counts the calls of a function from now on."""
    calls, function = [], getattr(where, name)

    def counted(*args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)

    monkeypatch.setattr(where, name, counted)
    return calls


@pytest.mark.parametrize(("every", "saves"), [(0.0, 3), (1e9, 2)])
def test_every_generation_is_saved_at_most_once(tmp_path, monkeypatch, every, saves):
    run = a_run(rule="sgd", options={}, generations=3)
    saved = counting(monkeypatch, _run, "save_checkpoint")
    built = counting(monkeypatch, _train, "_champion")
    agents.start(run, tmp_path / "run", every=every)
    assert len(saved) == len(built) == saves
    agents.resume(tmp_path / "run", every=every)
    assert len(saved) == len(built) == saves


def test_the_champion_is_built_when_asked_for(whole, monkeypatch):
    agent, rule, problems = a_run(rule="sgd", options={}).build()
    built = counting(monkeypatch, _train, "_champion")
    trained = agents.train(agent, rule, problems, generations=2, seed=0)
    assert built == []
    assert trained.rule is trained.rule
    assert built == [1]


@pytest.fixture
def older(tmp_path):
    """A genome that was trained on wine, and on another xor than `a_run` is."""
    path = tmp_path / "older.safetensors"
    rule = pg.rules.make("blur", states=2)
    seen = {"wine": ["Wine-v0", {}], "xor": ["Xor-v0", {"hidden": [9]}]}
    told = {"problems": {"xor": seen["xor"]}, "trained_on": seen}
    pg.rules.save_genome(path, rule, name="blur", options={"states": 2}, provenance=told)
    return path


def test_what_a_genome_was_trained_on_is_handed_on(older, tmp_path):
    run = a_run(options={"genome": str(older)}, generations=2, unseen=("wine",))
    expected = {
        "xor": ["Xor-v0", {"hidden": [4], "presentations": 4, "batch": 8}],
        "wine": ["Wine-v0", {}],
        "xor-2": ["Xor-v0", {"hidden": [9]}],
    }
    with pytest.raises(Stop):
        agents.start(run, tmp_path / "run", on_generation=stop_at(1))
    begun = pg.rules.read_genome(older)
    pg.rules.save_genome(  # of the same structure, but it has seen nothing
        older, pg.rules.make("blur", states=2), name="blur", options=begun.options
    )
    agents.resume(tmp_path / "run")
    older.unlink()
    path = tmp_path / "run" / "genome.safetensors"
    assert pg.rules.load_genome(path, expected="blur").states == 2
    _, options, _, provenance = pg.rules.read_genome(path)
    assert options == begun.options
    assert provenance["trained_on"] == expected
    assert provenance["unseen"] == ["wine"]
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["trained_on"] == expected
    assert told["unseen"] == ["wine"]


def test_a_genome_that_does_not_say_what_it_saw_is_refused(older, tmp_path):
    rule = pg.rules.make("blur", states=2)
    told = {"trained_on": ["wine"]}
    pg.rules.save_genome(older, rule, name="blur", options={"states": 2}, provenance=told)
    with pytest.raises(ValueError, match="does not say what it was trained on"):
        agents.start(a_run(options={"genome": str(older)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_problem_met_twice_is_told_once():
    digits, other = ("Digits-v0", {"hidden": (8,)}), ("Digits-v0", {"hidden": [9]})
    again = {"mine": ("Digits-v0", {"hidden": [8]}), "digits": other}
    assert joined({"digits": digits}, again) == {"digits": digits, "digits-2": other}


def test_nothing_is_overwritten(whole):
    with pytest.raises(ValueError, match=r"`folder` .* exists already; choose another one"):
        agents.start(a_run(), whole[0])


def test_of_two_that_start_at_once_one_gets_the_folder(tmp_path, monkeypatch):
    build = agents.Run.build

    def slow_build(run):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "run.json").write_text("of the other")
        return build(run)

    monkeypatch.setattr(agents.Run, "build", slow_build)
    with pytest.raises(ValueError, match="exists already"):
        agents.start(a_run(), tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_text() == "of the other"


def edit_run(folder, **changes):
    told = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**told, **changes}))


def cut(folder):
    path = folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (cut, r"the checkpoint .* is damaged"),
        (lambda f: edit_run(f, seed=3), "belongs to another run"),
        (lambda f: edit_run(f, rule="sgd", options={}), "belongs to another run"),
        (lambda f: edit_run(f, format="plasticgym run 0"), "not a run of this version"),
        (lambda f: edit_run(f, rule="bler"), "unknown rule 'bler'; did you mean 'blur'"),
        (lambda f: edit_run(f, unseen=["wine"]), "belongs to another run"),
        (lambda f: edit_run(f, surprise=1), "is damaged"),
        (lambda f: edit_run(f, unseen=3), "is damaged"),
        (lambda f: edit_run(f, problems={"xor": "Xor-v0"}), "is damaged"),
        (lambda f: edit_run(f, trained_on={"xor": [1, {}]}), "is damaged"),
        (lambda f: (f / "run.json").write_text("{"), "is damaged"),
        (lambda f: (f / "run.json").unlink(), "holds no run"),
    ],
)
def test_a_harmed_run_says_so(whole, tmp_path, harm, message):
    for name in FILES:
        (tmp_path / name).write_bytes((whole[0] / name).read_bytes())
    harm(tmp_path)
    with pytest.raises(ValueError, match=message):
        agents.resume(tmp_path)


def test_the_picture_of_a_run(whole, tmp_path):
    agents.plot(whole[0], tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="holds no run"):
        agents.plot(tmp_path, tmp_path / "other.png")


@pytest.mark.slow
def test_killed_three_times_it_ends_the_same(tmp_path):
    command = [sys.executable, "-m", "plasticgym", "train"]
    settings = ["sgd", "--on", "xor(hidden=(4,), presentations=5)", "--generations", "1500"]
    settings += ["--agent", "cma-es(population=4, lives=1)"]
    whole, harmed = tmp_path / "whole", tmp_path / "harmed"
    subprocess.run([*command, *settings, "--out", str(whole)], check=True, cwd=tmp_path)
    kills, arguments = 0, [*settings, "--out", str(harmed)]
    while kills < 3:
        process = subprocess.Popen([*command, *arguments], cwd=tmp_path)
        seen = generations(harmed)
        while generations(harmed) <= seen and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.3 * (kills + 1))
        assert process.poll() is None, "the run ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        arguments = ["--resume", str(harmed)]
    assert generations(harmed) < 1500
    subprocess.run([*command, *arguments], check=True, cwd=tmp_path)
    one, other = (
        pg.rules.read_genome(folder / "genome.safetensors") for folder in (whole, harmed)
    )
    for name, value in one.values.items():
        np.testing.assert_array_equal(value, other.values[name])
    assert (whole / "history.csv").read_bytes() == (harmed / "history.csv").read_bytes()


def generations(folder):
    path = folder / "history.csv"
    return len(path.read_text().splitlines()) - 1 if path.is_file() else 0
