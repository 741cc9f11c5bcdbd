"""What the page "Write a rule" says runs as it stands."""

import re
import shlex
import sys
from pathlib import Path

import jax
import pytest

import plasticgym as pg
from plasticgym.__main__ import main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = (REPOSITORY / "docs" / "write-a-rule.md").read_text(encoding="utf-8")
EXAMPLE = REPOSITORY / "examples" / "bounded_feedback.py"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(autouse=True)
def as_for_users():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_the_class_of_the_page_is_that_of_the_example():
    assert EXAMPLE.read_text(encoding="utf-8") in blocks("python")


@pytest.mark.slow
def test_the_blocks_of_the_page_run_one_after_the_other(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known: dict = {"__name__": "a_page"}
    monkeypatch.setitem(sys.modules, "a_page", type(sys)("a_page"))
    for block in blocks("python"):
        exec(compile(block, "write-a-rule.md", "exec"), known)
    scores = re.findall(r"validation score (\S+)", capsys.readouterr().out)
    assert len(scores) == 2
    assert all(float(score) > 0.93 for score in scores)
    assert isinstance(pg.rules.make("bounded-feedback"), known["BoundedFeedback"])


def test_the_entry_point_of_the_page_is_of_the_group_that_is_asked():
    (table,) = blocks("toml")
    assert f'"plasticgym.{pg.rules.RULES.kind}s"' in table


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line]


@pytest.mark.slow
def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / EXAMPLE.name).write_text(EXAMPLE.read_text(encoding="utf-8"))
    assert len(commands()) == 4
    for command in commands():
        name, *arguments = shlex.split(command)
        assert name == "plasticgym"
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, capsys.readouterr().err
    shown = capsys.readouterr().out
    assert "BoundedFeedback" in shown
    resumed = ["plasticgym", "train", "examples/bounded_feedback.py:BoundedFeedback"]
    monkeypatch.setattr(sys, "argv", [*resumed, "--resume", "run"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    monkeypatch.setattr(pg.rules.RULES, "_members", {"sgd": pg.rules.SGD})
    monkeypatch.setattr(sys, "argv", ["plasticgym", "train", "--resume", "run"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "name that file, too, as in: plasticgym train" in capsys.readouterr().err
