"""The examples do what they say. (`ppo.py` needs torch: tests/adapters.)"""

import runpy
from pathlib import Path

import jax
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


def test_descent_matches_live():
    mine, theirs, gap = example("descent.py")()
    assert mine > 0.85
    assert abs(mine - theirs) < 1e-5
    assert gap < 1e-5
