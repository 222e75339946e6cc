"""PIP-DIP: the deep image prior on positions in place of noise.

Shabtay, Schwartz, Giryes, "PIP: Positional-encoding Image Prior", arXiv:2211.14298 (2022). Rewritten from the features
that the paper and its authors' code agree on; none of the code is used.

*Deviation.* This is the deep image prior on Fourier features, with its 3x3 convolutions. The paper goes further: its
PIP replaces them by 1x1 ones, a network of each pixel alone, with far fewer parameters. That is not here.

*Presets.* `paper` has the iterations of Chen et al., IJCV 2022, for `dip`; no noise is added to the features, as none
is in the authors' script whose frequencies are not learned. `fast`: see docs/explanation/effort.md; its numbers are
those of `dip`, its stop is not, as that of the others ended late or not at all (docs/methods/pip-dip.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import MethodInfo, Problem
from nidbench.fitting import Recipe

from ._effort import WITHOUT_STOP, usual_of_dip
from ._fitted import Fitted
from ._prior import Network, check_prior, prior_recipe
from ._skip import Skips

FREQUENCIES = 8
RATIO = 2 ** (FREQUENCIES / (FREQUENCIES - 1))  #: of one frequency to that before it


@dataclass(frozen=True)
class PIPDIP(Fitted):
    """Fits f(z) to y through the blur: min |y - g(k * f(z))|^2, z the Fourier features of each pixel's position.

    The network is that of `dip`.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`; here z spans [-1, 1].
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="PIP-DIP",
        year=2022,
        paper="Shabtay, Schwartz, Giryes: PIP: Positional-encoding Image Prior, arXiv:2211.14298, 2022",
        licence="authors' code: MIT (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"share": 0.05, **WITHOUT_STOP, "stop": "averaged-noise-level"},
            "smoke": {"iterations": 4, "lr": 1e-8},
        },
        tuned_on={"fast": "the stop alone: chelsea, coins and rocket of scikit-image"},
    )

    reg_noise: float = 0.0

    def __post_init__(self) -> None:
        check_prior(self)

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, _network(problem), usual=usual_of_dip)


def _network(problem: Problem) -> Network:
    channels, z = problem.blurred.shape[0], fourier_features(problem.frame)
    return Network((len(z), *problem.frame), lambda generators: Skips(generators, len(z), channels), z)


def fourier_features(frame: tuple[int, int]) -> Tensor:
    """Return cos and sin of each pixel's row and column, each from 0 to 1, times eight frequencies.

    The frequencies are in radians and grow from 1 to 2^8 by equal factors.

    Args:
        frame: (H, W).

    Returns:
        Shape (32, H, W).
    """
    rows, columns = (torch.linspace(0, 1, length, dtype=torch.float64) for length in frame)
    frequencies = RATIO ** torch.arange(FREQUENCIES, dtype=torch.float64)[:, None, None]
    phases = torch.cat([frequencies * rows[:, None].expand(frame), frequencies * columns.expand(frame)])
    return torch.cat([phases.cos(), phases.sin()]).float()
