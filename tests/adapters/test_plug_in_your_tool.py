"""The page about tools: every block runs; and the tools that it needs are there."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "plug-in-your-tool.md").read_text(encoding="utf-8")
BLOCKS = [
    (section, block)
    for section in PAGE.split("\n## ")
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
]
TOOLS = ["stable_baselines3", "torch", "brax", "gymnax", "evosax", "cma", "nevergrad", "optuna"]


def tool(section: str, block: str) -> str:
    """What a block is about: the tool it imports, its view, or else what its section names."""
    found = re.findall(r"^(?:import|from) (\w+)", block, re.MULTILINE)
    others = [name for name in found if name in TOOLS]
    return (others or re.findall(r"\bto_(\w+)\(", block) or re.findall(r"\w+", section))[0]


@pytest.mark.parametrize("name", TOOLS)
def test_the_tools_are_there(name):
    """The other tests skip what is not: here nothing may be missing."""
    importlib.import_module(name)


def test_every_tool_has_a_block():
    assert {tool(*of) for of in BLOCKS} == {
        *("Gymnasium", "gymnax", "func_env", "stable_baselines3", "CleanRL", "brax"),
        *("evosax", "cma", "nevergrad", "optuna"),
    }


@pytest.mark.parametrize(
    "block", [block for _, block in BLOCKS], ids=[tool(*of) for of in BLOCKS]
)
def test_the_block_runs(block, capsys):
    exec(compile(block, "plug-in-your-tool.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def test_the_example_of_ppo_runs():
    arguments = ["--total-steps", "640", "--num-envs", "16"]
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / "ppo.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ +return: -?\d\.\d{3}$", done.stdout, re.MULTILINE), done.stdout
