"""TV: its limit against another solver with a border cut off, its first step in NumPy, its place on shipped data."""

import numpy as np
import pytest
import torch
from nidbench.methods.tv import EAGERNESS, EXPONENT, TV, shrink
from nidbench.methods.wiener import Wiener
from skimage.restoration import denoise_tv_chambolle

from nidbench.contract import Clock, Problem, Response, Run, Truth, check_restored
from nidbench.errors import InputError
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.scoring.protocols import DEFAULT

SIZES = [(5, 5), (4, 6), (3, 7)]
LEVEL = 0.03


def skewed(height, width):
    kernel = 1.0 + np.arange(height * width).reshape(height, width) ** 2
    return kernel / kernel.sum()


def scene(channels=1, height=30, width=25):
    row, column = np.mgrid[:height, :width]
    disc = (row - 14) ** 2 + (column - 11) ** 2 < 50
    return np.stack([0.2 + 0.5 * disc + 0.1 * (column > 12) + 0.05 * c for c in range(channels)])


def measured(size, channels=1, **options):
    return measure(scene(channels), skewed(*size), f"gaussian:{LEVEL}", key="tv", **options)


def spectrum(problem):
    """The kernel's transfer function on the frame of x, its origin at k//2."""
    padded = np.zeros(problem.frame)
    padded[: problem.kernel.shape[0], : problem.kernel.shape[1]] = problem.kernel
    return np.fft.fft2(np.roll(padded, [-(size // 2) for size in problem.kernel.shape], (0, 1)))


def gradient(x):
    """Forward differences, 0 beyond the border."""
    return np.stack([np.diff(x, axis=0, append=x[-1:]), np.diff(x, axis=1, append=x[:, -1:])])


def divergence(p):
    """The negative adjoint of `gradient`."""
    down, across = p[0].copy(), p[1].copy()
    down[-1], across[:, -1] = 0, 0
    return np.diff(down, axis=0, prepend=0) + np.diff(across, axis=1, prepend=0)


def standard(problem):
    """y about 0 at a contrast of 0.2 without the noise, what to multiply and add to undo that, and the weights."""
    y = problem.blurred.astype(np.float64)
    unit = np.sqrt(y.var((1, 2), keepdims=True) - LEVEL**2) / 0.2
    mean = y.mean((1, 2), keepdims=True)
    return (y - mean) / unit, unit, mean, TV().weight * (LEVEL / unit) ** EXPONENT


def blurring(problem):
    """The valid blur of (H, W) images, and its adjoint."""
    transfer, valid = spectrum(problem), problem.valid

    def blur(x):
        return np.fft.ifft2(np.fft.fft2(x) * transfer).real[valid]

    def adjoint(y):
        padded = np.zeros(problem.frame)
        padded[valid] = y
        return np.fft.ifft2(np.fft.fft2(padded) * transfer.conj()).real

    return blur, adjoint


def cost(x, y, blur, weight):
    return 0.5 * ((blur(x) - y) ** 2).sum() + weight * np.sqrt((gradient(x) ** 2).sum(0)).sum()


def primal_dual(y, blur, adjoint, weight, iterations=4000):
    """Condat (2013) and Vu (2013): the data term by its gradient, which knows of no split."""
    x = mean = adjoint(y)
    p = np.zeros((2, *x.shape))
    tau, sigma = 1.0, 1 / 16  # 1 / tau - 8 sigma >= 1/2
    for _ in range(iterations):
        p = p + sigma * gradient(mean)
        p /= np.maximum(1, np.sqrt((p**2).sum(0)) / weight)
        old = x
        x = x - tau * (adjoint(blur(x) - y) - divergence(p))
        mean = 2 * x - old
    return x


def test_the_solver_it_is_compared_with_knows_its_gradient():
    rng = np.random.default_rng(0)
    x, p = rng.random((7, 6)), rng.random((2, 7, 6))
    assert (gradient(x) * p).sum() == pytest.approx(-(x * divergence(p)).sum())


@pytest.mark.parametrize("size", SIZES)
def test_reaches_the_minimum(size):
    problem = measured(size)
    (y,), (unit,), (mean,), (weight,) = standard(problem)
    blur, adjoint = blurring(problem)
    expected = primal_dual(y, blur, adjoint, weight)
    least = cost(expected, y, blur, weight)
    for iterations, slack in ((100, 1.02), (1000, 1.002)):
        found = (TV(iterations=iterations).restore(problem, Run()).image[0].astype(np.float64) - mean) / unit
        assert cost(found, y, blur, weight) < slack * least
    assert np.abs((found - expected)[problem.valid]).max() < 0.05
    extended = (problem.operator().tapered[0].double().numpy() - mean) / unit
    assert cost(extended, y, blur, weight) > 1.1 * least


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_iterate_is_the_formula(channels, size):
    problem = measured(size, channels)
    restored = check_restored(TV(iterations=1).restore(problem, Run()), problem)
    y, unit, mean, weights = standard(problem)
    transfer, (height, width) = spectrum(problem), problem.frame
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    steps = [np.exp(2j * np.pi * each) - 1 + 0 * transfer for each in (across, down)]
    split = TV().split
    for channel, (seen, weight) in enumerate(zip(y, weights.flatten(), strict=True)):
        x = (problem.operator().tapered[channel].double().numpy() - mean[channel]) / unit[channel]
        mu = EAGERNESS * weight / split
        z = blurred = np.fft.ifft2(np.fft.fft2(x) * transfer).real
        z = z.copy()
        z[problem.valid] = (seen + mu * blurred[problem.valid]) / (1 + mu)
        wrapped = np.stack([np.roll(x, -1, 1) - x, np.roll(x, -1, 0) - x])
        inside = gradient(x)[::-1]  # 0 where a difference would wrap
        length = np.sqrt((inside**2).sum(0))
        short = inside * np.maximum(0, 1 - split / np.maximum(length, split))
        v = np.where(inside == wrapped, short, wrapped)
        pull = sum(
            step.conj() * np.fft.fft2(2 * each - whole) for step, each, whole in zip(steps, v, wrapped, strict=True)
        )
        numerator = EAGERNESS * transfer.conj() * np.fft.fft2(2 * z - blurred) + pull
        power = EAGERNESS * abs(transfer) ** 2 + sum(abs(step) ** 2 for step in steps)
        expected = mean[channel] + unit[channel] * np.fft.ifft2(numerator / power).real
        np.testing.assert_allclose(restored.image[channel], expected, atol=2e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_without_blur_is_chambolles_denoising(channels):
    problem = measured((1, 1), channels)
    y, unit, mean, weights = standard(problem)
    expected = np.stack(
        [
            denoise_tv_chambolle(plane, weight=weight, eps=1e-8, max_num_iter=1000)
            for plane, weight in zip(y, weights.flatten(), strict=True)
        ]
    )
    found = TV(iterations=200).restore(problem, Run()).image
    np.testing.assert_allclose(found, mean + unit * expected, atol=2e-3)
    assert np.abs(found - problem.blurred).max() > 0.008


def test_the_split_changes_the_way_but_not_the_place():
    problem = measured((4, 5))
    found = [TV(split=split, iterations=400).restore(problem, Run()).image for split in (0.03, 0.1)]
    assert np.abs(found[0] - found[1])[:, 3:-3, 3:-3].max() < 0.01


def test_shrinking_shortens_vectors():
    vectors = np.random.default_rng(0).standard_normal((2, 5, 7))
    found = shrink(torch.from_numpy(vectors), 0.5).numpy()
    before, after = (np.hypot(*each) for each in (vectors, found))
    np.testing.assert_allclose(after, np.maximum(before - 0.5, 0), atol=1e-12)
    np.testing.assert_allclose(found[0] * vectors[1], found[1] * vectors[0], atol=1e-12)
    assert not shrink(torch.zeros(2, 3), 0.5).any()


def test_what_is_beyond_the_border_does_not_matter():
    """A bright neighbour just out of sight: tapering would draw it in, an unknown border does not."""
    wide = np.pad(scene(1, 60, 55), ((0, 0), (0, 0), (0, 40)), constant_values=1.0)
    kernel = np.full((1, 9), 1 / 9)
    problem = measure(wide[:, :, :60], kernel, "gaussian:0.001", key="border")
    errors = [
        ((method.restore(problem, Run()).image - wide[:, :, :60])[:, :, 8:-8] ** 2).mean()
        for method in (TV(), Wiener())
    ]
    assert errors[0] < 0.25 * errors[1]


@pytest.mark.parametrize("level", [0.01, 0.03, 0.05])
def test_beats_the_wiener_filter_on_shipped_data(level):
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    problem = measure(sharp, kernel, f"gaussian:{level}", key="order")
    scores = [
        DEFAULT.score(method.restore(problem, Run()).image, problem, Truth(sharp)).psnr for method in (TV(), Wiener())
    ]
    assert scores[0] > scores[1] + 0.5


def test_the_weight_follows_the_noise_level():
    noisy = [
        TV(iterations=1).restore(measure(scene(3), skewed(3, 3), f"gaussian:{s}", key="w"), Run()).details["weight"]
        for s in (0.001, 0.008)
    ]
    np.testing.assert_allclose(noisy[1], 8**EXPONENT * np.array(noisy[0]), rtol=0.02)


def test_shows_every_iterate_that_is_due():
    problem, seen = measured((3, 4)), []
    TV(iterations=5).restore(problem, Run(clock=Clock(2), on_observe=lambda i, _, image: seen.append((i, image))))
    assert [i for i, _ in seen] == [2, 4, 5]
    np.testing.assert_array_equal(seen[1][1], TV(iterations=4).restore(problem, Run()).image)


def test_the_last_iterate_is_shown_once():
    problem, seen = measured((3, 4)), []
    TV(iterations=4).restore(problem, Run(clock=Clock(2), on_observe=lambda i, *_: seen.append(i)))
    assert seen == [2, 4]


def test_undoes_a_gamma_response():
    bent = measured((4, 5), response=Response.parse("gamma:2.2"))
    images = [TV().restore(each, Run()).image for each in (bent, Problem(bent.blurred, bent.kernel, bent.noise))]
    errors = [((image - scene())[0, 3:-3, 3:-3] ** 2).mean() for image in images]
    assert errors[0] < 0.2 * errors[1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weight": 0.0}, "weight=0"),
        ({"split": -1.0}, "split=-1"),
        ({"iterations": 0}, "iterations=0"),
    ],
)
def test_refuses_settings_that_mean_nothing(settings, words):
    with pytest.raises(InputError, match=words):
        TV(**settings)
