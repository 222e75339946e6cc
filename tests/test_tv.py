"""TV: its limit against a primal-dual solver, its first step against a dense system, its place on shipped data."""

import numpy as np
import pytest
import torch
from nidbench.methods.tv import TV
from nidbench.methods.wiener import Wiener
from skimage.restoration import denoise_tv_chambolle

from nidbench.contract import Clock, Problem, Response, Run, Truth, check_restored
from nidbench.degrade import measure
from nidbench.errors import InputError
from nidbench.metrics import DEFAULT
from nidbench.registry import load_dataset, load_kernels

SIZES = [(5, 5), (4, 6), (3, 7)]
LEVEL = 0.03
WEIGHT = 0.6 * LEVEL ** (4 / 3)


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


def cost(x, y, transfer, weight):
    residual = np.fft.ifft2(np.fft.fft2(x) * transfer).real - y
    return 0.5 * (residual**2).sum() + weight * np.sqrt((gradient(x) ** 2).sum(0)).sum()


def primal_dual(y, transfer, weight, iterations=1000):
    """Chambolle and Pock (2011), the data term by its proximal map."""
    x = mean = y.copy()
    p = np.zeros((2, *y.shape))
    tau, sigma = 2.0, 1 / 16  # tau sigma |gradient|^2 <= 1
    for _ in range(iterations):
        p = p + sigma * gradient(mean)
        p /= np.maximum(1, np.sqrt((p**2).sum(0)) / weight)
        old, target = x, x + tau * divergence(p)
        data = tau * transfer.conj() * np.fft.fft2(y) + np.fft.fft2(target)
        x = np.fft.ifft2(data / (tau * abs(transfer) ** 2 + 1)).real
        mean = 2 * x - old
    return x


def test_the_solver_it_is_compared_with_knows_its_gradient():
    rng = np.random.default_rng(0)
    x, p = rng.random((7, 6)), rng.random((2, 7, 6))
    assert (gradient(x) * p).sum() == pytest.approx(-(x * divergence(p)).sum())


@pytest.mark.parametrize("size", SIZES)
def test_reaches_the_minimum(size):
    problem = measured(size)
    y, transfer = problem.operator().tapered[0].double().numpy(), spectrum(problem)
    expected = primal_dual(y, transfer, WEIGHT)
    found = TV(iterations=60, inner=100).restore(problem, Run()).image[0].astype(np.float64)
    assert np.abs(found - expected).max() < 0.01
    assert cost(found, y, transfer, WEIGHT) < 1.002 * cost(expected, y, transfer, WEIGHT)
    default = TV().restore(problem, Run()).image[0].astype(np.float64)
    assert cost(default, y, transfer, WEIGHT) < 1.05 * cost(expected, y, transfer, WEIGHT)
    assert cost(y, y, transfer, WEIGHT) > 1.1 * cost(expected, y, transfer, WEIGHT)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_with_next_to_no_prior_the_first_step_is_the_regularised_inverse(channels, size):
    """The prior's weight fades while rho = weight / split stays: Tikhonov's inverse that pulls towards y."""
    problem, rho = measured(size, channels), 0.07
    tiny = 1e-6
    method = TV(weight=tiny / LEVEL ** (4 / 3), split=tiny / rho, iterations=1)
    restored = check_restored(method.restore(problem, Run()), problem)
    y, transfer = np.fft.fft2(problem.operator().tapered.double().numpy()), spectrum(problem)
    expected = np.fft.ifft2((transfer.conj() + rho) * y / (abs(transfer) ** 2 + rho)).real
    np.testing.assert_allclose(restored.image, expected, atol=2e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_without_blur_is_chambolles_denoising(channels):
    problem = measured((1, 1), channels)
    expected = denoise_tv_chambolle(
        problem.blurred.astype(np.float64), weight=WEIGHT, eps=1e-8, max_num_iter=1000, channel_axis=0
    )
    found = TV(iterations=60, inner=100).restore(problem, Run()).image
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(problem.blurred - expected).max() > 0.015


def test_the_split_changes_the_way_but_not_the_place():
    problem = measured((4, 5))
    found = [TV(split=split, iterations=60, inner=100).restore(problem, Run()).image for split in (0.03, 0.1)]
    assert np.abs(found[0] - found[1]).max() < 0.01


@pytest.mark.parametrize("level", [0.01, 0.03, 0.05])
def test_beats_the_wiener_filter_on_shipped_data(level):
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    problem = measure(sharp, kernel, f"gaussian:{level}", key="order")
    scores = [
        DEFAULT.score(method.restore(problem, Run()).image, problem, Truth(sharp)).psnr for method in (TV(), Wiener())
    ]
    assert scores[0] > scores[1] + 0.5


def test_the_weight_follows_the_noise_level():
    sharp = scene()
    noisy = [
        TV(iterations=1).restore(measure(sharp, skewed(3, 3), f"gaussian:{s}", key="w"), Run()) for s in (0.01, 0.08)
    ]
    assert noisy[1].details["weight"] == pytest.approx(16 * noisy[0].details["weight"])
    none = TV(iterations=1).restore(measure(sharp, skewed(3, 3), "gaussian:0", key="w"), Run())
    assert none.details["weight"] == pytest.approx(0.6e-4)


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


def test_computes_on_the_cpu_wherever_the_run_is():
    problem = measured((3, 3))
    elsewhere = TV(iterations=2).restore(problem, Run(device="meta")).image
    np.testing.assert_array_equal(elsewhere, TV(iterations=2).restore(problem, Run()).image)
    assert torch.from_numpy(elsewhere).device.type == "cpu"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weight": 0.0}, "weight=0"),
        ({"split": -1.0}, "split=-1"),
        ({"iterations": 0}, "iterations=0"),
        ({"inner": 0}, "inner=0"),
    ],
)
def test_refuses_settings_that_mean_nothing(settings, words):
    with pytest.raises(InputError, match=words):
        TV(**settings)
