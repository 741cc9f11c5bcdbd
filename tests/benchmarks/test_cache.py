"""Compiled programs on disk: where, when not, and that a second process is spared them."""

import os
import subprocess
import sys

import jax
import pytest

from plasticgym import benchmarks

CODE = """
import time, jax, plasticgym as pg
pg.benchmarks.use_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
problem = pg.envs.plane("xor", hidden=(4,), batch=8, presentations=3)
keys = jax.random.split(jax.random.key(0), 2)
print(pg.envs.lives(pg.rules.SGD(rate=0.1), problem, keys=keys).scores.sum())
"""


@pytest.fixture
def config(monkeypatch):
    """Changes to JAX's settings are undone; those that are made are told."""
    made, update = {}, jax.config.update
    before = jax.config.values["jax_compilation_cache_dir"]
    update("jax_compilation_cache_dir", None)
    monkeypatch.setattr(jax.config, "update", made.__setitem__)
    monkeypatch.delenv("PLASTICGYM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    yield made
    update("jax_compilation_cache_dir", before)


def test_programs_are_kept_in_the_cache_folder_of_the_user(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = benchmarks.use_cache()
    assert folder.parent == tmp_path / ".cache" / "plasticgym"
    assert folder.is_dir()
    assert config["jax_compilation_cache_dir"] == str(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert benchmarks.use_cache().parent == tmp_path / "xdg" / "plasticgym"
    monkeypatch.setenv("PLASTICGYM_CACHE", str(tmp_path / "mine"))
    assert benchmarks.use_cache().parent == tmp_path / "mine"


def test_it_can_be_turned_off_and_leaves_alone_what_it_should(config, tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICGYM_CACHE", "")
    assert benchmarks.use_cache() is None
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PLASTICGYM_CACHE", str(tmp_path / "file"))
    assert benchmarks.use_cache() is None
    assert config == {}


def test_a_cache_that_jax_knows_of_already_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("PLASTICGYM_CACHE", str(tmp_path / "mine"))
    before = jax.config.values["jax_compilation_cache_dir"]
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    try:
        assert benchmarks.use_cache() is None
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "theirs")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_says_nothing(tmp_path):
    environment = {**os.environ, "PLASTICGYM_CACHE": str(tmp_path)}
    del environment["JAX_COMPILATION_CACHE_DIR"]  # that of the tests

    def run():
        return subprocess.run(
            [sys.executable, "-W", "error", "-c", CODE],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    first = run()
    kept = {path.name for path in tmp_path.rglob("*-cache")}
    assert any(name.startswith("jit_lives") for name in kept)
    second = run()
    assert {path.name for path in tmp_path.rglob("*-cache")} == kept
    assert (second.stdout, second.stderr) == (first.stdout, "")
