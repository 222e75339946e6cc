"""Richardson-Lucy: its iterate against loops over pixels, its conserved quantities, and where it stops."""

import numpy as np
import pytest
import torch
from nidbench.methods.richardson_lucy import RichardsonLucy
from nidbench.methods.wiener import Wiener
from skimage.restoration import richardson_lucy

from nidbench.contract import Clock, Noise, Problem, Response, Run, Truth, check_restored
from nidbench.errors import InputError
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.scoring.protocols import DEFAULT

SIZES = [(5, 5), (4, 6), (3, 7), (2, 1)]


def skewed(height, width):
    """A kernel without symmetry, so that a flip or a shift shows."""
    kernel = 1.0 + np.arange(height * width).reshape(height, width) ** 2
    return kernel / kernel.sum()


def scene(channels=1, height=26, width=21, low=0.1):
    row, column = np.mgrid[:height, :width]
    disc = (row - 12) ** 2 + (column - 9) ** 2 < 30
    return np.stack([low + 0.6 * disc + 0.1 * np.sin(row / 2 + c) ** 2 for c in range(channels)])


def matrix(kernel, frame, shown):
    """The valid true convolution as a matrix, entry by entry: y[i] = sum_j k[j] x[i + size - 1 - j]."""
    blur = np.zeros((*shown, *frame))
    for i, j in np.ndindex(shown):
        for a, b in np.ndindex(kernel.shape):
            blur[i, j, i + kernel.shape[0] - 1 - a, j + kernel.shape[1] - 1 - b] = kernel[a, b]
    return blur.reshape(shown[0] * shown[1], -1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_is_the_iteration_written_with_matrices(channels, size):
    problem = measure(scene(channels), skewed(*size), "gaussian:0.01", key="matrix")
    y = problem.blurred.astype(np.float64).reshape(channels, -1).clip(0, None)
    blur = matrix(problem.kernel, problem.frame, problem.blurred.shape[1:])
    seen = blur.sum(0)
    x = np.repeat(y.mean(1, keepdims=True), blur.shape[1], 1)
    for _ in range(7):
        x = np.where(seen > 1e-3, x * ((y / (x @ blur.T)) @ blur) / seen, x)  # what y hardly shows stays
    restored = check_restored(RichardsonLucy(7, discrepancy=0).restore(problem, Run()), problem)
    np.testing.assert_allclose(restored.image.reshape(x.shape), x, atol=2e-4)
    assert (restored.iterations, restored.stopped) == (7, "iterations")


def test_a_library_agrees_far_from_the_border():
    """scikit-image's continues by zeros, which reaches (k - 1) pixels further with each iteration."""
    problem = measure(scene(height=70, width=66), skewed(3, 3), "gaussian:0.01", key="library")
    kernel, iterations = problem.kernel, 5
    flat = float(problem.blurred.clip(0, None).mean())
    scaled = 0.5 / flat * problem.blurred[0].astype(np.float64)  # it starts from 0.5
    expected = flat / 0.5 * richardson_lucy(scaled, kernel, num_iter=iterations, clip=False)
    found = RichardsonLucy(iterations, discrepancy=0).restore(problem, Run()).image[0, 1:-1, 1:-1]
    inside = slice(2 * iterations + 2, -2 * iterations - 2)
    np.testing.assert_allclose(found[inside, inside], expected[inside, inside], atol=2e-4)


@pytest.mark.parametrize("noise", ["gaussian:0.05", "poisson:50"])
@pytest.mark.parametrize("size", SIZES)
def test_keeps_x_positive_and_the_light_of_y(noise, size):
    sharp = scene(3, low=0.02)
    problem = measure(sharp, skewed(*size), noise, key="light")
    assert problem.blurred.min() < 0 or noise != "gaussian:0.05"
    restored = RichardsonLucy(30, discrepancy=0).restore(problem, Run())
    assert restored.image.min() >= 0
    blurred = problem.operator().blur(torch.from_numpy(restored.image)).sum()
    assert float(blurred) == pytest.approx(problem.blurred.clip(0, None).sum(), rel=1e-3)


def test_stops_where_the_residual_reaches_its_share_of_the_noise():
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    problem = measure(sharp, kernel, "gaussian:0.03", key="stop")
    restored = RichardsonLucy().restore(problem, Run())
    assert restored.stopped == "noise level"

    def residual(image):
        return float((problem.operator().blur(torch.from_numpy(image)) - torch.from_numpy(problem.blurred)).std())

    before = RichardsonLucy(restored.iterations - 1).restore(problem, Run())
    assert before.stopped == "iterations"
    assert residual(restored.image) <= 0.99 * 0.03 < residual(before.image)
    assert RichardsonLucy(discrepancy=0.8).restore(problem, Run()).iterations > restored.iterations
    assert RichardsonLucy(discrepancy=100).restore(problem, Run()).iterations == 0


def test_stops_before_it_shows_the_noise():
    """On shipped data: above the input, above what it comes to without a stop, below the Wiener filter."""
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    problem = measure(sharp, kernel, "gaussian:0.05", key="order")
    operator = problem.operator()

    def psnr(image):
        return DEFAULT.score(image, problem, Truth(sharp)).psnr

    stopped = psnr(RichardsonLucy().restore(problem, Run()).image)
    assert stopped > psnr(operator.extend(operator.blurred).numpy()) + 1
    assert stopped > psnr(RichardsonLucy(60, discrepancy=0).restore(problem, Run()).image) + 3
    assert stopped < psnr(Wiener().restore(problem, Run()).image)


def test_shows_every_iterate_that_is_due():
    problem = measure(scene(), skewed(3, 4), "gaussian:0.02", key="curve")
    seen, done = {}, []
    run = Run(
        clock=Clock(2),
        on_observe=lambda i, _, image: seen.update({i: image}),
        on_progress=lambda *each: done.append(each),
    )
    RichardsonLucy(5, discrepancy=0).restore(problem, run)
    assert list(seen) == [2, 4, 5]
    np.testing.assert_array_equal(seen[4], RichardsonLucy(4, discrepancy=0).restore(problem, Run()).image)
    assert done[-1] == (5, 5)


def test_the_last_iterate_is_shown_once():
    problem, seen = measure(scene(), skewed(3, 4), "gaussian:0.02", key="curve"), []
    run = Run(clock=Clock(2), on_observe=lambda i, *_: seen.append(i))
    RichardsonLucy(4, discrepancy=0).restore(problem, run)
    assert seen == [2, 4]


def test_undoes_a_gamma_response():
    sharp, kernel = scene(height=60, width=51), skewed(4, 5)
    bent = measure(sharp, kernel, "gaussian:0.01", key="gamma", response=Response.parse("gamma:2.2"))
    restored = RichardsonLucy().restore(bent, Run()).image
    without = RichardsonLucy().restore(Problem(bent.blurred, kernel, bent.noise), Run()).image
    errors = [((image - sharp)[0, 3:-3, 3:-3] ** 2).mean() for image in (restored, without)]
    assert errors[0] < 0.1 * errors[1]


def test_channels_stop_one_by_one():
    """What is smooth agrees with y long before what is not, and then is left alone."""
    smooth, sharp = 0.4 + 0 * scene(), scene(low=0.02)
    problem = measure(np.concatenate([smooth, sharp, sharp]), skewed(4, 5), "gaussian:0.01", key="one by one")
    whole = RichardsonLucy().restore(problem, Run())
    alone = [RichardsonLucy().restore(Problem(y[None], problem.kernel, problem.noise), Run()) for y in problem.blurred]
    assert alone[0].iterations < min(alone[1].iterations, alone[2].iterations)
    assert whole.iterations == max(each.iterations for each in alone)
    np.testing.assert_allclose(whole.image, np.concatenate([each.image for each in alone]), atol=1e-5)


def test_darkness_stays_dark():
    problem = Problem(np.zeros((1, 12, 9), np.float32), skewed(3, 2), Noise("gaussian", 0.0))
    assert not RichardsonLucy(5).restore(problem, Run()).image.any()


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"iterations": 0}, "iterations=0"), ({"discrepancy": -1.0}, "discrepancy=-1"), ({"discrepancy": np.nan}, "nan")],
)
def test_refuses_settings_that_mean_nothing(settings, words):
    with pytest.raises(InputError, match=words):
        RichardsonLucy(**settings)
