"""DIP: deep image prior, an untrained network fitted to y and stopped early.

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018, with its authors' super-resolution network and settings, as
a baseline of Chen et al., IJCV 2022 (here *the paper*; section 4.1 (ii)), which replaces downsampling by blur (eq. 2).

*Presets.* `paper` has the paper's iteration counts, which were found on images of 255 pixels a side and more: on a
96x96 crop of Set12 02 at 5 % they overfit to 13.5 dB, past an oracle's 26.5 dB at 325 iterations. `fast`: see
docs/explanation/effort.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.fitting import Recipe, fit_each, fit_one

from ._effort import CHOSEN_ON, FAST, stop_of, usual_of_dip
from ._prior import check_prior, prior_recipe, super_resolution


@dataclass(frozen=True)
class DIP:
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

    iterations: int | None = None
    share: float = 1.0
    size_scaled: bool = False
    lr: float = 0.01
    warmup: int = 0
    decay: str = "constant"
    optimizer: str = "adam"
    stop: str = "iterations"
    margin: float = 0.0
    window: int = 100
    patience: int = 1000
    reg_noise: float = 0.03

    def __post_init__(self) -> None:
        check_prior(self)

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, super_resolution(problem), usual=usual_of_dip)

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the estimate after the last iteration, or after that which the stopping rule picks."""
        return fit_one(self.recipe(problem), problem, run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of equally many iterations side by side."""
        return fit_each([self.recipe(problem) for problem in problems], problems, runs)

    def stops_itself(self) -> bool:
        """Return whether the stopping rule may end a fit before its last iteration."""
        return stop_of(self).ends_early
