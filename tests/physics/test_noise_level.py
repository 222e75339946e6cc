"""The estimator of Chen, Zhu & Heng on noise of known level, and against their algorithm written as loops."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nidbench.physics.noise_level import estimate_noise_level


def scene(channels=1, height=160, width=200):
    """Return a smooth image with a few edges, as blurred photographs are."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = 0.5 + 0.2 * np.sin(rows / 17) * np.cos(columns / 23) + 0.2 * (columns > 90) - 0.1 * (rows > 60)
    return np.stack([image * (1 - 0.1 * channel) for channel in range(channels)])


def noisy(image, sigma, seed=0):
    return image + sigma * np.random.default_rng(seed).standard_normal(image.shape)


def loops(image, side=8, stride=3):
    """Return algorithm 1 of the paper: drop the largest eigenvalue until mean and median of the rest agree."""
    patches = [
        image[:, row : row + side, column : column + side].ravel()
        for row in range(0, image.shape[1] - side + 1, stride)
        for column in range(0, image.shape[2] - side + 1, stride)
    ]
    rest = sorted(np.linalg.svd(np.cov(np.array(patches).T, bias=True), compute_uv=False), reverse=True)
    while rest:
        mean = sum(rest) / len(rest)
        if sum(value > mean for value in rest) == sum(value < mean for value in rest):
            return np.sqrt(mean)
        rest.pop(0)
    return 0.0


@pytest.mark.parametrize("sigma", [0.005, 0.01, 0.03, 0.05, 0.1])
@pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
def test_known_noise(sigma, channels):
    assert estimate_noise_level(noisy(scene(channels), sigma)) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("sigma", [0.001, 0.003])
def test_colour_with_little_noise_and_much_texture(sigma):
    """What all channels share leaves directions that tell the noise, where one channel by itself has none."""
    texture = gaussian_filter(np.random.default_rng(9).standard_normal((128, 128)), 0.8)
    image = np.stack([noisy(0.2 * texture * scale, sigma, seed) for seed, scale in enumerate((1.0, 0.8, 0.5))])
    assert estimate_noise_level(image) == pytest.approx(sigma, rel=0.05)
    alone = [estimate_noise_level(channel[None]) for channel in image]
    assert np.sqrt(np.mean(np.square(alone))) > 1.2 * sigma


def test_the_order_of_channels_does_not_matter():
    image = noisy(scene(3), 0.02)
    assert estimate_noise_level(image[::-1]) == pytest.approx(estimate_noise_level(image), rel=1e-9)


@pytest.mark.parametrize("sigma", [0.01, 0.05])
@pytest.mark.parametrize(
    ("channels", "size", "stride"),
    [(1, (64, 80), 1), (1, (101, 47), 1), (1, (140, 150), 3), (3, (40, 45), 1), (3, (240, 236), 3)],
)
def test_algorithm(channels, size, stride, sigma):
    image = noisy(scene(channels, *size), sigma)
    assert estimate_noise_level(image) == pytest.approx(loops(image, stride=stride), rel=1e-9)


@pytest.mark.parametrize("side", [40, 64, 84, 128, 256])
def test_small_images_are_judged_without_bias(side):
    levels = [estimate_noise_level(noisy(np.full((1, side, side), 0.5), 0.05, seed)) for seed in range(5)]
    assert np.mean(levels) == pytest.approx(0.05, rel=0.06)


def test_scale_and_offset():
    image = noisy(scene(), 0.05)
    assert estimate_noise_level(255 * image + 7) == pytest.approx(255 * estimate_noise_level(image), rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [(40, 50), (5, 5)])
def test_constant_image_has_none(level, size):
    assert estimate_noise_level(np.full((3, *size), level, dtype=np.float32)) == pytest.approx(0, abs=1e-6)


def test_image_smaller_than_a_patch():
    image = noisy(np.zeros((1, 7, 200)), 0.1)
    assert estimate_noise_level(image) == pytest.approx(0.1, rel=0.05)
