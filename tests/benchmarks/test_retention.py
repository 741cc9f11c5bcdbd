"""How well tasks are kept, from scores after each on each; and in reports."""

import numpy as np
import pytest

import plasticgym as pg
from plasticgym.benchmarks import Setting, Suite, retention

SCORES = np.array([[[0.9, 0.1, 0.0], [0.5, 0.8, 0.2], [0.6, 0.3, 0.7]]])


def test_the_three_numbers_are_those_of_their_definitions():
    found = retention(SCORES, np.array([2.0, 1.0, 1.0]))
    np.testing.assert_allclose(found.accuracy, (2 * 0.6 + 0.3 + 0.7) / 4)
    np.testing.assert_allclose(found.forgetting, ((0.9 - 0.6) + (0.8 - 0.3)) / 2)
    np.testing.assert_allclose(found.backward, ((0.6 - 0.9) + (0.3 - 0.8)) / 2)


def test_what_is_best_between_counts_for_forgetting_and_not_for_transfer():
    scores = np.array([[0.5, 0.0, 0.0], [0.9, 0.6, 0.0], [0.7, 0.6, 0.6]])
    found = retention(scores, np.ones(3))
    np.testing.assert_allclose(found.forgetting, (0.2 + 0.0) / 2)
    np.testing.assert_allclose(found.backward, (0.2 + 0.0) / 2)


def test_with_one_task_nothing_is_forgotten():
    found = retention(np.full((4, 1, 1), 0.7), np.ones(1))
    assert np.array_equal(found.forgetting, np.zeros(4))
    np.testing.assert_allclose(found.accuracy, 0.7)


@pytest.mark.parametrize(("scores", "weights"), [(SCORES[0, :2], 3), (SCORES[0], 2)])
def test_scores_that_are_no_square_are_refused(scores, weights, unchecked):
    with pytest.raises(ValueError, match="`scores` must have as many times as tasks"):
        retention(scores, np.ones(weights))


def test_a_report_tells_them_of_problems_of_several_tasks():
    sizes = {"hidden": (4,), "batch": 8, "presentations": 12}
    settings = {"split": Setting("SplitDigits-v0", sizes), "xor": Setting("Xor-v0", sizes)}
    suite = Suite("mine-v0", seen=settings, unseen={}, seeds=(0, 1))
    report = pg.benchmarks.evaluate({"sgd": pg.rules.SGD()}, suite)
    split, plain = (report.results["sgd"][name] for name in ("split", "xor"))
    assert plain.retention is None
    assert split.times[-1] == 12
    assert 6 in split.times
    np.testing.assert_allclose(split.retention.accuracy, split.last, rtol=1e-6)
    assert split.retention.forgetting.shape == (2,)
    told = report.to_json()["results"]["sgd"]
    assert len(told["split"]["retention"]["backward"]) == 2
    assert "retention" not in told["xor"]
    titles = [str(table.title) for table in pg.benchmarks.tables(report)]
    assert sum("Several tasks, seen problems" in title for title in titles) == 1


def test_the_suite_builds():
    suite = pg.benchmarks.suite("continual-v0")
    assert [len(suite.problem(name).ends) for name in suite.settings] == [2, 5, 5]
