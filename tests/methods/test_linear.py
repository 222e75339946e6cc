"""No absolute scale: c y + b with c sigma is c x + b; colour is its channels; less noise no worse; dark and flat y."""

from dataclasses import replace

import numpy as np
import pytest
from nidbench.methods._linear import CONTRAST, Standardised, channels, differences, noise_levels
from scipy.ndimage import gaussian_filter

from nidbench.contract import Noise, Problem, Response, Run
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_method, methods

CLASSICAL = ["wiener", "fid", "tv", "richardson-lucy", "bm3d"]
#: x >= 0 is the prior of Richardson-Lucy, so that an offset is no change of unit for it.
FREE_OF_OFFSETS = ["wiener", "fid", "tv"]


@pytest.fixture(params=CLASSICAL)
def method(request):
    if request.param == "bm3d":
        pytest.importorskip("bm3d", reason="for non-commercial use only, installed by who wants it")
    return load_method(methods(), request.param)()


def scene(channels=1, height=48, width=52, seed=0):
    """A smooth picture with blocks, in [0.05, 0.95]."""
    draw = np.random.default_rng(seed)
    planes = []
    for _ in range(channels):
        x = 0.5 + 0.6 * gaussian_filter(draw.standard_normal((height, width)), 3)
        for _ in range(5):
            top, left = draw.integers(0, height - 10), draw.integers(0, width - 10)
            x[top : top + draw.integers(6, 20), left : left + draw.integers(6, 20)] += draw.uniform(-0.3, 0.3)
        planes.append(x.clip(0.05, 0.95))
    return np.stack(planes)


def skewed(height, width):
    kernel = 1.0 + np.arange(height * width).reshape(height, width) ** 2
    return kernel / kernel.sum()


def scaled(problem, factor, offset=0.0):
    """The same scene in another unit: photons where the noise is Poisson's, so that c y has 1/c of its peak."""
    level = problem.noise.level * factor if problem.noise.kind == "gaussian" else problem.noise.level / factor
    blurred = factor * problem.blurred.astype(np.float64) + offset
    return replace(problem, blurred=blurred.astype(np.float32), noise=Noise(problem.noise.kind, level))


def restored(method, problem):
    return method.restore(problem, Run()).image.astype(np.float64)


def psnr(image, truth, problem):
    rows, columns = problem.valid
    return -10 * np.log10(((image - truth)[:, rows, columns] ** 2).mean())


def assert_same(found, expected, contrast=1.0):
    """Alike but for rounding, which may tip a threshold or a stop here and there."""
    assert abs(found - expected).mean() < 1e-3 * contrast
    assert abs(found - expected).max() < 0.03 * contrast


@pytest.mark.parametrize("frame", [(7, 8), (6, 1), (1, 5)])
def test_differences_are_those_to_the_next_pixel(frame):
    x = np.random.default_rng(0).standard_normal(frame)
    found = [np.fft.irfft2(np.fft.rfft2(x) * each.numpy(), s=frame) for each in differences(frame)]
    np.testing.assert_allclose(found, [np.roll(x, -1, 1) - x, np.roll(x, -1, 0) - x], atol=1e-6)


@pytest.mark.parametrize("name", [each for each in CLASSICAL if each != "bm3d"])  # whose package takes no such frame
def test_one_row_is_an_image(name):
    sharp, kernel = scene()[:, 20:21], skewed(1, 5)
    y = np.convolve(sharp[0, 0], kernel[0], mode="valid")[None, None].astype(np.float32)
    method, noise = load_method(methods(), name)(), Noise("gaussian", 0.01)
    assert abs(restored(method, Problem(y, kernel, noise)) - sharp).mean() < 0.1
    column = restored(method, Problem(np.ascontiguousarray(y.mT), kernel.T, noise))
    assert abs(column - sharp.mT).mean() < 0.1


@pytest.mark.parametrize("noise", ["gaussian:0.02", "gaussian:0.0002", "poisson:200"])
@pytest.mark.parametrize("size", [(5, 5), (4, 6)])
def test_another_unit_gives_the_same_image(method, size, noise):
    problem = measure(scene(), skewed(*size), noise, key="unit")
    expected = restored(method, problem)
    for factor in (10, 0.1, 1e-2, 1e-3, 1e-4, 1e-12):
        assert_same(restored(method, scaled(problem, factor)) / factor, expected)


@pytest.mark.parametrize("name", FREE_OF_OFFSETS)
@pytest.mark.parametrize("offset", [-0.5, 3.0])
def test_an_offset_stays_one(name, offset):
    method = load_method(methods(), name)()
    problem = measure(scene(), skewed(4, 5), "gaussian:0.02", key="offset")
    assert_same(restored(method, scaled(problem, 1.0, offset)) - offset, restored(method, problem))


