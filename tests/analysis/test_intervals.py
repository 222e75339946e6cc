"""Intervals and tests: SciPy's as another implementation, closed forms, and coverage by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from nidbench.analysis import intervals
from nidbench.analysis.intervals import bootstrap, interval, resolution, sign_flip


def generator(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


@pytest.mark.parametrize("count", [3, 6, 12])
def test_the_p_value_is_scipy_s_and_below_5_percent_where_the_interval_leaves_out_0(count):
    for values in generator(count).standard_normal((200, count)) + 0.8:
        p_value = intervals.p_student(values)
        assert p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
        low, high = interval(values)
        assert (p_value < 0.05) == (low > 0 or high < 0)
    assert intervals.p_student(np.ones(count)) == 0
    assert intervals.p_student(np.zeros(count)) == 1


def test_holm_by_hand():
    """Holm 1979: the smallest times their number, the next times one less, never falling."""
    adjusted = intervals.holm([0.01, math.nan, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.03, math.nan, 0.06, 0.06, 0.02], nan_ok=True)
    assert intervals.holm([0.7, 0.8]) == [1.0, 1.0]
    assert intervals.holm([]) == []


def test_of_28_pairs_of_equal_methods_some_verdict_is_false_unless_holm_is_asked():
    pairs = np.array(list(itertools.combinations(range(8), 2)))
    draws = generator(7).standard_normal((600, 8, 6))
    p_values = [[intervals.p_student(each) for each in draw[pairs[:, 0]] - draw[pairs[:, 1]]] for draw in draws]
    assert np.mean([min(each) < 0.05 for each in p_values]) == pytest.approx(0.6, abs=0.08)
    adjusted = [intervals.holm(each) for each in p_values]
    assert np.mean([min(each) < 0.05 for each in adjusted]) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 600)
    assert all(a >= p for family, own in zip(adjusted, p_values, strict=True) for a, p in zip(family, own, strict=True))


@pytest.mark.parametrize("count", [3, 6, 12, 80])
def test_resolution_is_the_difference_seen_8_times_of_10(count):
    values = generator(count).standard_normal(count)
    error = values.std(ddof=1) / math.sqrt(count)
    critical = stats.t.ppf(0.975, count - 1)
    assert stats.nct.sf(critical, count - 1, resolution(values) / error) == pytest.approx(0.8, abs=1e-4)


def test_resolution_by_simulation():
    at = resolution(np.array([-1, -1, -1, 1, 1, 1]) / math.sqrt(1.2))  # of six values with standard deviation 1
    drawn = generator(3).standard_normal((4000, 6)) + at
    found = np.mean([interval(values)[0] > 0 for values in drawn])
    assert found == pytest.approx(0.8, abs=0.02)


DISTRIBUTIONS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "uniform": lambda rng, shape: rng.uniform(-1.7, 1.7, shape),
    "laplace": lambda rng, shape: rng.laplace(scale=0.7, size=shape),
}


def clustered(name, count=4000):
    """Differences on 6 images and 8 kernels, Shape (count, 6, 8), of mean 0: kernels of an image are alike."""
    rng = generator(5)
    return DISTRIBUTIONS[name](rng, (count, 6, 1)) + 0.5 * rng.standard_normal((count, 6, 8))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_95_of_100_intervals_over_6_images_hold_the_truth(name):
    intervals = np.array([interval(values) for values in clustered(name).mean(axis=2)])
    coverage = ((intervals[:, 0] <= 0) & (intervals[:, 1] >= 0)).mean()
    assert 0.93 <= coverage <= 0.97


def test_a_bootstrap_over_6_images_and_cells_taken_as_independent_promise_too_much():
    values = clustered("normal", 500)
    percentile = stats.bootstrap(
        (values.mean(axis=2),), np.mean, axis=1, method="percentile", n_resamples=499, rng=generator()
    ).confidence_interval
    assert 0.80 < ((percentile.low <= 0) & (percentile.high >= 0)).mean() < 0.90
    naive = np.array([interval(each.ravel()) for each in values])
    assert ((naive[:, 0] <= 0) & (naive[:, 1] >= 0)).mean() < 0.6


@pytest.mark.parametrize("count", [2, 3, 6, 9])
def test_sign_flips_agree_with_scipy(count):
    values = generator(count).standard_normal(count) + 0.5
    theirs = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=math.inf)
    assert sign_flip(values) == pytest.approx(theirs.pvalue)
    assert sign_flip(np.abs(values)) == 2.0 ** (1 - count)


def test_sign_flips_of_many_images_are_drawn_alike_each_time():
    values = generator(8).standard_normal(15) + 0.4
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=15)))
    exact = (np.abs(signs @ values) >= abs(values.sum()) - 1e-9).mean()
    assert sign_flip(values) == pytest.approx(exact, abs=5 * math.sqrt(exact / 9999))
    found = sign_flip(values)
    intervals._signs.cache_clear()
    assert sign_flip(values) == found
    assert sign_flip(np.ones(30)) == 1 / 10_000
    assert math.isnan(sign_flip(np.array([])))


@pytest.mark.parametrize("count", [3, 6, 40])
def test_the_bootstrap_is_scipy_s_but_for_its_draws(count):
    values = generator(count).standard_normal(count) + 1
    other = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=generator(7))
    spread = other.bootstrap_distribution.std()
    assert bootstrap(values) == pytest.approx(tuple(other.confidence_interval), abs=0.06 * spread)
    assert bootstrap(values) == bootstrap(values)
