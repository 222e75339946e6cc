"""Truths and kernels that do not fit a measurement are told, and what would fit; those that do are not."""

from importlib.resources import as_file, files

import numpy as np
import pytest
from skimage.io import imread

from nidbench.contract import Response
from nidbench.images.explained import contradiction, misread, other_contrast, other_level
from nidbench.physics.kernel import normalised
from nidbench.physics.measure import measure
from nidbench.physics.noise import Noise
from nidbench.physics.problem import Problem


def photograph(name="coffee.png", channels=1):
    with as_file(files("skimage") / "data" / name) as path:
        image = imread(path)[100:220, 150:280].astype(np.float64) / 255
    return np.ascontiguousarray(image.transpose(2, 0, 1)) if channels == 3 else image.mean(2)[None]


def lopsided(rows=7, columns=7):
    weights = np.zeros((rows, columns))
    weights[1, 1:5] = (4, 3, 2, 1)
    weights[1:6, 4] = (3, 1, 1, 1, 2)
    return normalised(weights)


def measured(x, kernel, sigma=0.01, response=Response()):  # noqa: B008 - it is frozen
    return measure(x, kernel, f"gaussian:{sigma}", key="explained", response=response)


def valid(problem, x):
    rows, columns = problem.valid
    return x[:, rows, columns], (rows.start, columns.start)


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "astronaut.png"])
@pytest.mark.parametrize("sigma", [0.0, 0.002, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("known", [True, False])
def test_a_truth_that_was_measured_contradicts_nothing(name, sigma, channels, known):
    x = photograph(name, channels)
    for kernel in (lopsided(), lopsided(8, 6), np.full((5, 5), 1 / 25), np.ones((1, 1))):
        problem = measured(x, kernel, max(sigma, 1e-6))
        told = problem if known else Problem(problem.blurred, problem.kernel, Noise("gaussian", None))
        assert contradiction(told, x, (0, 0)) == ""
        assert contradiction(told, *valid(told, x)) == ""
        assert contradiction(told, np.rint(255 * x) / 255, (0, 0)) == ""
        assert contradiction(told, 0.8 * x + 0.1, (0, 0)) == ""  # which other notes tell


def test_cameras_are_heeded():
    x = photograph(channels=3)
    for response in (Response("gamma", 2.2), Response("saturation"), Response("gamma", 2.2, bits=8)):
        problem = measured(x, lopsided(), 0.005, response)
        assert contradiction(problem, x, (0, 0)) == ""


TURNED = {
    "the kernel were turned by 180 degrees": lambda p, x: (with_kernel(p, p.kernel[::-1, ::-1]), x),
    "the kernel's rows were its columns": lambda p, x: (with_kernel(p, p.kernel.T), x),
    "the kernel were upside down": lambda p, x: (with_kernel(p, p.kernel[::-1]), x),
    "the kernel were mirrored left to right": lambda p, x: (with_kernel(p, p.kernel[:, ::-1]), x),
    "the truth were upside down": lambda p, x: (p, x[:, ::-1]),
    "the truth were mirrored left to right": lambda p, x: (p, x[:, :, ::-1]),
    "the truth were turned by 180 degrees": lambda p, x: (p, x[:, ::-1, ::-1]),
    "the truth's channels were in reverse": lambda p, x: (p, x[::-1]),
    "the truth were 2 rows lower and 1 column further left": lambda p, x: (p, np.roll(x, (-2, 1), (1, 2))),
    "the truth were 3 columns further right": lambda p, x: (p, np.roll(x, -3, 2)),
}


def with_kernel(problem, kernel):
    return Problem(problem.blurred, np.ascontiguousarray(kernel), problem.noise)


@pytest.mark.parametrize("words", TURNED)
@pytest.mark.parametrize("sigma", [0.002, 0.01])
def test_what_would_fit_is_named(words, sigma):
    x = photograph(channels=3)
    problem, read = TURNED[words](measured(x, lopsided(), sigma), x)
    told = contradiction(problem, np.ascontiguousarray(read), (0, 0))
    assert f"it would be explained better if {words}" in told
    shown, offset = valid(problem, np.ascontiguousarray(read))
    assert words in contradiction(problem, shown, offset)


@pytest.mark.parametrize("shape", [(7, 12), (10, 7)])
def test_a_kernel_of_which_rows_and_columns_were_swapped_is_named_also_where_it_is_not_square(shape):
    x = photograph(channels=3)
    problem = measured(x, lopsided(*shape), 0.005)
    shown, offset = valid(problem, x)
    assert contradiction(problem, shown, offset) == ""
    swapped = with_kernel(problem, problem.kernel.T)
    _, of_y = valid(swapped, x)
    assert "the kernel's rows were its columns" in contradiction(swapped, shown, of_y)


def test_a_kernel_off_its_middle_is_told_by_where_the_truth_would_have_to_be():
    x = photograph()
    off = np.roll(np.pad(lopsided(), 3), (0, 2), (0, 1))
    problem = measured(x, np.pad(lopsided(), 3), 0.01)
    told = contradiction(with_kernel(problem, off), x, (0, 0))
    assert "2 columns further" in told


def test_a_truth_of_another_scene_is_asked_about():
    problem = measured(photograph(), lopsided(), 0.01)
    assert "are they of one scene?" in contradiction(problem, photograph("chelsea.png"), (0, 0))


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png", "astronaut.png"])
@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("known", [True, False])
def test_another_contrast_is_told_and_smoothness_or_noise_are_none(name, sigma, known):
    x = 0.3 + 0.4 * photograph(name, 3)
    problem = measured(x, lopsided(), sigma)
    told = problem if known else Problem(problem.blurred, problem.kernel, Noise("gaussian", None))
    noisy = x + np.random.default_rng(0).normal(0, 0.1, x.shape)
    rows, columns = problem.valid
    smooth = np.pad(problem.blurred, ((0, 0), (3, 3), (3, 3)), mode="edge")
    for right in (x, noisy, smooth, 0.9 * x + 0.05):
        assert other_contrast(told, right, (0, 0)) == ""
        assert other_contrast(told, right[:, rows, columns], (rows.start, columns.start)) == ""
    assert other_contrast(told, x[:, ::-1], (0, 0)) == other_contrast(told, np.full_like(x, 0.4), (0, 0)) == ""
    mean = x.mean()
    for factor in (0.5, 2.0):
        assert f"{factor:g} times the contrast" in other_contrast(told, mean + factor * (x - mean), (0, 0)) or (
            sigma == 0.05
        )


@pytest.mark.parametrize("sigma", [0.002, 0.01, 0.05])
@pytest.mark.parametrize("known", [True, False])
def test_another_brightness_is_told_where_an_image_explains_the_blurred_one(sigma, known):
    x = 0.2 + 0.5 * photograph("astronaut.png", 3)
    problem = measured(x, lopsided(8, 6), sigma)
    told = problem if known else Problem(problem.blurred, problem.kernel, Noise("gaussian", None))
    cast = np.array([0.0, -0.06, 0.0])[:, None, None]
    for image, said in (
        (x + 0.1, "a mean 0.1 above"),
        (0.85 * x, "below"),
        (x**1.4, "below"),
        (x + cast, "0.06 below"),
    ):
        for part, offset in ((image, (0, 0)), valid(told, image)):
            assert said in other_level(told, part, offset)
    smooth = np.pad(problem.blurred, ((0, 0), (3, 4), (2, 3)), mode="edge")
    for right in (x, smooth, x + 0.01, np.rint(255 * x) / 255, x[:, ::-1] + 0.1, np.full_like(x, 0.9)):
        assert other_level(told, right, (0, 0)) == ""  # right, or no image of the scene


@pytest.mark.parametrize("level", [0.0, 0.4])
def test_a_restoration_of_one_gray_is_not_better_elsewhere(level):
    x = photograph()
    x[:, :, :60] *= 0.3
    problem = measured(x, lopsided())
    assert misread(problem, np.full_like(x, level), (0, 0)) == ""


def test_too_little_to_compare_says_nothing():
    x = photograph()[:, :20, :20]
    assert contradiction(measured(x, lopsided(), 0.01), x[:, ::-1][:, 8:12, 8:12], (8, 8)) == ""