@pytest.mark.parametrize("noise", ["gaussian:0.02", "poisson:100"])
@pytest.mark.parametrize("response", ["identity", "gamma:2.2"])
def test_colour_is_its_channels(method, noise, response):
    """One of them dark, one of little contrast: each is restored as if it were alone."""
    x = scene(3) * np.array([1.0, 0.05, 0.5])[:, None, None] + np.array([0.0, 0.0, 0.4])[:, None, None]
    problem = measure(x, skewed(4, 5), noise, key="colour", response=Response.parse(response))
    whole = restored(method, problem)
    for plane, together in zip(problem.blurred, whole, strict=True):
        alone = restored(method, replace(problem, blurred=plane[None]))[0]
        assert_same(together, alone, contrast=alone.std())


def test_less_noise_is_no_worse(method):
    """From none at all upwards, and every restoration better than what it was made from."""
    x, found = scene(), []
    for level in (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2):
        problem = measure(x, skewed(6, 5), f"gaussian:{level}", key="less")
        operator = problem.operator()
        found.append(psnr(restored(method, problem), x, problem))
        assert found[-1] > psnr(operator.extend(operator.blurred).numpy(), x, problem) + 1
    assert (np.diff(found) < 0.3).all(), found
    assert found[0] > found[-1] + 3


@pytest.mark.parametrize("brightest", [60, 2000])
def test_photon_counts_in_units_of_a_16_bit_file(method, brightest):
    """Dark scenes: as many photons, rounded, divided by 65535."""
    x, unit = scene(), brightest / 65535
    problem = measure(x, skewed(4, 5), f"poisson:{brightest}", key="photons")
    counts = np.rint(problem.blurred * brightest).clip(0)
    dark = replace(
        problem, blurred=(counts / 65535).astype(np.float32), noise=Noise("gaussian", problem.sigma() * unit)
    )
    image = restored(method, dark) / unit
    assert image.mean() == pytest.approx(x.mean(), rel=0.02)
    assert psnr(image, x, dark) > psnr(restored(method, problem), x, problem) - 0.5


@pytest.mark.parametrize("level", [0.0, 0.4, 1e-20, 1e6])
@pytest.mark.parametrize("sigma", [0.0, 0.02, 1e-20])
def test_a_flat_image_stays_flat(method, level, sigma):
    problem = Problem(np.full((3, 20, 22), level, np.float32), skewed(3, 4), Noise("gaussian", sigma))
    np.testing.assert_allclose(restored(method, problem), level, rtol=1e-4)


@pytest.mark.parametrize("sigma", [0.0, 0.01])
def test_darkness_with_noise_about_zero(method, sigma):
    y = 0.01 * np.random.default_rng(0).standard_normal((1, 30, 32))
    image = restored(method, Problem(y.astype(np.float32), skewed(3, 4), Noise("gaussian", sigma)))
    assert np.isfinite(image).all()
    assert abs(image.mean()) < 0.01
    negative = restored(method, Problem(-abs(y).astype(np.float32), skewed(3, 4), Noise("gaussian", sigma)))
    assert np.isfinite(negative).all()


def test_the_contrast_is_that_without_the_noise():
    noisy = measure(scene(3, 120, 110), skewed(4, 5), "gaussian:0.1", key="contrast")
    clean = measure(scene(3, 120, 110), skewed(4, 5), "gaussian:0", key="contrast")
    expected = 0.1 * CONTRAST / clean.blurred.std((1, 2), dtype=np.float64)
    standard = Standardised.of(noisy)
    np.testing.assert_allclose(standard.sigma.flatten(), expected, rtol=0.1)
    np.testing.assert_allclose(Standardised.of(clean).operator.blurred.std((1, 2), correction=0), CONTRAST, rtol=1e-4)
    np.testing.assert_allclose(standard.restored(standard.operator.blurred), noisy.blurred, atol=1e-6)


def test_dark_channels_have_less_noise_where_it_is_of_photons():
    x = scene(3) * np.array([1.0, 0.25, 0.04])[:, None, None]
    problem = measure(x, skewed(2, 3), "poisson:500", key="photons")
    expected = np.sqrt(problem.blurred.mean((1, 2)) / 500)
    np.testing.assert_allclose(noise_levels(channels(problem)), expected, rtol=1e-5)
    untold = replace(problem, noise=Noise("gaussian", None))
    np.testing.assert_allclose(noise_levels(channels(untold)), untold.estimated_sigma(), rtol=1e-6)
