"""The structural similarity of images, as a loss.

Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13
(2004), in the form of SelfDeblur's authors.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, SPREAD = 11, 1.5  #: side and standard deviation of the Gaussian window
C1, C2 = 0.01**2, 0.03**2  #: constants for intensities in [0, 1]


def similarities(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity of images around every pixel, Shape (C, h, w) (Wang et al., IEEE TIP 2004).

    Windows reach over the border, onto zeros, as the authors' do: there is one for every pixel.
    """
    window = _window(a)

    def local_mean(values: Tensor) -> Tensor:
        return F.conv2d(values[:, None], window, padding=WINDOW // 2)[:, 0]

    mean_a, mean_b = local_mean(a), local_mean(b)
    variance_a = local_mean(a * a) - mean_a.square()
    variance_b = local_mean(b * b) - mean_b.square()
    covariance = local_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    structure = (2 * covariance + C2) / (variance_a + variance_b + C2)
    return luminance * structure


def _window(like: Tensor) -> Tensor:
    offsets = torch.arange(WINDOW, device=like.device, dtype=like.dtype) - WINDOW // 2
    profile = torch.exp(-offsets.square() / (2 * SPREAD**2))
    profile = profile / profile.sum()
    return torch.outer(profile, profile)[None, None]
