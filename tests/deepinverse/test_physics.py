"""Measurements as DeepInverse's physics and back; what is read of a physics is tried without the package, too."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from with_deepinverse import WITH_DEEPINVERSE

from nidbench.contract import Noise, Problem, Response
from nidbench.deepinverse.physics import circular_physics_of, physics_of, problems_of
from nidbench.errors import InputError

SIZES = [(1, 1), (7, 7), (6, 3), (2, 5), (4, 4), (13, 1)]


class GaussianNoise(SimpleNamespace):
    pass


class PoissonNoise(SimpleNamespace):
    pass


class LaplaceNoise(SimpleNamespace):
    pass


def problem(size, channels=1, noise=Noise("gaussian", 0.05), height=32, width=25):  # noqa: B008 - frozen
    random = np.random.default_rng(7)
    kernel = random.random(size)
    blurred = random.random((channels, height - size[0] + 1, width - size[1] + 1)).astype(np.float32)
    return Problem(blurred, kernel / kernel.sum(), noise)


def blur(kernels, noise=None, padding="valid"):
    filters = torch.from_numpy(np.asarray(kernels, np.float32))
    return SimpleNamespace(filter=filters, padding=padding, noise_model=noise)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_its_blur_is_that_of_the_measurement(size, channels):
    given = problem(size, channels)
    x = torch.rand(channels, *given.frame)
    found = physics_of(given).A(x[None])[0]
    assert found.shape == given.blurred.shape
    torch.testing.assert_close(found, given.operator().blur(x), atol=2e-6, rtol=0)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_its_adjoint_is_adjoint_to_the_blur_of_the_measurement(size, channels):
    given = problem(size, channels)
    x, y = torch.rand(channels, *given.frame), torch.rand(given.blurred.shape)
    back = physics_of(given).A_adjoint(y[None])[0]
    torch.testing.assert_close(back, given.operator().adjoint(y), atol=2e-6, rtol=0)
    forth = given.operator().blur(x)
    assert float((forth.double() * y).sum()) == pytest.approx(float((x.double() * back).sum()), rel=1e-5)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("size", SIZES)
def test_its_circular_blur_has_the_origin_of_the_transfer_function(size):
    given = problem(size)
    x = torch.rand(1, *given.frame)
    torch.testing.assert_close(
        circular_physics_of(given).A(x[None])[0], given.operator().circular(x), atol=2e-6, rtol=0
    )


@WITH_DEEPINVERSE
def test_its_noise_is_that_of_the_measurement():
    assert float(physics_of(problem((3, 3))).noise_model.sigma) == pytest.approx(0.05)
    assert float(physics_of(problem((3, 3), noise=Noise("poisson", 200))).noise_model.gain) == pytest.approx(1 / 200)
    estimated = problem((3, 3), noise=Noise("gaussian", None))
    assert float(physics_of(estimated).noise_model.sigma) == pytest.approx(estimated.estimated_sigma(), rel=1e-6)
    assert type(physics_of(problem((3, 3), noise=Noise("poisson", None))).noise_model).__name__ == "ZeroNoise"


def test_a_curved_response_is_refused_before_the_package_is_wanted():
    curved = Problem(
        np.ones((1, 8, 8), np.float32), np.ones((1, 1)), Noise("gaussian", 0.1), Response.parse("gamma:2.2")
    )
    with pytest.raises(InputError, match=r"gamma:2.2.*undo the response"):
        physics_of(curved)


@WITH_DEEPINVERSE
@pytest.mark.parametrize("noise", [Noise("gaussian", 0.05), Noise("poisson", 128)])
def test_there_and_back_is_the_same_measurement(noise):
    given = problem((5, 2), 3, noise)
    (found,) = problems_of(torch.from_numpy(given.blurred)[None], physics_of(given))
    np.testing.assert_array_equal(found.blurred, given.blurred)
    np.testing.assert_allclose(found.kernel, given.kernel, rtol=1e-6)
    assert found.noise.kind == noise.kind
    assert found.noise.level == pytest.approx(noise.level, rel=1e-6)


def test_each_image_of_a_batch_has_its_kernel_and_its_noise_level():
    y = torch.rand(2, 3, 9, 8)
    kernels = np.stack([np.full((1, 2, 3), 1 / 6), np.eye(2, 3)[None] / 2])
    first, second = problems_of(y, blur(kernels, GaussianNoise(sigma=torch.tensor([0.01, 0.2]))))
    np.testing.assert_array_equal(second.blurred, y[1].numpy())
    np.testing.assert_allclose(first.kernel, 1 / 6, rtol=1e-6)
    np.testing.assert_allclose(second.kernel, np.eye(2, 3) / 2, rtol=1e-6)
    assert (first.noise.level, second.noise.level) == pytest.approx((0.01, 0.2))


@pytest.mark.parametrize(
    ("model", "noise"),
    [
        (PoissonNoise(gain=torch.tensor([0.01]), normalize=torch.tensor(True)), Noise("poisson", 100.0)),
        (PoissonNoise(gain=torch.tensor([0.01]), normalize=torch.tensor(False)), Noise("poisson", None)),
        (GaussianNoise(sigma=0.25), Noise("gaussian", 0.25)),
        (LaplaceNoise(b=0.1), Noise("gaussian", None)),
        (None, Noise("gaussian", None)),
    ],
)
def test_noise_that_is_not_known_is_of_unknown_level(model, noise):
    (found,) = problems_of(torch.rand(1, 1, 6, 6), blur(np.ones((1, 1, 1, 1)), model))
    assert found.noise.kind == noise.kind
    assert found.noise.level == (None if noise.level is None else pytest.approx(noise.level, rel=1e-6))


@pytest.mark.parametrize(
    ("shape", "physics", "said"),
    [
        ((1, 2, 6, 6), blur(np.ones((1, 1, 1, 1))), r"y has shape \(1, 2, 6, 6\)"),
        ((1, 6, 6), blur(np.ones((1, 1, 1, 1))), r"give \(B, C, h, w\)"),
        ((1, 1, 6, 6), blur(np.ones((1, 1, 1, 1)), padding="circular"), "padding 'circular'.*valid"),
        ((1, 1, 6, 6), SimpleNamespace(), "physics is SimpleNamespace"),
        ((1, 1, 6, 6), blur(np.ones((2, 1, 1, 1))), r"\(2, 1, 1, 1\) for 1 images"),
        ((1, 3, 6, 6), blur(np.ones((1, 3, 1, 1))), r"give \(1, 1, kh, kw\)"),
        ((1, 1, 6, 6), blur(np.ones((1, 1, 2, 2))), "sums to 4"),
        ((1, 1, 6, 6), blur(np.ones((1, 1, 1, 1)), GaussianNoise(sigma=-0.1)), "not below 0"),
        ((1, 1, 6, 6), blur(np.ones((1, 1, 1, 1)), GaussianNoise(sigma=torch.ones(2))), "for each of 1 images"),
    ],
)
def test_what_is_no_valid_blur_of_gray_or_colour_is_refused_in_words(shape, physics, said):
    with pytest.raises(InputError, match=said):
        problems_of(torch.rand(shape), physics)
