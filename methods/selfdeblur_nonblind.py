"""SelfDeblur with a known kernel: a deep image prior with a structural-similarity loss.

Ren, Zhang, Wang, Hu, Zuo, "Neural Blind Deconvolution Using Deep Priors", CVPR 2020, whose authors also published a
script for known kernels. Written from its settings (their code has no licence; none of it is used). Their convolution
is a correlation: here, as everywhere in nidbench, the kernel is used for true convolution. Their network is that of
`dip` with wider bypasses and, at the coarser scales, non-local blocks.

*Presets.* The settings are for images with hardly any noise, and SSIM asks for its structure first: on a 96x96 crop of
Set12 02 (Levin kernel 1) the best is 18.6 dB after 25 iterations at 5 % and 27.6 dB after 75 at 1 %; `released` ends
at 9.9 dB at 5 %. `fast` ends after 80, with a cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from nidbench.contract import MethodInfo, Problem
from nidbench.fitting import Loss, LossOf, Recipe
from nidbench.physics.blur import Operator

from ._fitted import Fitted
from ._prior import Network, check_prior, compared, prior_recipe
from ._similarity import similarities
from ._skip import SELFDEBLUR_INPUTS, selfdeblur_skips

ITERATIONS = 1000


@dataclass(frozen=True)
class SelfDeblurNonblind(Fitted):
    """max SSIM(y, g(k * f(z))), Adam's rate halved after 70, 80 and 90 % of the iterations.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="SelfDeblur, known kernel",
        year=2020,
        paper="Ren, Zhang, Wang, Hu, Zuo: Neural Blind Deconvolution Using Deep Priors, CVPR 2020",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={"released": {}, "fast": {"share": 0.08, "decay": "cosine"}, "smoke": {"iterations": 4, "lr": 1e-8}},
        tuned_on={"fast": "set12/02"},
        version=2,
    )

    decay: str = "halving"
    reg_noise: float = 0.001

    def __post_init__(self) -> None:
        check_prior(self)

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        return prior_recipe(self, problem, _network(problem), lambda _: ITERATIONS, dissimilarity)


def _network(problem: Problem) -> Network:
    """Return the network of `dip` with wider bypasses and non-local blocks."""
    channels = problem.blurred.shape[0]
    return Network((SELFDEBLUR_INPUTS, *problem.frame), lambda generators: selfdeblur_skips(generators, channels))


def dissimilarity(operator: Operator, problem: Problem) -> LossOf:  # noqa: ARG001 - a `Misfit`
    """Return 1 - SSIM of the predicted and the measured y."""

    def loss(x: Tensor) -> Loss:
        prediction = operator.predict(x)
        return Loss(1 - similarities(prediction, operator.blurred).mean(), *compared(operator, x.detach()))

    return loss
