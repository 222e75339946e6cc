"""What is left of a measurement is compared with the noise: closed forms, and noise whose colour is known."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from nidbench.physics.measure import blur, measure
from nidbench.physics.noise import Noise
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response
from nidbench.scoring.residual import REACH, measures, residual, residual_tests, whiteness

KERNEL = np.outer([1, 2, 1], [1, 3, 2, 1]) / 28


def scene(channels=1, side=80):
    return 0.2 + 0.6 * np.kron(np.random.default_rng(3).random((channels, side // 8, side // 8)), np.ones((8, 8)))


@pytest.mark.parametrize("noise", ["gaussian:0.02", "poisson:400"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_truth_leaves_the_noise(noise, channels):
    problem = measure(scene(channels), KERNEL, noise, key="residual")
    found = residual_tests(problem, scene(channels))
    pixels = problem.blurred[0].size
    assert found.white == pytest.approx(pixels**-0.5)
    assert found.chi_squared == pytest.approx(1, abs=6 * (2 / pixels) ** 0.5)
    assert found.whiteness < 2 * found.white


def test_an_offset_adds_its_square_in_units_of_the_noise():
    problem = measure(scene(), KERNEL, "gaussian:0.02", key="residual")
    before = residual(problem, scene())
    found = residual_tests(problem, scene() + 0.04)
    assert found.chi_squared == pytest.approx(np.square(before - 0.04).mean() / 0.02**2)


def test_whiteness_is_that_of_the_autocorrelation_written_out():
    left = np.random.default_rng(0).normal(size=(2, 20, 23)).cumsum(2)
    squares = []
    for plane in left:
        centred = plane - plane.mean()
        whole = correlate2d(centred, centred)
        middle = np.array(whole.shape) // 2
        near = whole[tuple(slice(each - REACH, each + REACH + 1) for each in middle)] / np.square(centred).sum()
        squares.append((np.square(near).sum() - 1) / (near.size - 1))
    assert whiteness(left) == pytest.approx(np.mean(squares) ** 0.5)
    assert whiteness(np.full((1, 20, 20), 0.3)) == 0


def test_structure_that_is_left_is_not_white():
    problem = measure(scene(), KERNEL, "gaussian:0.01", key="residual")
    blurrier = np.pad(blur(scene(), KERNEL), ((0, 0), (1, 1), (1, 2)), mode="edge")
    assert residual_tests(problem, blurrier).whiteness > 5 * residual_tests(problem, scene()).whiteness


def test_the_response_is_that_of_the_camera():
    problem = measure(scene(), KERNEL, "gaussian:0.02", key="gamma", response=Response("gamma", 2.2))
    assert residual_tests(problem, scene()).chi_squared == pytest.approx(1, abs=0.15)


def test_without_noise_there_is_no_chi_squared():
    y = blur(scene(), KERNEL).astype(np.float32)
    problem = Problem(y, KERNEL, Noise("gaussian", 0.0))
    assert np.isnan(residual_tests(problem, scene() * 0.9).chi_squared)
    assert set(measures(problem, scene() * 0.9)) == {"whiteness"}


def test_an_estimate_far_outside_the_unit_interval_has_a_residual():
    problem = measure(scene(), KERNEL, "gaussian:0.02", key="residual")
    assert residual_tests(problem, 50 * scene()).chi_squared > 1000
