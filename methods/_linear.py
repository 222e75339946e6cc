"""Problems as linear methods take them: the camera's response undone, channel by channel, in units of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nidbench.contract import Noise, Problem, Response
from nidbench.physics.blur import Operator

#: Where gamma is below 1, the response is infinitely steep at black: its slope is that of this level, of 8 bit.
DARKEST = 1 / 255

#: The contrast, as standard deviation, that photographs on [0, 1] typically have: weights of priors are told for it.
CONTRAST = 0.2

#: An image is taken to have at least this share of the variance of the noise: less is not told from none.
LEAST_SHARE = 0.1

#: On what settings are chosen.
UNTESTED = "images and kernels that no dataset has: eight of scikit-image under blurs made by formula"

#: What tapering leaves wrong, as a noise level at `CONTRAST`: tapered edges are no blur of any image. Of 3e-4, 1e-3,
#: 2e-3, 4e-3 and 8e-3 the Wiener filter and FID do best between 2e-3 and 4e-3 without noise, on the images of
#: tests/benchmarks/tuning.py.
TAPERED = 3e-3

#: What single precision leaves of y and of its Fourier transforms, relative to its largest value.
ROUNDING = 1e-6


def linearised(problem: Problem) -> Problem:
    """Return the problem with its gamma response undone: y^gamma, and the noise level that has on average."""
    if problem.response.kind != "gamma":
        return problem
    gamma, y = problem.response.gamma, problem.blurred.astype(np.float64).clip(0, None)
    slope = gamma * (y if gamma >= 1 else y.clip(DARKEST, None)) ** (gamma - 1)
    sigma = problem.sigma() * float(np.sqrt(np.mean(slope**2)))
    return replace(problem, blurred=(y**gamma).astype(np.float32), noise=Noise("gaussian", sigma), response=Response())


def channels(problem: Problem) -> list[Problem]:
    """Return each channel as a linear problem of its own, with the noise level that it has.

    A level that is declared is the channel's: under Poisson noise or a gamma response dark channels have less. One
    that is not is estimated from all channels together, and then is the same for each.
    """
    noise = Noise("gaussian", problem.sigma()) if problem.noise.level is None else problem.noise
    return [linearised(replace(problem, blurred=plane[None], noise=noise)) for plane in problem.blurred]


def joined(planes: Sequence[Problem]) -> Problem:
    """Return `channels` as one problem; its noise is that of the first."""
    return replace(planes[0], blurred=np.concatenate([plane.blurred for plane in planes]))


def noise_levels(planes: Sequence[Problem]) -> NDArray[np.float64]:
    """Return the noise level of each of `channels`, Shape (C,), not less than what rounding leaves; 0 where y is 0."""
    rounded = [ROUNDING * float(abs(plane.blurred).max()) for plane in planes]
    return np.hypot([plane.sigma() for plane in planes], rounded)


def differences(frame: tuple[int, int]) -> Tensor:
    """Return the transfer functions of x[i + 1] - x[i] along rows and along columns, Shape (2, H, W//2 + 1)."""
    height, width = frame
    frequencies = torch.meshgrid(
        torch.fft.fftfreq(height, dtype=torch.float64), torch.fft.rfftfreq(width, dtype=torch.float64), indexing="ij"
    )
    phases = 2j * torch.pi * torch.stack([frequencies[1], frequencies[0]])
    return (torch.exp(phases) - 1).to(torch.complex64)


@dataclass(frozen=True, eq=False)
class Standardised:
    """A problem in units of its own image, so that no weight of a prior meets an absolute scale.

    Each channel of y less its mean, times what brings its contrast without the noise to `CONTRAST`. A method that
    restores this, and gives the result to `restored`, maps (c y + b, c sigma) to c x + b, for every channel by itself.

    Attributes:
        operator: of that y.
        sigma: noise level of each channel in these units, Shape (C, 1, 1), not less than what rounding leaves.
    """

    operator: Operator
    sigma: Tensor
    _mean: Tensor
    _unit: Tensor

    @classmethod
    def of(cls, problem: Problem, device: str = "cpu") -> Standardised:
        """Return a problem as such, its gamma response undone."""
        planes = channels(problem)
        y = joined(planes).blurred.astype(np.float64)
        sigma = noise_levels(planes)
        variance = np.maximum(y.var((1, 2)) - sigma**2, LEAST_SHARE * sigma**2)
        # all zero has no unit, and needs none
        unit = np.sqrt(variance) / CONTRAST + (sigma == 0)
        mean, unit = y.mean((1, 2))[:, None, None], unit[:, None, None]
        inner = replace(planes[0], blurred=((y - mean) / unit).astype(np.float32))
        level = sigma[:, None, None] / unit

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.from_numpy(values).float().to(device)

        return cls(inner.operator(device), tensor(level), tensor(mean), tensor(unit))

    def restored(self, x: Tensor) -> NDArray[np.float32]:
        """Return an image, Shape (C, H, W), in the units of y."""
        image: NDArray[np.float32] = (x * self._unit + self._mean).cpu().numpy()
        return image
