"""The problem that a method solves: y, k, and what is known of noise and camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nidbench.errors import InputError

from .arrays import Image as Image
from .arrays import Kernel, check_finite
from .kernel import check_kernel
from .noise import Noise
from .noise_level import estimate_noise_level
from .response import IDENTITY, Response

if TYPE_CHECKING:
    from .blur import Operator


@dataclass(frozen=True, eq=False)
class Problem:
    """All that a method receives. The truth is not in it, and methods are trusted not to look for it elsewhere.

    Attributes:
        blurred: y, Shape (C, h, w), float32, nominally in [0, 1]; not clipped or quantised unless the response says so.
        kernel: k, Shape (kh, kw), float64, sums to 1, any size, square or not, odd or even, for true convolution.
        noise: kind and declared level of n.
        response: the camera response g.

    Raises:
        InputError: where an array breaks these rules.
    """

    blurred: Image
    kernel: Kernel
    noise: Noise
    response: Response = IDENTITY

    def __post_init__(self) -> None:
        shape = self.blurred.shape
        if self.blurred.dtype != np.float32 or len(shape) != 3 or shape[0] not in (1, 3) or 0 in shape:
            raise InputError(f"blurred is {self.blurred.dtype} of shape {shape}: give float32 of (1 or 3, h, w)")
        check_finite("blurred", self.blurred)
        check_kernel(self.kernel)
        if abs(self.kernel.sum() - 1) > 1e-6:
            raise InputError(f"kernel sums to {self.kernel.sum():.6g}, not to 1: divide it by its sum")

    @property
    def frame(self) -> tuple[int, int]:
        """(H, W) of x: y extended by (k-1)//2 before and k//2 after on each axis."""
        (_, h, w), (kh, kw) = self.blurred.shape, self.kernel.shape
        return h + kh - 1, w + kw - 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of x."""
        return len(self.blurred), *self.frame

    @property
    def valid(self) -> tuple[slice, slice]:
        """The rows and columns of x that y shows."""
        (_, h, w), (kh, kw) = self.blurred.shape, self.kernel.shape
        top, left = (kh - 1) // 2, (kw - 1) // 2
        return slice(top, top + h), slice(left, left + w)

    def of_unknown_kernel(self) -> Problem:
        """Return the problem with a uniform kernel of the same size in place of k."""
        size = self.kernel.shape
        return replace(self, kernel=np.full(size, 1 / (size[0] * size[1])))

    def sigma(self) -> float:
        """Return the standard deviation of the noise on [0, 1].

        It is the declared level of Gaussian noise; for a declared Poisson peak it is the root mean square of the noise,
        sqrt(mean y / peak); where no level is declared it is the estimate of Chen, Zhu & Heng (ICCV 2015), as in paper
        sections 4.1 and 4.2.3.
        """
        level = self.noise.level
        if level is None:
            return self.estimated_sigma()
        if self.noise.kind == "poisson":
            return float(np.sqrt(max(self.blurred.mean(dtype=np.float64), 0.0) / level))
        return level

    def estimated_sigma(self) -> float:
        """Return the noise level estimated from y alone, whatever is declared (Chen, Zhu & Heng 2015)."""
        return estimate_noise_level(self.blurred)

    def operator(self, device: str = "cpu") -> Operator:
        """Return the forward model x -> g(k * x) on a torch device, its adjoint, transfer function and tapered y."""
        from .blur import Operator

        return Operator(self.blurred, self.kernel, self.response.apply, device)
