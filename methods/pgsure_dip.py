"""PGSURE-DIP: a deep image prior whose loss estimates its error without the truth, where the blur lets that be seen.

Abu-Hussein, Tirer, Chun, Eldar, Giryes, "Image Restoration by Deep Projected GSURE", WACV 2022. Written from the paper
and the settings of its authors' deblurring (their code has no licence; none of it is used).

*Where the released code differs.* It takes the imaginary part of the projection onto the range of the blur, which is
real, and drops the phase of the transfer function: its divergence is nearly none, and only symmetric kernels work. Here
the transfer function is complex and the projection is that of the paper, so that there is no preset `released`.

*The blur is circular*, as theirs: measured images are not, and y counts as the edge-tapered y, as in `bpdip`. Noise in
its border is then not as declared, and the loss no more than nearly unbiased there.

*The loss does not say when to end.* Its divergence is that of f at one input: a network that gives the noise back
whatever it is shown has none. The residual of y does: K+ amplifies noise, so that where noise is fitted, it rises.

*Presets.* `paper` has their 10,000 iterations and returns the network of the lowest loss. `fast` has 0.8 % of them with
the optimizer of docs/explanation/effort.md and returns the network of the lowest residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from nidbench.contract import Image, MethodInfo, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, Predictor, Recipe
from nidbench.physics.blur import Operator, circular_convolve

from ._effort import WITHOUT_STOP, check_effort, schedule_of, stop_of
from ._fitted import Fitted
from ._prior import compared
from ._skip import Skips

ITERATIONS = 10_000  #: of the authors
#: Noise level in 1/255 -> the cut-off of the authors' blurs with that noise.
CUT_OFFS = {math.sqrt(0.3): 5e-3, math.sqrt(2): 5e-2, 2.0: 5e-2, math.sqrt(8): 1e-1, 7.0: 1e-1}
JUDGES = ("loss", "residual")


@dataclass(frozen=True)
class PGSUREDIP(Fitted):
    """min mean (K+ (K f(u) - y))^2 + 2 sigma^2 div / n with u = K* y, K circular and K+ its pseudo-inverse.

    div is the divergence of P f at u, P = K+ K, by one draw b of N(0, I) an iteration: b . P (f(u + step b) - f(u)) /
    step; n counts the pixels of x. Where sigma is right, the loss is, in expectation and up to a constant, the mean
    square of P (f(u) - x), which nobody knows. Frequencies where |K| is below a cut-off count as erased. f is the
    network of `dip`, whose input has the channels of y.

    Settings: see `_effort.Effort`, and these.

    Attributes:
        judge: what `stop=lowest-residual` goes by: this `loss` (paper), or the `residual` of y.
        cutoff: share of the largest |K| up to which a frequency counts as erased; None for that of the authors' blurs
            with the nearest noise, see `usual_cutoff`.
        step: of the difference that stands for a derivative.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="PGSURE-DIP",
        version=2,
        year=2022,
        paper="Abu-Hussein, Tirer, Chun, Eldar, Giryes: Image Restoration by Deep Projected GSURE, WACV 2022",
        licence="authors' code: none granted (not used here)",
        presets={
            "paper": {},
            "fast": {**WITHOUT_STOP, "share": 0.008, "lr": 2e-3, "judge": "residual"},
            "smoke": {"iterations": 4, "lr": 1e-8},
        },
    )

    stop: str = "lowest-residual"
    judge: str = "loss"
    cutoff: float | None = None
    step: float = 1e-3

    def __post_init__(self) -> None:
        check_effort(self)
        if self.judge not in JUDGES:
            raise InputError(f"judge={self.judge!r}: use {' or '.join(JUDGES)}")
        if self.cutoff is not None and not 0 <= self.cutoff < 1:
            raise InputError(f"cutoff={self.cutoff}: give a share of the largest |K| in [0, 1), such as 0.05")
        if not 0 < self.step < math.inf:
            raise InputError(f"step={self.step}: give a number above 0, such as 1e-3")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one.

        Raises:
            InputError: for a stop that holds pixels out.
        """
        if stop_of(self).holds_out:
            raise InputError(f"stop={self.stop}: the input of the network shows all of y; use lowest-residual")
        channels, schedule = problem.blurred.shape[0], schedule_of(self, problem, lambda _: ITERATIONS)

        def objective(problem: Problem, run: Run) -> ProjectedError:
            sigma = problem.sigma()
            cutoff = usual_cutoff(sigma) if self.cutoff is None else self.cutoff
            operator = problem.operator(run.device)
            by_loss = self.stop == "lowest-residual" and self.judge == "loss"
            return ProjectedError(operator, sigma, cutoff, self.step, by_loss=by_loss)

        return Recipe(
            lambda generators: Twice(Skips(generators, channels, channels)),
            objective,
            schedule,
            stop_of(self),
            self.optimizer,
        )


def usual_cutoff(sigma: float) -> float:
    """Return the cut-off of the authors' blurs whose noise is nearest, by ratio, to a level on [0, 1].

    Beyond the most noise that they have, it grows with it, so that K+ amplifies noise to no more than there.
    """
    level, most = max(255 * sigma, 1e-6), max(CUT_OFFS)
    if level > most:
        return min(0.9, CUT_OFFS[most] * level / most)
    return CUT_OFFS[min(CUT_OFFS, key=lambda known: abs(math.log(known / level)))]


class Twice(nn.Module):
    """Networks that are asked for two inputs at once: the channels of one, then those of the other, in and out.

    Args:
        networks: from Shape (N, C, H, W) to the same.
    """

    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = networks

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return what both halves of the channels lead to, each by itself, in float32 whatever the precision."""
        with torch.autocast(inputs.device.type, enabled=False):  # bf16 is too coarse for a difference
            return torch.cat([self.networks(half, generators) for half in inputs.chunk(2, 1)], 1)


