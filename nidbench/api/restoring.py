"""One image: blurred, restored and scored from Python, without a sweep and without files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nidbench.cases.kernels import check_reach
from nidbench.contract.global_state import generators_kept, seed_generators
from nidbench.contract.method import Method
from nidbench.contract.restored import check_restored
from nidbench.contract.run import Run
from nidbench.contract.truth import Truth
from nidbench.errors import InputError
from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.case_key import CaseKey
from nidbench.physics.noise import Noise, NoiseSpec, noise_of_measurement
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response

from .given import (
    check_related,
    check_restored_scale,
    check_scale,
    kernel_of,
    method_of,
    text_of,
    warn_of_darkness,
    warn_of_kernel,
    warn_of_misreading,
    whole_number,
)
from .layout import channels_first

if TYPE_CHECKING:
    from nidbench.scoring.score import Score

Frame = Literal["y", "full", "x"]


def restore(
    method: str | Method,
    blurred: NDArray[Any],
    kernel: NDArray[Any],
    *,
    noise: str | None = None,
    response: str = "identity",
    frame: Frame = "y",
    seed: int = 0,
    device: str = "cpu",
    precision: str = "float32",
) -> NDArray[np.float32]:
    """Return the restoration of one blurred image.

    The method runs in this process. The global random generators are as before afterwards.

    Args:
        method: as on the command line, `tv` or `ours@fast[iterations=500]`, or a method of your own.
        blurred: y, Shape (H, W), (C, H, W) or (H, W, C) with C = 1 or 3, floats, nominally in [0, 1].
        kernel: k, Shape (kh, kw), for true convolution, with a positive sum, which is brought to 1.
        noise: what is known of the noise: `gaussian:SIGMA` (standard deviation on [0, 1]), `poisson:PEAK` (photon count
            of intensity 1), `gaussian` or `poisson` where the level is unknown; None for Gaussian of unknown level.
        response: of the camera: `identity`, `gamma:2.2` or `saturation`.
        frame: `y` for a result of the size of `blurred`; `full`, or `x`, for all that it shows in part, k-1 pixels more
            on each axis.
        seed: method seed.
        device: torch device, `cpu` or `cuda:N`.
        precision: `float32` or, on a device that has it, `bf16`, for methods that can use it.

    Returns:
        x, float32, linear (before the response), nominally in [0, 1] and not clipped, in the layout of `blurred`.

    Raises:
        InputError: where an array, the noise or the frame breaks a rule.
        UnknownNameError: for an unknown method.
        UnstableError: where the restoration is not finite.

    Warns:
        UserWarning: of a kernel that is used as it is and may be none: on a background, negative in places, wrapped
            around its corners, off its middle.
    """
    if frame not in ("y", "full", "x"):
        raise InputError(f"frame {frame!r}: use y for the size of the blurred image, or full for all that it shows")
    if precision not in ("float32", "bf16"):
        raise InputError(f"precision {precision!r}: use float32 or bf16")
    image, layout = channels_first("blurred", blurred)
    known, camera = (
        noise_of_measurement("gaussian" if noise is None else text_of("noise", noise, "gaussian:0.01")),
        Response.parse(text_of("response", response, "identity")),
    )
    problem = Problem(image.astype(np.float32), kernel_of(kernel), known, camera)
    check_scale(problem.blurred, known)
    check_reach(problem.kernel, problem.blurred.shape[1:])
    warn_of_kernel(problem.kernel)
    chosen = method_of(method)
    place = _device(device, precision)
    run = Run(whole_number("seed", seed), device=place, precision=precision)
    with generators_kept():
        seed_generators(run.seed("global"))
        restored = check_restored(chosen.restore(chosen.info.given(problem), run), problem)
    shown = restored.image[:, *problem.valid] if frame == "y" else restored.image
    return layout.back(shown)


def _device(device: str, precision: str) -> str:
    """Return a torch device that is here and has a precision.

    Raises:
        InputError: where it is not, or has not.
    """
    from nidbench.compute.same_process import SameProcess
    from nidbench.sweep.choices import check_precision
    from nidbench.sweep.plan import choose_device

    if (device, precision) == ("cpu", "float32"):
        return device
    hello = SameProcess().hello()
    place = choose_device(device, hello)
    check_precision(precision, place, hello)
    return place


def measure(
    sharp: NDArray[Any],
    kernel: NDArray[Any],
    noise: str = "gaussian:0.01",
    *,
    noise_seed: int = 0,
    response: str = "identity",
    declared: str = "known",
) -> Problem:
    """Return a blurred, noisy measurement of a sharp image: y = g(k * x) + n.

    The blur is a valid true convolution: y lacks (k-1)//2 pixels before and k//2 after on each axis.

    Args:
        sharp: Shape (H, W), (C, H, W) or (H, W, C) with C = 1 or 3, floats in [0, 1], as the camera shows it.
        kernel: k, Shape (kh, kw), with a positive sum, which is brought to 1.
        noise: `gaussian:SIGMA`, `poisson:PEAK` or `bsnr:DB`.
        noise_seed: which draw of the noise; the same bytes for the same image, kernel, noise and seed.
        response: of the camera: `identity`, `gamma:2.2`, `saturation:1.5`, each with `:8bit` after it to round y.
        declared: what methods know of the noise level: `known`, `estimated` or a factor such as `x1.2`.

    Returns:
        The problem that a method solves; `blurred` is y, Shape (C, h, w), float32.

    Raises:
        InputError: where image, kernel or noise break a rule, or the image is too small for the kernel.

    Warns:
        UserWarning: of a sharp image up to 0.25 at most, as of 12-bit values divided by 65535.
    """
    from nidbench.physics.arrays import array_hash
    from nidbench.physics.measure import measure as measure_case

    image, _ = channels_first("sharp", sharp)
    unit, camera = kernel_of(kernel), Response.parse(text_of("response", response, "identity"))
    noise = str(NoiseSpec.parse(text_of("noise", noise, "gaussian:0.01")))
    warn_of_darkness("sharp", image)
    x = camera.scene(image.astype(np.float64))
    draw = whole_number("noise_seed", noise_seed)
    key = CaseKey("python", array_hash(x)[:20], array_hash(unit)[:20], noise, draw)
    return measure_case(x, unit, noise, key=key, response=camera, declared=text_of("declared", declared, "known"))


def score(
    restored: NDArray[Any],
    truth: NDArray[Any],
    kernel: NDArray[Any],
    *,
    protocol: str = "half-kernel",
    response: str = "identity",
) -> Score:
    """Return PSNR and SSIM of a restoration under a named protocol, which says what is compared.

    Args:
        restored: linear x, of the size of `truth`, or of the smaller size of the blurred image, k-1 less on each axis.
        truth: the sharp image that was blurred, floats in [0, 1], as the camera shows it.
        kernel: the one that blurred, Shape (kh, kw).
        protocol: such as `half-kernel`, `cut-30` or `uncropped`; `nidbench list protocols` has all.
        response: of the camera.

    Returns:
        PSNR in dB and SSIM.

    Raises:
        UnknownNameError: for an unknown protocol.
        InputError: where sizes do not fit, the restoration is on another scale or of the opposite sign, or the protocol
            looks beyond what it shows.

    Warns:
        UserWarning: of a restoration that is scored as it is and would give the blurred truth better if it were turned,
            mirrored, moved by some pixels or reversed in its colours, of one with another contrast or brightness, and
            of a truth up to 0.25 at most.
    """
    from nidbench.physics.measure import check_image, convolved
    from nidbench.scoring.protocols import protocol as find_protocol
    from nidbench.scoring.scorer import Scorer

    find_protocol(text_of("protocol", protocol, "half-kernel"))
    sharp, _ = channels_first("truth", truth)
    image, _ = channels_first("restored", restored)
    check_image(sharp)
    check_restored_scale(image)
    warn_of_darkness("truth", sharp)
    problem = _frame_of(sharp, kernel_of(kernel), Response.parse(text_of("response", response, "identity")))
    encoded = problem.response.kind != "identity"
    x, shows = _placed(image, problem)
    camera = problem.response
    seen = camera.apply(np.asarray(x[:, *problem.valid], np.float64))
    shown = camera.apply(convolved(camera.scene(sharp), problem.kernel))
    check_related(seen, shown)
    noiseless = replace(problem, blurred=shown.astype(np.float32))
    warn_of_misreading(noiseless, x if shows is None else x[:, *shows], shows, seen)
    scorer = Scorer(problem, [Truth(sharp, encoded=encoded)], [protocol])
    scored = scorer.scores(x, shows).get(find_protocol(protocol).name)
    if scored is None:
        raise InputError(
            f"{protocol} needs more than the {sharp.shape[1]}x{sharp.shape[2]} pixels of this truth: use half-kernel"
            if shows is None
            else f"{protocol} compares more than a restoration of {image.shape[1]}x{image.shape[2]} with a kernel of "
            f"{problem.kernel.shape[0]}x{problem.kernel.shape[1]} shows: use half-kernel, or restore all of x"
        )
    return scored


def _frame_of(sharp: Image, kernel: Kernel, response: Response) -> Problem:
    """Return a problem whose x has the size of a sharp image; what its y holds is not looked at.

    Raises:
        InputError: where the image is too small for the kernel.
    """
    from nidbench.physics.measure import check_sizes

    check_sizes(sharp, kernel)
    rows, columns = (length - taps + 1 for length, taps in zip(sharp.shape[1:], kernel.shape, strict=True))
    return Problem(np.zeros((len(sharp), rows, columns), np.float32), kernel, Noise("gaussian", None), response)


def _placed(image: Image, problem: Problem) -> tuple[Image, tuple[slice, slice] | None]:
    """Return an image in the frame of x, and the rows and columns of x that it shows; None for all.

    Raises:
        InputError: where it has neither the size of x nor that of y.
    """
    if image.shape == problem.shape:
        return image, None
    if image.shape != problem.blurred.shape:
        raise InputError(
            f"restored has shape {image.shape} as (C, H, W): give the size of the truth, {problem.shape}, or that of "
            f"the blurred image, {problem.blurred.shape}"
        )
    whole = np.zeros(problem.shape, image.dtype)
    whole[:, *problem.valid] = image
    return whole, problem.valid
