"""EPLL: deconvolution whose patches are likely under a mixture of Gaussians, learned from sharp photographs.

Zoran, Weiss, "From Learning Models of Natural Image Patches to Whole Image Restoration", ICCV 2011, with its authors'
mixture of 200 components. Rewritten from the paper and the settings of its authors' script; no code of theirs is used.

**The authors' mixture was never run here**: it was not at hand when this was written. What is tested is the algorithm,
with another mixture of 200 components, against an independent implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import DataError
from nidbench.files.download import get
from nidbench.files.remote import RemoteFile, read_manifest
from nidbench.physics.blur import Operator

from ._linear import linearised

SIDE = 8  #: of a patch, pixels
BETAS = tuple(50.0 * 2**n for n in range(7))  #: weight of the patches, in turn
TOLERANCE, STEPS = 1e-6, 2500  #: of the solver for x
LEAST = 1e-3  #: the noise level counts as at least this
CHUNK = 1024  #: patches that are compared with all components at a time


@dataclass(frozen=True)
class EPLL:
    """min 64 / sigma^2 |K x - y|^2 - log likelihood of all patches, K the valid blur, by splitting with growing beta.

    In each of seven rounds, beta = 50, 100, ... 3200: every 8x8 patch, less its mean, is restored by the component that
    is likeliest for it with noise 1 / beta, z = S (S + 1 / beta)^-1 p; then x solves
    (64 / sigma^2 K*K + beta counts) x = 64 / sigma^2 K* y + beta sum z, where sum and counts are over the patches that
    hold a pixel. It begins with the edge-tapered y; in the end x is clipped to [0, 1].

    The mixture is for gray images on [0, 1]: colour is restored channel by channel, and c y with c sigma does not give
    c x. sigma counts as 0.001 at least. A gamma response is undone first, saturation is ignored; noise of any kind
    counts as Gaussian of its level. There are no random numbers. The authors' script quantises y to 8 bit; this does
    not.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="EPLL",
        year=2011,
        paper="Zoran, Weiss: From Learning Models of Natural Image Patches to Whole Image Restoration, ICCV 2011",
        supervised=True,
        licence="none granted (mixture and code: all rights reserved by the authors)",
        notice="its mixture is fetched from public copies of the authors' package: all rights reserved by them",
    )

    @staticmethod
    def files() -> Sequence[RemoteFile]:
        """Return the one file with the mixture, at least 4.2 MB, known by its git blob."""
        return read_manifest(files("nidbench.methods") / "files.csv", "epll")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return x after the last round.

        Raises:
            DataError: where the mixture cannot be fetched, or is none of patches of 8x8.
        """
        problem = linearised(problem)
        operator, mixture = problem.operator(run.device), read_mixture(get(self.files()[0]), run.device)
        weight = SIDE**2 / max(LEAST, problem.sigma()) ** 2
        x, data = operator.tapered, weight * operator.adjoint(operator.blurred)
        for number, beta in enumerate(BETAS, 1):
            sums, counts = summed(x, partial(mixture.restored, noise=1 / beta))
            x = solve(operator, weight, beta * counts, data + beta * sums, x)
            run.progress(number, len(BETAS))
            if run.due(number):
                run.observe(number, x.clamp(0, 1).cpu().numpy)
        return Restored(x.clamp(0, 1).cpu().numpy(), iterations=len(BETAS), stopped="rounds")


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians of mean 0, by the eigenvectors of each.

    Attributes:
        log_weights: Shape (J,).
        vectors: eigenvectors of the covariances in columns, Shape (J, D, D).
        values: eigenvalues, Shape (J, D), at least 0.
    """

    log_weights: Tensor
    vectors: Tensor
    values: Tensor

    def restored(self, patches: Tensor, noise: float) -> Tensor:
        """Return patches without noise of a variance, each by its likeliest component; Shape (n, D) both."""
        values = self.values + noise
        whitening = (self.vectors * values.rsqrt()[:, None]).permute(1, 0, 2).flatten(1)
        constants = self.log_weights - values.log().sum(1) / 2
        choice = torch.cat(
            [
                (constants - (chunk @ whitening).reshape(len(chunk), *self.values.shape).square().sum(2) / 2).argmax(1)
                for chunk in torch.split(patches, CHUNK)
            ]
        )
        restored = torch.empty_like(patches)
        for component in torch.unique(choice).tolist():
            chosen, vectors = choice == component, self.vectors[component]
            gains = self.values[component] / values[component]
            restored[chosen] = patches[chosen] @ vectors * gains @ vectors.mT
        return restored


def summed(x: Tensor, restored: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return at each pixel the sum of all restored patches that hold it, and how many they are.

    An axis that is shorter than a patch has none: there both are 0.

    Args:
        x: Shape (C, H, W).
        restored: from patches less their means, Shape (n, 64), columns first as MATLAB has them, to the same shape.
    """
    if min(x.shape[-2:]) < SIDE:
        return torch.zeros_like(x), torch.zeros_like(x)
    turned = x.mT[:, None]  # rows and columns change places, so that columns come first
    frame = (turned.shape[-2], turned.shape[-1])
    patches = F.unfold(turned, SIDE)
    flat = patches.mT.reshape(-1, SIDE**2)
    mean = flat.mean(1, keepdim=True)
    back = (restored(flat - mean) + mean).reshape(len(x), -1, SIDE**2).mT
    sums, counts = (F.fold(each, frame, SIDE)[:, 0].mT for each in (back, torch.ones_like(patches)))
    return sums, counts


def solve(operator: Operator, weight: float, diagonal: Tensor, right: Tensor, x: Tensor) -> Tensor:
    """Return the x that solves (weight K*K + diagonal) x = right, by conjugate gradients from a first x.

    Args:
        operator: has the valid blur K.
        weight: above 0.
        diagonal: Shape (C, H, W), not negative.
        right: same shape.
        x: same shape.
    """

    def applied(image: Tensor) -> Tensor:
        return weight * operator.adjoint(operator.blur(image)) + diagonal * image

    residual = right - applied(x)
    direction, energy = residual, residual.square().sum()
    enough = TOLERANCE**2 * right.square().sum()
    for _ in range(STEPS):
        if energy <= enough:
            break
        image = applied(direction)
        step = energy / (direction * image).sum()
        x, residual = x + step * direction, residual - step * image
        last, energy = energy, residual.square().sum()
        direction = residual + energy / last * direction
    return x


def read_mixture(path: Path, device: str) -> Mixture:
    """Return the mixture of a MATLAB file: `GS` with `mixweights` and `covs`, of patches of 8x8, columns first.

    Raises:
        DataError: where the file has other contents.
    """
    try:
        stored = loadmat(path, squeeze_me=True)["GS"]
        weights, covariances = (np.asarray(stored[name].item(), np.float64) for name in ("mixweights", "covs"))
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path} holds no mixture GS with mixweights and covs: {error}") from error
    size = SIDE**2
    if covariances.shape != (size, size, weights.size) or not np.isclose(weights.sum(), 1, atol=1e-3):
        raise DataError(
            f"{path}: covs has shape {covariances.shape} and mixweights, {weights.size} of them, sum to "
            f"{weights.sum():.4g}; expected are ({size}, {size}, number of weights) and 1"
        )
    values, vectors = np.linalg.eigh(covariances.transpose(2, 0, 1))
    with np.errstate(divide="ignore"):  # a component of no weight is never chosen
        log_weights = np.log(weights.ravel())
    parts = log_weights, vectors, values.clip(0, None)
    return Mixture(*(torch.from_numpy(each.astype(np.float32)).to(device) for each in parts))