class ProjectedError:
    """The input u of one problem, and the estimate of the error of f(u) on the range of the blur.

    Args:
        operator: of the problem.
        sigma: noise level.
        cutoff, step: see `PGSUREDIP`.
        by_loss: whether stopping rules see the loss in place of the residual.
    """

    def __init__(self, operator: Operator, sigma: float, cutoff: float, step: float, *, by_loss: bool) -> None:
        self._operator, self._step, self._by_loss = operator, step, by_loss
        self._weight = 2 * sigma**2
        size = operator.transfer.abs()
        seen = size > cutoff * size.max()
        self._inverse = torch.where(seen, operator.transfer.conj() / size.square().clamp(min=1e-30), 0)
        self._projection = seen.to(operator.transfer.dtype)
        self.input = circular_convolve(operator.tapered, operator.transfer.conj())

    def draw(self, generator: torch.Generator) -> Draw:
        """Return u and u + step b, one after the other, Shape (2C, H, W), and the loss of what both lead to."""
        b = torch.randn(self.input.shape, generator=generator, device=self.input.device)
        return torch.cat([self.input, self.input + self._step * b]), lambda both: self._loss(both, b)

    def _loss(self, both: Tensor, b: Tensor) -> Loss:
        x, moved = both.chunk(2)
        operator = self._operator
        apart = circular_convolve(operator.respond(operator.circular(x)) - operator.tapered, self._inverse)
        change = circular_convolve(moved - x, self._projection)
        divergence = (b * change).sum() / self._step
        value = apart.square().mean() + self._weight * divergence / x.numel()
        residual, difference = compared(operator, x.detach())
        return Loss(value, value.detach() if self._by_loss else residual, difference)

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,  # noqa: ARG002 - nothing is drawn
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        """Return f(u)."""
        return Estimate(predict(torch.cat([self.input, self.input]), None).chunk(2)[0])
