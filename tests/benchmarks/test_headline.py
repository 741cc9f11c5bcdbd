"""The table of the race: paired with the strongest rival, setting by setting."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from plasticgym.benchmarks._statistics import bootstrap_mean

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "blur" / "headline.py"
RIVALS = {"a": (0.7, 0.5), "b": (0.1, 0.9)}


@pytest.fixture
def headline(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("headline", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(blurs, rivals):
    """A report of one seen and one unseen setting with these scores per seed."""

    def result(scores):
        return {"stream_area": list(scores), "last": list(scores)}

    found = {f"blur-metagradient-{i}": s for i, s in enumerate(blurs)} | rivals
    return {
        "date": "2026-11-22",
        "seeds": [0, 1],
        "suite": {"seen": {"xor": {}}, "unseen": {"cross": {}}},
        "results": {n: {"xor": result(s), "cross": result(s)} for n, s in found.items()},
    }


def test_differences_are_paired_with_the_strongest_rival(headline):
    blurs = [(0.8, 0.6), (0.9, 0.7), (0.75, 0.55)]
    rows = list(headline.table(told(blurs, RIVALS), "blur"))[2:]
    assert len(rows) == 8  # two settings and two sums, each for two scores
    assert rows[0].startswith("| xor (seen) | stream area | 0.717 | a | 0.600 | **+0.117")
    assert rows[0].endswith("| +0.100, +0.200, +0.050 |")


def test_an_interval_that_holds_zero_is_not_bold(headline):
    blurs = [(0.8, 0.6), (0.5, 0.4), (0.7, 0.5)]
    rows = list(headline.table(told(blurs, RIVALS), "blur"))[2:]
    assert all("**+" not in row for row in rows)
    means = np.array([0.1, -0.15, 0.0])
    assert f"{means.mean():+.3f}" in rows[0]


def test_resampling_covers_seeds_and_trainings():
    same = np.full((3, 50), 0.2)
    np.testing.assert_allclose(bootstrap_mean(same, seed=0), 0.2)
    by_training = np.repeat([[0.0], [0.1], [0.2]], 50, 1)
    low, high = bootstrap_mean(by_training, seed=0)
    assert low < 0.05 < 0.15 < high
