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
        (lambda f: edit_run(f, surprise=1), "is damaged"),
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
