"""The blur in torch: valid true convolution, its adjoint, the transfer function and the edge taper.

Frame: on each axis x extends y by (k-1)//2 pixels before and k//2 after. The valid convolution of x is that region of
its *circular* convolution that no wrapped pixel reaches, so one transfer function, with its origin at index k//2,
serves both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def transfer_function(kernel: Tensor, frame: tuple[int, int]) -> Tensor:
    """Return the half spectrum of a kernel on a frame.

    Args:
        kernel: Shape (kh, kw).
        frame: (H, W), at least (kh, kw).

    Returns:
        Shape (H, W//2 + 1), complex; origin of the kernel at (kh//2, kw//2).
    """
    kh, kw = kernel.shape
    padded = kernel.new_zeros(frame)
    padded[:kh, :kw] = kernel
    transfer: Tensor = torch.fft.rfft2(padded.roll((-(kh // 2), -(kw // 2)), (0, 1)))
    return transfer


def circular_convolve(image: Tensor, transfer: Tensor) -> Tensor:
    """Return the circular convolution of images, Shape (..., H, W), by a transfer function of that frame."""
    height, width = image.shape[-2:]
    convolved: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * transfer, s=(height, width))
    return convolved


def edgetaper(image: Tensor, kernel: Tensor, passes: int = 3) -> Tensor:
    """Return images that fade towards the border into their circular blur, so that wrapping leaves no edge.

    The FDN variant (Kruse et al. 2017): alpha is the outer product over the axes of 1 - z/max z, z the circular
    autocorrelation (length N-1, first value appended) of the kernel's projection on the axis; each pass is
    image <- alpha image + (1 - alpha) (k circularly convolved with image). An axis along which the kernel is one
    pixel wide has no edge to taper and is left as it is.

    Args:
        image: Shape (..., H, W).
        kernel: Shape (kh, kw), sum 1.
        passes: how often the image is blended; the paper's protocol has 3.
    """
    height, width = image.shape[-2:]
    alpha = torch.outer(_edge_weight(kernel.sum(1), height), _edge_weight(kernel.sum(0), width))
    transfer = transfer_function(kernel, (height, width))
    for _ in range(passes):
        image = alpha * image + (1 - alpha) * circular_convolve(image, transfer)
    return image


def _edge_weight(projection: Tensor, length: int) -> Tensor:
    if length < 3 or projection.numel() < 2:  # a kernel that is one pixel long reaches over no edge
        return projection.new_ones(length)
    spectrum = torch.fft.rfft(projection, n=length - 1)
    z = torch.fft.irfft(spectrum.abs().square(), n=length - 1)
    z = torch.cat([z, z[:1]])
    return 1 - z / z.max()


class Operator:
    """The forward model x -> g(k * x) of one problem, on a device.

    Args:
        blurred: y, Shape (C, h, w).
        kernel: k, Shape (kh, kw), sum 1.
        respond: g; called with a tensor and the smallest value that counts, see `FLOOR`.
        device: torch device name, such as `cpu` or `cuda:0`.

    Attributes:
        blurred: y as float32 tensor, Shape (C, h, w).
        transfer: transfer function on the frame of x, Shape (H, W//2 + 1), complex64.
        frame: (H, W) = (h + kh - 1, w + kw - 1).
        tapered: y edge-replicated to the frame of x, then edge-tapered; float32, Shape (C, H, W).
    """

    #: Values below this count as this: the derivative of g(z) = z^(1/gamma) is infinite at 0.
    FLOOR = 1e-7

    def __init__(
        self, blurred: NDArray[Any], kernel: NDArray[Any], respond: Callable[[Tensor, float], Tensor], device: str
    ) -> None:
        self._kernel = torch.from_numpy(np.ascontiguousarray(kernel, dtype=np.float64))
        self._respond = respond
        (_, h, w), (kh, kw) = blurred.shape, kernel.shape
        self.frame = (h + kh - 1, w + kw - 1)
        self._valid = (slice((kh - 1) // 2, (kh - 1) // 2 + h), slice((kw - 1) // 2, (kw - 1) // 2 + w))
        self._pad = ((kw - 1) // 2, kw // 2, (kh - 1) // 2, kh // 2)
        self.blurred = torch.from_numpy(np.ascontiguousarray(blurred, dtype=np.float32)).to(device)
        self.transfer = transfer_function(self._kernel, self.frame).to(torch.complex64).to(device)

    @cached_property
    def tapered(self) -> Tensor:
        """The input of networks and Fourier methods; computed in float64 on the CPU, the same for every device."""
        extended = self.extend(self.blurred.cpu().double())
        return edgetaper(extended, self._kernel).float().to(self.blurred.device)

    def extend(self, image: Tensor) -> Tensor:
        """Return y-sized images, Shape (C, h, w), edge-replicated to the frame of x."""
        return torch.nn.functional.pad(image[None], self._pad, mode="replicate")[0]

    def blur(self, x: Tensor) -> Tensor:
        """Return k * x, valid true convolution: Shape (..., H, W) to (..., h, w)."""
        return self.crop(self.circular(x))

    def circular(self, x: Tensor) -> Tensor:
        """Return the circular convolution of k with x, Shape (..., H, W); `blur` is cropped from it."""
        return circular_convolve(x, self.transfer)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return K* y of Shape (..., H, W) for y of Shape (..., h, w), where <K x, y> = <x, K* y> and K is `blur`."""
        return circular_convolve(torch.nn.functional.pad(y, self._pad), self.transfer.conj())

    def predict(self, x: Tensor) -> Tensor:
        """Map x of Shape (..., H, W) to its measurement without noise, g(k * x), Shape (..., h, w)."""
        return self.respond(self.blur(x))

    def respond(self, z: Tensor) -> Tensor:
        """Return g(z) of a blurred image of any shape."""
        return self._respond(z, self.FLOOR)

    def crop(self, x: Tensor) -> Tensor:
        """Return the region of x-sized images that y shows: Shape (..., H, W) to (..., h, w)."""
        return x[..., self._valid[0], self._valid[1]]
