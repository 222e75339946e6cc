"""DIP: deep image prior, an untrained network fitted to y and stopped early.

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018, with its authors' super-resolution network and settings, as
a baseline of Chen et al., IJCV 2022 (here *the paper*; section 4.1 (ii)), which replaces downsampling by blur (eq. 2).

*Presets.* `paper` has the paper's iteration counts, which were found on images of 255 pixels a side and more: on a
96x96 crop of Set12 02 at 5 % they overfit to 13.5 dB, past an oracle's 26.5 dB at 325 iterations. `fast`: see
docs/explanation/effort.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nidbench.contract import MethodInfo, Problem
from nidbench.fitting import Recipe

from ._effort import CHOSEN_ON, FAST, usual_of_dip
from ._fitted import Fitted
from ._prior import check_prior, prior_recipe, super_resolution


@dataclass(frozen=True)
class DIP(Fitted):
    """Fits f(z) to y through the blur, from a fixed random z: min |y - g(k * f(z))|^2 (paper eq. 2).

    Settings: see `_effort.Effort` and `_prior.PriorSettings`. The estimate keeps the noise on z, as the authors' does.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DIP",
        year=2018,
        paper="Ulyanov, Vedaldi, Lempitsky: Deep Image Prior, CVPR 2018",
        licence="authors' code: Apache-2.0, contact for commercial use (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "fast": {"share": 0.05, **FAST},
            # in float32 rounding decides the sign of Adam's step where gradients are tiny, and steps add up: two folded
            # networks and one alone differ by 0.05 in x after one step at 1e-2; this rate keeps rounding below 1e-4
            "smoke": {"iterations": 4, "lr": 1e-7},
        },
        tuned_on={"fast": CHOSEN_ON},
    )

    reg_noise: float = 0.03

    def __post_init__(self) -> None:
        check_prior(self)

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, super_resolution(problem), usual=usual_of_dip)
