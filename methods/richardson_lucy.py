"""Richardson-Lucy: the multiplicative iteration of astronomy, stopped before it fits the noise.

Richardson, "Bayesian-Based Iterative Method of Image Restoration", J. Opt. Soc. Am. 62 (1972); Lucy, "An iterative
technique for the rectification of observed distributions", Astron. J. 79 (1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from nidbench.contract import MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError

from ._linear import UNTESTED, channels, joined, noise_levels

#: Where K* 1, or K x relative to the mean of y, is smaller, a quotient tells of rounding only.
FLOOR = 1e-3


@dataclass(frozen=True)
class RichardsonLucy:
    """x <- x K*(y / K x) / K* 1, from a flat image, until |K x - y| falls below a share of the noise.

    K is the valid blur, so that nothing is assumed beyond the border: what y does not show is divided by K* 1 < 1.
    scikit-image's `richardson_lucy` continues the image by zeros instead, which on Set12 costs up to 5 dB, and shows
    nothing on the way and cannot go on from an estimate, so that it could not be stopped by its residual; hence this
    loop. Negative values of y count as 0. A gamma response is undone first, saturation is ignored.

    c y with c sigma gives c x; y + b does not give x + b, as x >= 0 is the prior. Colour is its channels restored one
    by one, each with a stop of its own.

    Attributes:
        iterations: at most so many.
        discrepancy: it stops where the residual's root mean square is below this share of the noise level. The
            iteration fits some of the noise before the image is sharp, so 1 is early where there is little. 0.99 is the
            best for all levels on the images and kernels of tests/benchmarks/tuning.py; the best at each is 0.82 at
            0.5 %, 0.94 at 1 %, 0.97 at 3 %, 1.0 at 5 % and 1.01 at 10 %, for 0.37, 0.21, 0.10, 0.05 and 0.26 dB.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="Richardson-Lucy",
        year=1972,
        paper="Richardson: Bayesian-Based Iterative Method of Image Restoration, J. Opt. Soc. Am. 62, 1972; "
        "Lucy: An iterative technique for the rectification of observed distributions, Astron. J. 79, 1974",
        version=2,
        tuned_on={"default": UNTESTED},
    )

    iterations: int = 200
    discrepancy: float = 0.99

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"iterations={self.iterations}: give 1 or more, such as 200")
        if not 0 <= self.discrepancy < float("inf"):
            raise InputError(
                f"discrepancy={self.discrepancy}: give a share of the noise level, such as 0.99, or 0 for no early stop"
            )

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the first estimate that agrees with y as far as the noise allows."""
        planes = channels(problem)
        operator = joined(planes).operator(run.device)
        y = operator.blurred.clamp(min=0)
        seen = operator.adjoint(torch.ones_like(y))
        level = y.mean((1, 2), keepdim=True)
        x = level.expand(-1, *operator.frame)
        allowed = self.discrepancy * y.new_tensor(noise_levels(planes))[:, None, None]
        smallest = (FLOOR * level).clamp(min=torch.finfo(y.dtype).tiny)
        for i in range(self.iterations + 1):
            predicted = operator.blur(x)
            residual = (predicted - operator.blurred).square().mean((1, 2), keepdim=True).sqrt()
            going = residual > allowed
            if i == self.iterations or not going.any():
                break
            correction = operator.adjoint(y / predicted.clamp(min=smallest)) / seen
            x = torch.where(going & (seen > FLOOR), x * correction, x).clamp(min=0)
            run.progress(i + 1, self.iterations)
            if run.due(i + 1):
                run.observe(i + 1, x.cpu().numpy)
        run.progress(i, i)
        if not run.due(i):
            run.observe(i, x.cpu().numpy)  # the curve ends with what is returned
        stopped = "iterations" if going.any() else "noise level"
        details = {"residual": float(residual.square().mean().sqrt())}
        return Restored(x.cpu().numpy(), iterations=i, stopped=stopped, details=details)

    def stops_itself(self) -> bool:
        """Return whether the residual may end a run early."""
        return self.discrepancy > 0
