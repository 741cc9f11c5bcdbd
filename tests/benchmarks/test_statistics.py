"""Statistics against scipy, closed forms and their own promises."""

import numpy as np
import pytest
import scipy.stats

from plasticgym import benchmarks
from plasticgym.benchmarks import _statistics


def mean(values):
    return values.mean(-1)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 96, 101])
def test_the_interquartile_mean_is_the_trimmed_mean_of_scipy(n):
    values = np.random.default_rng(n).standard_cauchy((3, n))
    expected = scipy.stats.trim_mean(values, 0.25, axis=-1)
    np.testing.assert_allclose(benchmarks.iqm(values), expected, rtol=1e-12)


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(400):
        strata = [rng.normal(0.0, 1.0, 25), rng.normal(3.0, 0.5, 15)]
        low, high = benchmarks.bootstrap(mean, strata, seed=trial, resamples=400)
        hits += low <= (25 * 0.0 + 15 * 3.0) / 40 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_differences_between_strata_do_not_widen_the_interval():
    # Pooled, these would vary with a standard error of 0.09.
    strata = [np.full(10, 0.1), np.full(10, 0.9)]
    low, high = benchmarks.bootstrap(mean, strata, seed=0)
    assert low == pytest.approx(0.5) == high


def test_each_stratum_keeps_its_weight():
    strata = [np.zeros(30), np.ones(10)]
    assert benchmarks.bootstrap(mean, strata, seed=0) == (0.25, 0.25)


def test_the_interval_agrees_with_the_normal_one_where_that_is_right():
    strata = [
        np.random.default_rng(1).normal(size=400),
        np.random.default_rng(2).normal(size=400),
    ]
    low, high = benchmarks.bootstrap(mean, strata, seed=0)
    error = np.sqrt(sum(s.var() for s in strata) / 400) / 2
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.06)
    assert (high + low) / 2 == pytest.approx(np.mean(strata), abs=0.2 * error)


def test_the_seed_decides():
    strata = [np.random.default_rng(0).normal(size=9)]
    first = benchmarks.bootstrap(benchmarks.iqm, strata, seed=3)
    assert first == benchmarks.bootstrap(benchmarks.iqm, strata, seed=3)
    assert first != benchmarks.bootstrap(benchmarks.iqm, strata, seed=4)


def test_single_values_tell_no_interval():
    assert np.isnan(benchmarks.bootstrap(mean, [np.ones(1), np.zeros(1)], seed=0)).all()
    assert np.isnan(_statistics.half_width(np.ones((1, 3)))).all()


def test_the_half_width_is_that_of_students_t():
    values = np.random.default_rng(0).normal(size=(7, 3))
    expected = scipy.stats.t.interval(0.95, 6, scale=scipy.stats.sem(values))[1]
    np.testing.assert_allclose(_statistics.half_width(values), expected, rtol=1e-10)


def test_the_area_of_a_straight_line_is_its_middle_however_it_is_sampled():
    times = (1, 2, 3, 8, 21)
    line = 0.1 + 0.02 * np.array([times, times])
    expected = 0.1 + 0.02 * (1 + 21) / 2
    np.testing.assert_allclose(_statistics.area(times, line), expected, rtol=1e-12)
    assert _statistics.area((1,), np.array([[0.4]])) == 0.4


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"`values` must hold at least one"):
        benchmarks.iqm(np.zeros((2, 0)))
    with pytest.raises(ValueError, match=r"`strata` must be vectors"):
        benchmarks.bootstrap(mean, [], seed=0)
    with pytest.raises(ValueError, match=r"`strata` must be vectors.*\(0,\)"):
        benchmarks.bootstrap(mean, [np.ones(3), np.ones(0)], seed=0)
