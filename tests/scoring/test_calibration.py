"""Coverage and correlation where they are known in closed form; the plane of draws that were laid into one."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from nidbench.errors import InputError
from nidbench.scoring.calibration import calibration, coverage, error_variance_correlation, plane_of_draws
from nidbench.scoring.measures import OF_VARIANCE

SHAPE = (3, 200, 300)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("factor", "covered"), [(1.0, (0.5, 0.68, 0.95)), (0.5, None), (2.0, None)])
def test_gaussian_errors_are_covered_as_often_as_their_variance_says(generator, factor, covered):
    deviation = generator.uniform(0.01, 0.2, SHAPE)
    truth = generator.random(SHAPE)
    image = truth + deviation * generator.standard_normal(SHAPE)
    fractions = coverage(image, (factor * deviation) ** 2, truth)
    assert list(fractions) == [0.5, 0.68, 0.95]
    for level, fraction in fractions.items():
        # P(|error| <= told z sigma), z the quantile of the level
        z = {0.5: 0.674490, 0.68: 0.994458, 0.95: 1.959964}[level]
        nominal = math.erf(factor * z / math.sqrt(2))
        assert fraction == pytest.approx(nominal, abs=4 * math.sqrt(0.25 / truth.size))
    if covered:
        assert tuple(fractions.values()) == pytest.approx(covered, abs=0.005)


def test_an_exact_restoration_is_covered_however_sure_it_is():
    image = np.full((1, 4, 4), 0.5)
    assert set(coverage(image, np.zeros_like(image), image).values()) == {1.0}


def test_errors_ranked_as_their_variance_correlate_perfectly(generator):
    truth, size = generator.random(SHAPE), generator.permutation(math.prod(SHAPE)).reshape(SHAPE)
    sign = generator.choice([-1, 1], SHAPE)
    assert error_variance_correlation(truth + sign * (1.0 + size), size.astype(float) ** 4, truth) == pytest.approx(1)
    assert error_variance_correlation(truth + sign * (1.0 + size), 1 / (1.0 + size), truth) == pytest.approx(-1)


def test_the_correlation_is_scipy_s_with_ties(generator):
    truth = np.zeros((1, 40, 40))
    image, variance = generator.integers(-5, 6, truth.shape) / 10, generator.integers(0, 4, truth.shape) / 100
    variance += np.abs(image) * 0.02
    expected = spearmanr(np.abs(image).ravel(), variance.ravel()).statistic
    assert error_variance_correlation(image, variance, truth) == pytest.approx(expected, abs=1e-12)


def test_a_variance_alike_everywhere_says_nothing_of_where(generator):
    image = generator.random((1, 20, 20))
    variance = np.full_like(image, 0.01)
    assert math.isnan(error_variance_correlation(image, variance, np.zeros_like(image)))
    measures = calibration(image, variance, np.zeros_like(image))
    assert set(measures) == set(OF_VARIANCE) - {"variance_correlation"}
    assert measures["mean_variance"] == pytest.approx(0.01)


def test_all_measures_are_named(generator):
    image, variance = generator.random((2, 1, 20, 20))
    assert tuple(calibration(image, variance, np.zeros_like(image))) == OF_VARIANCE


def test_what_cannot_be_compared_is_refused():
    image = np.zeros((1, 4, 4))
    with pytest.raises(InputError, match=r"\(1, 4, 4\), \(1, 4, 4\), \(1, 4, 5\): crop them alike"):
        coverage(image, image, np.zeros((1, 4, 5)))
    with pytest.raises(InputError, match=r"down to -1"):
        error_variance_correlation(image, image - 1, image)
    with pytest.raises(InputError, match=r"level 95"):
        coverage(image, image, image, [95])


def test_draws_in_a_known_plane(generator):
    """Draws along two directions of known strength around a mean; the truth beside them by known amounts."""
    size, count = 400, 60
    basis = np.linalg.qr(generator.standard_normal((size, 3)))[0].T * np.sqrt(size)  # of root mean square 1
    places = generator.standard_normal((count, 2))
    places = np.linalg.qr(places - places.mean(0))[0] * np.sqrt(count) * [3.0, 1.0]  # uncorrelated, of deviations 3, 1
    mean = generator.random(size)
    draws = (mean + places @ basis[:2]).reshape(count, 1, 20, 20)
    truth = (mean + [2.0, -0.5, 4.0] @ basis).reshape(1, 20, 20)
    plane = plane_of_draws(draws, truth)
    assert plane.explained == pytest.approx([0.9, 0.1])
    assert plane.truth == pytest.approx([2.0, 0.5])  # turned so that the truth is above and to the right
    assert np.abs(plane.draws) == pytest.approx(np.abs(places))
    assert plane.mean_to_truth == pytest.approx(math.sqrt(4 + 0.25 + 16))
    assert plane.off_plane == pytest.approx(4.0)
    distances = np.sqrt(((places - [2.0, -0.5]) ** 2).sum(1) + 16)
    assert plane.draws_to_truth == pytest.approx(distances.mean())


def test_two_draws_make_no_plane():
    with pytest.raises(InputError, match="at least 3 draws"):
        plane_of_draws(np.zeros((2, 1, 4, 4)), np.zeros((1, 4, 4)))
    assert not plane_of_draws(np.zeros((3, 1, 4, 4)), np.ones((1, 4, 4))).explained.any()
