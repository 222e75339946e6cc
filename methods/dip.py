"""DIP: deep image prior, an untrained network fitted to y and stopped early.

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", CVPR 2018, with its authors' super-resolution network and settings, as
a baseline of Chen et al., IJCV 2022 (here *the paper*; section 4.1 (ii)), which replaces downsampling by blur (eq. 2).

*Presets.* `paper` has the paper's iteration counts, which were found on images of 255 pixels a side and more: on a
96x96 crop of Set12 02 at 5 % they overfit to 13.5 dB, past an oracle's 26.5 dB at 325 iterations. `fast` spends 15 % of
them under a cosine, about the time of `ours@fast`. It is a compromise: smooth images would stop earlier, textured ones
still gain (crop of 07: 19.5 dB with 10 %, 20.5 dB with 17.5 %, about 21.3 dB with 900 iterations at a constant rate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.fit import Estimate, Loss, Predictor, Recipe, Schedule, Stop, fit, fit_one, seeded

from ._skip import Skips

CHANNELS = 32  #: of the network's input
AMPLITUDE = 0.1  #: the input is uniform in [0, AMPLITUDE]
PAPER_ITERATIONS = {0.01: 10_000, 0.03: 6000, 0.05: 4000}  #: noise level -> iterations (paper section 4.1 (ii))


@dataclass(frozen=True)
class DIP:
    """Fits f(z) to y through the blur, from a fixed random z: min |y - g(k * f(z))|^2 (paper eq. 2).

    Attributes:
        iterations: at most this many; None for a `share` of the paper's number at the noise level.
        share: of `paper_iterations`, in (0, 1].
        lr: of Adam, its highest value.
        warmup: iterations of linear rise to it.
        decay: `constant` or `cosine`.
        stop: `iterations`, `noise-level` or `smoothed-noise-level`.
        reg_noise: standard deviation of the noise that every iteration adds to z, which itself spans [0, 0.1].
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DIP",
        year=2018,
        paper="Ulyanov, Vedaldi, Lempitsky: Deep Image Prior, CVPR 2018",
        licence="authors' code: Apache-2.0, contact for commercial use (not used here)",
        presets={
            "paper": {},
            "fast": {"share": 0.15, "lr": 0.02, "warmup": 20, "decay": "cosine"},
            # in float32 rounding decides the sign of Adam's step where gradients are tiny, and steps add up: two folded
            # networks and one alone differ by 0.05 in x after one step at 1e-2; this rate keeps rounding below 1e-4
            "smoke": {"iterations": 4, "lr": 1e-7},
        },
    )

    iterations: int | None = None
    share: float = 1.0
    lr: float = 0.01
    warmup: int = 0
    decay: str = "constant"
    stop: str = "iterations"
    reg_noise: float = 0.03

    def __post_init__(self) -> None:
        if self.reg_noise < 0:
            raise InputError(f"reg_noise={self.reg_noise}: give a standard deviation of at least 0, such as 0.03")
        if not 0 < self.share <= 1:
            raise InputError(f"share={self.share}: give a part of the paper's iterations in (0, 1], such as 0.1")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the network's output for z and one last draw of noise, as the authors do."""
        return fit_one(self._recipe(problem), problem, run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of equally many iterations side by side."""
        recipes = [self._recipe(problem) for problem in problems]
        outcomes: dict[int, Restored | Exception] = {}
        for length in sorted({recipe.schedule.iterations for recipe in recipes}):
            group = [n for n, recipe in enumerate(recipes) if recipe.schedule.iterations == length]
            found = fit(recipes[group[0]], [problems[n] for n in group], [runs[n] for n in group])
            outcomes |= dict(zip(group, found, strict=True))
        return [outcomes[n] for n in range(len(problems))]

    def _recipe(self, problem: Problem) -> Recipe:
        channels = problem.blurred.shape[0]
        iterations = self.iterations
        if iterations is None:
            iterations = max(1, round(self.share * paper_iterations(problem.sigma())))
        return Recipe(
            networks=lambda generators: Skips(generators, CHANNELS, channels),
            objective=lambda problem, run: PlainFit(self, problem, run),
            schedule=Schedule(iterations, self.lr, self.warmup, self.decay),
            stop=Stop(self.stop),
        )


def paper_iterations(sigma: float) -> int:
    """Return the paper's number of iterations at a noise level on [0, 1].

    It gives three; between them counts the nearest by ratio, so that the steps lie at 0.017 and 0.039, and an estimated
    level that is a little off changes nothing.
    """
    nearest = min(PAPER_ITERATIONS, key=lambda level: abs(math.log(level / max(sigma, 1e-6))))
    return PAPER_ITERATIONS[nearest]


class PlainFit:
    """The fixed input z of one problem, and the loss over all of y."""

    def __init__(self, method: DIP, problem: Problem, run: Run) -> None:
        self.operator = problem.operator(run.device)
        self.reg_noise = method.reg_noise
        # drawn on the CPU: the same z on every device
        z = torch.rand((CHANNELS, *problem.frame), generator=seeded(run, "input"))
        self.z = (AMPLITUDE * z).to(run.device)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Callable[[Tensor], Loss]]:
        """Return z with fresh noise, Shape (32, H, W), and the loss of the x it leads to."""
        noise = torch.randn(self.z.shape, generator=generator, device=self.z.device)
        return self.z + self.reg_noise * noise, self._loss

    def _loss(self, x: Tensor) -> Loss:
        residual = (self.operator.predict(x) - self.operator.blurred).square().mean()
        return Loss(residual, residual)

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        """Return one prediction from z with noise of the estimate's own stream."""
        return Estimate(predict(self.draw(generator)[0], None))
