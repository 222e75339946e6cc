"""Scores against closed forms and an SSIM written out, and the protocols' crops against slices typed by hand."""

import numpy as np
import pytest
from scipy.signal import convolve2d

from nidbench.contract import IDENTITY, Noise, Problem, Response, Truth
from nidbench.errors import InputError, UnknownNameError
from nidbench.metrics import PROTOCOLS, protocol, psnr, ssim, to_8_bit


def random_image(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def problem_of(kernel_shape, size=(40, 50), channels=1, response=IDENTITY):
    blurred = random_image(channels, *size, seed=5).astype(np.float32)
    kernel = np.full(kernel_shape, 1 / (kernel_shape[0] * kernel_shape[1]))
    return Problem(blurred, kernel, Noise("gaussian", 0.05), response)


def numpy_ssim(one, other, peak=1.0):
    """Return the mean SSIM as Wang et al. 2004 define it: 'valid' windows, population covariance."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2

    def mean(image):
        return convolve2d(image, window, mode="valid")

    values = []
    for x, y in zip(one, other, strict=True):
        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        values.append(((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())
    return np.mean(values)


def numpy_psnr(one, other):
    return -10 * np.log10(((one - other) ** 2).sum() / one.size)


@pytest.mark.parametrize("offset", [0.1, 0.01, 0.5])
def test_psnr_of_a_constant_error(offset):
    truth = random_image(3, 12, 14) * 0.4
    assert psnr(truth + offset, truth) == pytest.approx(-20 * np.log10(offset))
    assert psnr(255 * (truth + offset), 255 * truth, data_range=255) == pytest.approx(-20 * np.log10(offset))


def test_psnr_takes_the_squared_error_over_all_channels():
    truth = np.zeros((3, 12, 12))
    restored = truth.copy()
    restored[0] = 0.3
    assert psnr(restored, truth) == pytest.approx(-10 * np.log10(0.09 / 3))


def test_psnr_of_equal_images_is_infinite():
    assert psnr(random_image(1, 12, 12), random_image(1, 12, 12)) == float("inf")


def test_psnr_of_other_types():
    one, other = random_image(1, 20, 20), random_image(1, 20, 20, seed=1)
    assert psnr(one.astype(np.float16), other) == pytest.approx(numpy_psnr(one, other), abs=0.01)
    assert psnr(np.full((1, 4, 4), 1, np.uint8), np.full((1, 4, 4), 2, np.uint8)) == 0  # unsigned does not wrap


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
@pytest.mark.parametrize("size", [(11, 11), (11, 30), (32, 27)])
def test_ssim(channels, size):
    truth = random_image(channels, *size)
    restored = 0.8 * truth + 0.2 * random_image(channels, *size, seed=1)
    assert ssim(restored, truth) == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)
    assert ssim(255 * restored, 255 * truth, data_range=255) == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)
    assert ssim(truth, truth) == pytest.approx(1)


def test_ssim_of_constants():
    dark, light = np.full((1, 16, 16), 0.2), np.full((1, 16, 16), 0.6)
    assert ssim(dark, light) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4))


@pytest.mark.parametrize("shapes", [((1, 12, 12), (1, 12, 13)), ((1, 12, 12), (3, 12, 12))])
def test_shapes_must_agree(shapes):
    for metric in (psnr, ssim):
        with pytest.raises(InputError, match=r"\(1, 12, 12\)"):
            metric(random_image(*shapes[0]), random_image(*shapes[1]))


@pytest.mark.parametrize("shape", [(1, 10, 30), (30, 30)])
def test_ssim_needs_a_window(shape):
    with pytest.raises(InputError, match="at least 11x11"):
        ssim(random_image(*shape), random_image(*shape))


def test_eight_bit():
    image = np.array([-0.3, 0.0, 0.0019, 0.002, 0.5, 0.998, 1.0, 1.7])
    assert np.array_equal(to_8_bit(image) * 255, [0, 0, 0, 1, 128, 254, 255, 255])
    assert to_8_bit(image.astype(np.float32)).dtype == np.float64


# half-kernel: (k-1)//2 before and k//2 after, by hand
HALVES = {(5, 5): (2, 2, 2, 2), (4, 6): (1, 2, 2, 3), (7, 4): (3, 3, 1, 2), (1, 1): (0, 0, 0, 0), (1, 8): (0, 0, 3, 4)}


def stored(image):
    """Return what an 8-bit file would hold, by another way."""
    return np.clip(np.floor(image * 255 + 0.5), 0, 255) / 255


def check_score(score, restored, truth):
    assert score.psnr == pytest.approx(numpy_psnr(restored, truth), abs=1e-9)
    assert score.ssim == pytest.approx(numpy_ssim(restored, truth), abs=1e-9)


@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_half_kernel(shape, channels):
    problem = problem_of(shape, channels=channels)
    top, bottom, left, right = HALVES[shape]
    height, width = problem.frame
    restored = 1.4 * random_image(channels, height, width) - 0.2
    truth = random_image(channels, height, width, seed=1)
    inside = (slice(None), slice(top, height - bottom), slice(left, width - right))
    assert restored[inside].shape == problem.blurred.shape
    check_score(protocol("half-kernel").score(restored, problem, Truth(truth)), stored(restored[inside]), truth[inside])


@pytest.mark.parametrize("shape", HALVES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
@pytest.mark.parametrize("name", ["half-kernel", "uncropped"])
def test_truth_of_the_measurements_size(shape, name):
    problem = problem_of(shape, channels=3)
    top, bottom, left, right = HALVES[shape]
    height, width = problem.frame
    restored, truth = random_image(3, height, width), random_image(*problem.blurred.shape, seed=1)
    score = protocol(name).score(restored, problem, Truth(truth, offset=(top, left)))
    check_score(score, stored(restored[:, top : height - bottom, left : width - right]), truth)


def test_truth_that_covers_a_part():
    problem = problem_of((5, 5))  # frame 44x54, valid rows 2..42, columns 2..52
    restored, truth = random_image(1, 44, 54), random_image(1, 20, 30, seed=1)
    score = protocol("half-kernel").score(restored, problem, Truth(truth, offset=(-3, 30)))
    check_score(score, stored(restored[:, 2:17, 30:52]), truth[:, 5:20, 0:22])


def test_truth_larger_than_the_frame():
    problem = problem_of((5, 4))  # frame 44x53
    restored, truth = random_image(1, 44, 53), random_image(1, 60, 70, seed=1)
    check_score(
        protocol("uncropped").score(restored, problem, Truth(truth, offset=(-6, -8))),
        stored(restored),
        truth[:, 6:50, 8:61],
    )


def test_cut_30_and_uncropped():
    problem = problem_of((5, 4), size=(80, 90))  # frame 84x93
    restored, truth = random_image(1, 84, 93), random_image(1, 84, 93, seed=1)
    cut = protocol("cut-30").score(restored, problem, Truth(truth))
    check_score(cut, stored(restored[:, 30:54, 30:63]), truth[:, 30:54, 30:63])
    check_score(protocol("uncropped").score(restored, problem, Truth(truth)), stored(restored), truth)


def test_nothing_left_to_compare():
    problem = problem_of((5, 5))
    restored = random_image(1, *problem.frame)
    with pytest.raises(InputError, match="cut-30 leaves 0 pixels of 44: 11 are needed"):
        protocol("cut-30").score(restored, problem, Truth(restored))
    with pytest.raises(InputError, match="half-kernel leaves 4 pixels"):
        protocol("half-kernel").score(restored, problem, Truth(restored, offset=(38, 0)))
    with pytest.raises(InputError, match="uncropped leaves 0 pixels"):
        protocol("uncropped").score(restored, problem, Truth(restored, offset=(0, 500)))


def test_response_is_applied_where_the_truth_is_encoded():
    problem = problem_of((5, 5), response=Response("gamma", 2.2))
    restored, truth = 1.2 * random_image(1, *problem.frame) - 0.1, random_image(1, *problem.frame, seed=1)
    inside = (slice(None), slice(2, -2), slice(2, -2))
    linear = protocol("half-kernel").score(restored, problem, Truth(truth))
    check_score(linear, stored(restored[inside]), truth[inside])
    encoded = protocol("half-kernel").score(restored, problem, Truth(truth, encoded=True))
    check_score(encoded, stored(np.maximum(restored, 0) ** (1 / 2.2))[inside], truth[inside])


def test_score_of_the_truth_is_perfect():
    problem = problem_of((5, 5))
    truth = to_8_bit(random_image(1, *problem.frame))
    score = protocol("half-kernel").score(truth.astype(np.float32), problem, Truth(truth))
    assert score.psnr == float("inf")
    assert score.ssim == pytest.approx(1)


def test_unknown_protocol_lists_those_there_are():
    with pytest.raises(UnknownNameError) as caught:
        protocol("half")
    for name in ("'half'", *PROTOCOLS):
        assert name in str(caught.value)
