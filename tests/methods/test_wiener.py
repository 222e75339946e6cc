"""Wiener filter: its formula in NumPy, and its limits."""

import numpy as np
import pytest
from nidbench.methods._linear import linearised
from nidbench.methods.wiener import Wiener

from nidbench.contract import Noise, Problem, Response, Run, check_restored
from nidbench.errors import InputError
from nidbench.physics.measure import measure


def scene(channels=1, height=60, width=51):
    """A smooth periodic picture with an edge, in [0.1, 0.9]."""
    row, column = np.mgrid[:height, :width]
    waves = 0.25 * np.sin(2 * np.pi * 3 * row / height) * np.cos(2 * np.pi * 2 * column / width)
    square = 0.2 * ((abs(row - 30) < 10) & (abs(column - 25) < 9))
    return np.stack([0.4 + waves + square + 0.05 * c for c in range(channels)]).clip(0.1, 0.9)


def motion(height, width):
    kernel = np.zeros((height, width))
    for step in np.linspace(0, 1, 20):
        kernel[round(step * (height - 1)), round(step * (width - 1))] += 1 + step
    return kernel / kernel.sum()


def mse(image, truth, problem):
    rows, columns = problem.valid
    return float(((image - truth)[:, rows, columns] ** 2).mean())


@pytest.mark.parametrize("size", [(5, 5), (4, 6), (3, 7), (8, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_is_the_closed_form(channels, size):
    kernel = motion(*size)
    problem = measure(scene(channels), kernel, "gaussian:0.03", key="closed form")
    height, width = problem.frame
    padded = np.zeros((height, width))
    padded[: size[0], : size[1]] = kernel
    transfer = np.fft.fft2(np.roll(padded, (-(size[0] // 2), -(size[1] // 2)), (0, 1)))
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    differences = abs(np.exp(2j * np.pi * rows) - 1) ** 2 + abs(np.exp(2j * np.pi * columns) - 1) ** 2
    power = problem.blurred.astype(np.float64).var((1, 2)) - 0.03**2
    # beside the noise, what tapering leaves wrong: 3e-3 at a contrast of 0.2
    ratio = 1.5 * (0.03**2 / power + 0.015**2)[:, None, None] * differences
    y = np.fft.fft2(problem.operator().tapered.numpy().astype(np.float64))
    expected = np.fft.ifft2(transfer.conj() * y / (abs(transfer) ** 2 + ratio)).real

    restored = check_restored(Wiener().restore(problem, Run()), problem)
    np.testing.assert_allclose(restored.image, expected, atol=2e-5)
    assert (restored.iterations, restored.stopped) == (0, "closed form")


def test_without_blur_and_noise_returns_the_image():
    sharp = scene(3)
    problem = measure(sharp, np.ones((1, 1)), "gaussian:0", key="delta")
    np.testing.assert_allclose(Wiener().restore(problem, Run()).image, sharp, atol=1e-3)


@pytest.mark.parametrize("level", [0.01, 0.03, 0.05])
@pytest.mark.parametrize("size", [(7, 7), (6, 9)])
def test_beats_the_blurred_image(level, size):
    sharp = scene()
    problem = measure(sharp, motion(*size), f"gaussian:{level}", key="beats")
    operator = problem.operator()
    blurred = operator.extend(operator.blurred).numpy()
    assert mse(Wiener().restore(problem, Run()).image, sharp, problem) < 0.8 * mse(blurred, sharp, problem)


def test_undoes_a_gamma_response():
    sharp = scene()
    problem = measure(sharp, motion(5, 5), "gaussian:0.01", key="gamma", response=Response.parse("gamma:2.2"))
    plain = measure(sharp, motion(5, 5), "gaussian:0.01", key="gamma")
    error = mse(Wiener().restore(problem, Run()).image, sharp, problem)
    assert error < 4 * mse(Wiener().restore(plain, Run()).image, sharp, plain)


def test_linearising_scales_the_noise_by_the_slope():
    blurred = np.full((1, 20, 20), 0.5, np.float32)
    problem = Problem(blurred, np.ones((1, 1)), Noise("gaussian", 0.02), Response.parse("gamma:2"))
    linear = linearised(problem)
    np.testing.assert_allclose(linear.blurred, 0.25)
    assert linear.sigma() == pytest.approx(0.02 * 2 * 0.5)
    assert linear.response.kind == "identity"
    assert linearised(linear) is linear


@pytest.mark.parametrize("gamma", ["0.5", "2.2"])
def test_black_pixels_do_not_make_the_noise_infinite(gamma):
    sharp = scene()
    sharp[:, :12] = 0
    problem = measure(sharp, motion(5, 5), "gaussian:0.01", key="black", response=Response.parse(f"gamma:{gamma}"))
    assert (problem.blurred <= 0).any()
    assert 0 < linearised(problem).sigma() < 1
    assert np.isfinite(Wiener().restore(problem, Run()).image).all()


@pytest.mark.parametrize("noise", ["poisson:100", "gaussian:0"])
def test_a_flat_image_stays_flat(noise):
    problem = measure(np.full((1, 30, 30), 0.4), motion(3, 5), noise, key="flat")
    assert abs(Wiener().restore(problem, Run()).image - 0.4).max() < 0.1


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
def test_refuses_a_weight_that_is_none(weight):
    with pytest.raises(InputError, match="weight"):
        Wiener(weight=weight)
