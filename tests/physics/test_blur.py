"""Blur, adjoint, transfer function and edge taper against their definitions, written out in NumPy and scipy."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d, correlate2d

from nidbench.contract import IDENTITY, Noise, Problem, Response
from nidbench.physics.blur import Operator, circular_convolve, edgetaper, transfer_function

KERNELS = [(1, 1), (5, 5), (4, 6), (5, 8), (1, 7), (6, 1), (13, 3)]
BOTH = pytest.mark.parametrize("channels", [1, 3], ids=["gray", "colour"])
SHAPES = pytest.mark.parametrize("shape", KERNELS, ids=lambda shape: f"{shape[0]}x{shape[1]}")


def kernel_of(shape):
    kernel = np.random.default_rng(1).random(shape)
    return kernel / kernel.sum()


def problem_of(shape, channels=1, response=IDENTITY, size=(20, 23)):
    blurred = np.random.default_rng(2).random((channels, *size)).astype(np.float32)
    return Problem(blurred, kernel_of(shape), Noise("gaussian", 0.05), response)


def random_x(problem, *batch):
    return np.random.default_rng(3).random((*batch, problem.blurred.shape[0], *problem.frame))


def numpy_circular(image, kernel):
    """Return the circular convolution of (H, W), the kernel's origin at index k//2: a sum of shifted images."""
    (kh, kw), out = kernel.shape, np.zeros_like(image)
    for row in range(kh):
        for column in range(kw):
            out += kernel[row, column] * np.roll(image, (row - kh // 2, column - kw // 2), (0, 1))
    return out


def numpy_edgetaper(image, kernel, passes=3):
    """Return the taper as designed, by sums; but along an axis where the kernel is one pixel wide there is none."""
    weights = []
    for axis, length in enumerate(image.shape):
        projection = np.zeros(length - 1)
        projection[: kernel.shape[axis]] = kernel.sum(1 - axis)
        z = [projection @ np.roll(projection, -lag) for lag in range(length - 1)]
        z = np.array([*z, z[0]])
        weights.append(1 - z / z.max() if kernel.shape[axis] > 1 else np.ones(length))
    alpha = weights[0][:, None] * weights[1][None, :]
    for _ in range(passes):
        image = alpha * image + (1 - alpha) * numpy_circular(image, kernel)
    return image


@SHAPES
@BOTH
def test_blur_is_valid_true_convolution(shape, channels):
    problem = problem_of(shape, channels)
    x = random_x(problem)
    expected = np.stack([convolve2d(channel, problem.kernel, mode="valid") for channel in x])
    got = problem.operator().blur(torch.from_numpy(x.astype(np.float32)))
    assert got.shape == problem.blurred.shape
    assert got.dtype == torch.float32
    assert np.allclose(got.numpy(), expected, atol=2e-6)


@SHAPES
def test_blur_takes_batches(shape):
    problem = problem_of(shape, 3)
    x = torch.from_numpy(random_x(problem, 2, 2))
    together = problem.operator().blur(x)
    assert together.shape == (2, 2, *problem.blurred.shape)
    assert torch.allclose(together[1, 0], problem.operator().blur(x[1, 0]))


@SHAPES
@BOTH
def test_adjoint(shape, channels):
    problem = problem_of(shape, channels)
    operator = problem.operator()
    x, y = random_x(problem), problem.blurred.astype(np.float64)
    adjoint = operator.adjoint(torch.from_numpy(y))
    assert (operator.blur(torch.from_numpy(x)).numpy() * y).sum() == pytest.approx((x * adjoint.numpy()).sum())
    expected = np.stack([correlate2d(channel, problem.kernel, mode="full") for channel in y])
    assert np.allclose(adjoint.numpy(), expected, atol=2e-6)


@SHAPES
def test_transfer_function_is_the_kernels_fourier_sum(shape):
    kernel, (height, width) = kernel_of(shape), (15, 18)
    rows, columns = np.arange(shape[0]) - shape[0] // 2, np.arange(shape[1]) - shape[1] // 2
    down = np.exp(-2j * np.pi * np.outer(np.arange(height), rows) / height)
    across = np.exp(-2j * np.pi * np.outer(columns, np.arange(width // 2 + 1)) / width)
    got = transfer_function(torch.from_numpy(kernel), (height, width)).numpy()
    assert np.allclose(got, down @ kernel @ across, atol=1e-12)


@SHAPES
def test_circular_convolution(shape):
    image, kernel = np.random.default_rng(4).random((14, 19)), kernel_of(shape)
    transfer = transfer_function(torch.from_numpy(kernel), image.shape)
    assert np.allclose(circular_convolve(torch.from_numpy(image), transfer), numpy_circular(image, kernel), atol=1e-12)


@SHAPES
def test_delta_at_the_origin_is_the_identity(shape):
    problem = problem_of(shape)
    delta = np.zeros(shape)
    delta[shape[0] // 2, shape[1] // 2] = 1
    problem = Problem(problem.blurred, delta, problem.noise)
    x = random_x(problem)
    operator = problem.operator()
    assert np.allclose(operator.blur(torch.from_numpy(x)), x[:, *problem.valid], atol=1e-6)
    assert np.allclose(operator.transfer, 1, atol=1e-6)


@SHAPES
def test_frame_crop_and_extension_agree(shape):
    problem = problem_of(shape, 3)
    operator = problem.operator()
    assert operator.frame == problem.frame == tuple(n + k - 1 for n, k in zip((20, 23), shape, strict=True))
    x = torch.from_numpy(random_x(problem))
    assert torch.equal(operator.crop(x), x[:, *problem.valid])
    before, after = [(k - 1) // 2 for k in shape], [k // 2 for k in shape]
    padded = np.pad(problem.blurred, ((0, 0), (before[0], after[0]), (before[1], after[1])), mode="edge")
    assert np.array_equal(operator.extend(operator.blurred), padded)
    assert torch.equal(operator.crop(operator.extend(operator.blurred)), operator.blurred)


@SHAPES
@BOTH
def test_tapered_input(shape, channels):
    problem = problem_of(shape, channels)
    before, after = [(k - 1) // 2 for k in shape], [k // 2 for k in shape]
    pad = ((0, 0), (before[0], after[0]), (before[1], after[1]))
    extended = np.pad(problem.blurred.astype(np.float64), pad, mode="edge")
    tapered = problem.operator().tapered
    assert tapered.dtype == torch.float32
    assert tapered.shape == (channels, *problem.frame)
    expected = np.stack([numpy_edgetaper(channel, problem.kernel) for channel in extended])
    assert np.allclose(tapered, expected, atol=1e-6)


def test_kernel_of_one_pixel_is_not_tapered():
    problem = problem_of((1, 1), 3)
    assert np.allclose(problem.operator().tapered, problem.blurred, atol=1e-7)


def test_taper_keeps_constants_and_the_inside_and_closes_the_edge():
    kernel = torch.from_numpy(kernel_of((5, 8)))
    assert torch.allclose(
        edgetaper(torch.full((2, 30, 40), 0.7, dtype=torch.float64), kernel), torch.tensor(0.7).double()
    )
    ramp = torch.linspace(0, 1, 40, dtype=torch.float64).expand(30, 40)
    tapered = edgetaper(ramp, kernel)
    assert torch.allclose(tapered[5:-5, 8:-8], ramp[5:-5, 8:-8], atol=1e-12)
    assert (tapered[15, 0] - tapered[15, -1]).abs() < 0.3  # 1 before
    assert torch.equal(edgetaper(ramp, kernel, passes=0), ramp)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response(), lambda z: z),
        (Response("gamma", 2.2), lambda z: np.maximum(z, 1e-7) ** (1 / 2.2)),
        (Response("saturation"), lambda z: np.minimum(np.maximum(z, 0), 1)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_prediction_applies_the_response(response, expected):
    problem = problem_of((4, 5), 3, response)
    x = 2.4 * random_x(problem) - 0.2
    blurred = np.stack([convolve2d(channel, problem.kernel, mode="valid") for channel in x])
    assert np.allclose(problem.operator().predict(torch.from_numpy(x)), expected(blurred), atol=1e-5)


def test_gradient_of_gamma_is_finite_at_black():
    problem = problem_of((5, 5), response=Response("gamma", 2.2))
    x = torch.zeros(1, *problem.frame, requires_grad=True)
    problem.operator().predict(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_operator_leaves_the_problem_alone():
    problem = problem_of((5, 5))
    before = problem.blurred.copy(), problem.kernel.copy()
    operator = Operator(problem.blurred, problem.kernel, problem.response.apply, "cpu")
    operator.blur(operator.tapered)
    assert np.array_equal(problem.blurred, before[0])
    assert np.array_equal(problem.kernel, before[1])
