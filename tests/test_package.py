"""The package: what it imports, in which direction, what its wheel holds, who may join it."""

import ast
import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import jax
import pytest

import plasticgym as pg

ROOT = Path(pg.__file__).parent  # of the installed package
REPOSITORY = Path(__file__).resolve().parents[1]
ORDER = ["rules", "envs", "agents", "benchmarks", "_listings", "__main__"]
FILES = ["_listings", "__main__", "__init__"]
HEAVY = ["sklearn", "brax", "gymnax", "matplotlib", "torch", "stable_baselines3", "ray"]
LATE = [*HEAVY, "optax", "evosax"]


def sources() -> list[Path]:
    """The modules of the package; scripts that stand beside them are no part of it."""
    modules = [path for layer in ORDER for path in (ROOT / layer).rglob("*.py")]
    packaged = [path for path in modules if (path.parent / "__init__.py").exists()]
    return [*packaged, *(p for p in (ROOT / f"{name}.py" for name in FILES) if p.exists())]


def layer(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path, text: str | None = None) -> list[tuple[int, str]]:
    """Lines of a file that import, each with the full name of a module or member."""
    package = ["plasticgym", *path.relative_to(ROOT).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(text or path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def wrong_way(path: Path, text: str | None = None) -> list[str]:
    """Imports from a later layer, or of this package by its absolute name."""
    known, wrong = {name: i for i, name in enumerate(ORDER)}, []
    for line, name in imported(path, text):
        parts = name.split(".")
        if parts[0] != "plasticgym" or layer(path) == "__init__" or len(parts) < 2:
            continue
        if known.get(parts[1], -1) > known[layer(path)]:
            wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    return wrong


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    assert wrong_way(path) == []


@pytest.mark.parametrize(
    ("file", "text", "wrong"),
    [
        ("rules/_x.py", "from ..envs import live", 1),
        ("rules/_x.py", "from .. import envs", 1),
        ("rules/_x.py", "def f():\n    from ..agents._run import Run", 1),
        ("envs/_x.py", "from ..benchmarks import evaluate", 1),
        ("envs/_x.py", "from ..rules import SGD\nfrom ._base import Part", 0),
        ("agents/recipes/_x.py", "from ...benchmarks import evaluate", 1),
        ("benchmarks/_x.py", "import plasticgym.__main__", 1),
        ("__main__.py", "from .benchmarks import evaluate", 0),
    ],
)
def test_the_direction_of_imports_is_seen(file, text, wrong):
    assert len(wrong_way(ROOT / file, text)) == wrong


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_inside_the_package_are_relative(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    plain = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    levels = {n.module: n.level for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    absolute = [*plain, *(str(module) for module, level in levels.items() if not level)]
    assert [name for name in absolute if name.split(".")[0] == "plasticgym"] == []


def fresh(code: str, **options) -> subprocess.CompletedProcess:
    """Runs code in an interpreter of its own, outside of the repository."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, **options
    )


def test_importing_it_loads_nothing_heavy(tmp_path):
    code = (
        "import sys, time; import jax; start = time.time(); import plasticgym\n"
        "print(round(time.time() - start, 2))\n"
        f"print([name for name in {LATE!r} if name in sys.modules])"
    )
    done = fresh(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seconds, loaded = done.stdout.splitlines()
    print(f"import plasticgym after jax: {seconds} s")
    assert loaded == "[]"


def test_lists_of_names_load_nothing_heavy(tmp_path):
    code = (
        "import sys; import plasticgym as pg\n"
        "list(pg.rules.RULES); list(pg.envs.PROBLEMS); pg.envs.problem('Xor-v0')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = fresh(code, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr


def test_its_version_is_that_of_its_metadata():
    assert pg.__version__ == importlib.metadata.version("plasticgym")


def test_members_from_outside_join_within_a_process():
    pg.rules.register("gentle", lambda rate=0.01: pg.rules.SGD(rate=rate))
    pg.envs.register("Small-v0", lambda: pg.envs.plane("or", hidden=(3,), presentations=2))
    rule, problem = pg.rules.make("gentle", rate=0.02), pg.envs.problem("Small-v0")
    assert "gentle" in list(pg.rules.RULES)
    record = pg.envs.live(rule, problem, key=jax.random.key(0))
    assert record.losses.shape == (2,)
    with pytest.raises(ValueError, match="unknown rule 'gentel'; did you mean 'gentle'"):
        pg.rules.make("gentel")
    with pytest.raises(ValueError, match="the rule 'sgd' exists already"):
        pg.rules.register("sgd", lambda: None)


# The wheel and a package of others, in an environment of their own.

LIFE = """
import pathlib, jax, plasticgym as pg
assert not pathlib.Path(pg.__file__).is_relative_to({root!r}), pg.__file__
rule = pg.rules.make({rule!r})
problem = pg.envs.problem({problem!r}, hidden=(4,), presentations=3)
record = pg.envs.live(rule, problem, key=jax.random.key(0))
assert record.losses.shape == (3,), record
print(type(rule).__module__, type(problem).__module__, float(record.losses[0]) > 0)
"""

OTHERS = {
    "pyproject.toml": """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "others"
version = "1"
[project.entry-points."plasticgym.rules"]
still = "others:Still"
[project.entry-points."plasticgym.problems"]
"Nor-v0" = "others:nor"
[tool.setuptools]
py-modules = ["others"]
""",
    "others.py": """
import equinox as eqx
import jax.numpy as jnp
import plasticgym as pg
from plasticgym.rules import SGD, AbstractRule, Tier, gene, real


class Still(AbstractRule):
    size: jnp.ndarray = eqx.field(default=1.0, converter=real, metadata=gene("log"))

    reads = frozenset()
    tier = Tier.ACTIVITY

    def init(self, body, *, key):
        return SGD().init(body, key=key)

    def rest(self, state, batch):
        return SGD().rest(state, batch)

    def predict(self, state, inputs, *, key):
        state, outputs = SGD().predict(state, inputs, key=key)
        return state, self.size * outputs

    def receive(self, state, feedback, *, key):
        return state

    def adapt(self, state, *, key):
        return state


def nor(**options):
    return pg.envs.plane("or", **options)
""",
}


def run(*command, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from a copy of what the repository tracks or would track."""
    copy, out = (tmp_path_factory.mktemp(name) for name in ("copy", "wheel"))
    run("git", "-C", REPOSITORY, "rev-parse", "--git-dir")
    listed = run("git", "-C", REPOSITORY, "ls-files", "-co", "--exclude-standard").splitlines()
    for name in listed:
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((REPOSITORY / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, copy)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory):
    """The interpreter of a fresh environment with the wheel in it.

    Its dependencies are those of this environment, lent through a path file, which comes
    after its own packages: what is found of plasticgym is the wheel.
    """
    home = tmp_path_factory.mktemp("fresh")
    venv.create(home, with_pip=True, symlinks=os.name != "nt")
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel)
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    (Path(own) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def alone() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


@pytest.mark.slow
def test_the_wheel_holds_exactly_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    tracked = run("git", "-C", REPOSITORY, "ls-files", "-co", "--exclude-standard").splitlines()
    folders = {layer: REPOSITORY / layer for layer in ORDER}
    expected = {f"plasticgym/{n}" for n in (*(f"{name}.py" for name in FILES), "py.typed")}
    for name in tracked:
        path = Path(name)
        packaged = path.parts[0] in folders and (REPOSITORY / path).exists()
        if (
            packaged
            and (REPOSITORY / path.parent / "__init__.py").exists()
            and path.suffix == ".py"
        ):
            expected.add(f"plasticgym/{name}")
        if path.match("rules/genomes/*.safetensors"):
            expected.add(f"plasticgym/{name}")
    expected = {n for n in expected if (REPOSITORY / n.removeprefix("plasticgym/")).exists()}
    code = {n for n in names if n.endswith((".py", ".typed", ".safetensors"))}
    assert code == expected
    assert not any(n.split("/")[1] in ("tests", "docs", "examples") for n in names)
    assert all(n.startswith("plasticgym/") for n in names)


@pytest.mark.slow
def test_the_wheel_lives_a_life_in_a_fresh_environment(installed, tmp_path):
    code = LIFE.format(root=str(ROOT), rule="blur", problem="Digits-v0")
    told = run(installed, "-c", code, cwd=tmp_path, env=alone())
    assert told.split() == ["plasticgym.rules._blur", "plasticgym.envs._classification", "True"]


@pytest.mark.slow
def test_another_package_offers_a_rule_and_a_problem(installed, tmp_path):
    package = tmp_path / "others"
    package.mkdir()
    for name, text in OTHERS.items():
        (package / name).write_text(text)
    run(installed, "-m", "pip", "install", "--quiet", "--no-deps", package)
    code = LIFE.format(root=str(ROOT), rule="still", problem="Nor-v0")
    told = run(installed, "-c", code, cwd=tmp_path, env=alone())
    assert told.split() == ["others", "plasticgym.envs._classification", "True"]
    names = "import plasticgym as pg; print(*pg.rules.RULES, *pg.envs.PROBLEMS)"
    listed = run(installed, "-c", names, cwd=tmp_path, env=alone()).split()
    assert {"sgd", "still", "Xor-v0", "Nor-v0"} <= set(listed)
    typo = "import plasticgym as pg; pg.rules.make('stil')"
    done = subprocess.run(
        [installed, "-c", typo], cwd=tmp_path, env=alone(), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "unknown rule 'stil'; did you mean 'still'" in done.stderr
