"""The examples do what they say. (`ppo.py` needs torch: tests/adapters.)"""

import itertools
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture(autouse=True)
def as_for_users():
    """Examples are run with the settings of jax that users have."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def example(name):
    return runpy.run_path(str(EXAMPLES / name))["main"]


def test_oja_finds_the_first_principal_component():
    assert example("oja.py")().min() > 0.99


@pytest.mark.slow
def test_descent_matches_live():
    mine, theirs, gap = example("descent.py")()
    assert mine > 0.85
    assert abs(mine - theirs) < 1e-5
    assert gap < 1e-5


@pytest.mark.slow
def test_the_animation_shows_a_network_as_it_learns(tmp_path):
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "moons.gif"
    score = example("animate.py")(str(path), presentations=4)
    assert 0 <= score <= 1
    with image.open(path) as film:
        assert film.n_frames == 3  # before the first presentation, and after each second one
        shown = []
        for frame in range(film.n_frames):
            film.seek(frame)
            shown.append(np.asarray(film.convert("RGB"), float))
        assert film.info["duration"] == 2500
    for before, after in itertools.pairwise(shown):
        assert before.shape == after.shape
        assert np.abs(after - before).max() > 50
