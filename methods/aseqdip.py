"""aSeqDIP: a network that becomes an autoencoder of its own output, which is its next input, while it fits y.

Alkhouri, Liang, Bell, Qu, Wang, Ravishankar, "Image Reconstruction Via Autoencoding Sequential Deep Image Prior",
NeurIPS 2024. Written from the settings of its authors' deblurring, which is of another, non-linear kind; none of their
code is used.

*Where facts end.* The authors' script reports its best PSNR against the truth; here the last z counts, as no stop is
the paper's claim. Its U-Net is the shallow one of their repository. The mean of y is ours: see `_above_mean`.

*Presets.* `released` has their 5000 times 2 iterations and 64 channels. `fast` has 32 channels, ten times the rate and
a tenth of the iterations, and the stop of `bpdip`, as the input holds pixels that no stop can hold out. Its rate stays,
as theirs does: where it falls, f no longer follows z, and z <- f(z) goes astray. Nothing else was tuned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, Predictor, Recipe
from nidbench.physics.blur import Operator

from ._above_mean import above_mean
from ._effort import FAST, by_noise, check_effort, schedule_of, stop_of
from ._fitted import Fitted
from ._plain_unet import PlainUNets
from ._prior import compared

ITERATIONS = 10_000  #: of the authors: 5000 inputs, two steps with each


@dataclass(frozen=True)
class ASeqDIP(Fitted):
    """min mean (g(k * f(z)) - y)^2 + autoencoding mean (f(z) - z)^2, and z <- f(z) after every second step of Adam.

    z begins as the edge-tapered y. f is a shallow U-Net that ends linearly, and the mean of y on top of it: x is not
    confined to [0, 1]. The restoration is z: f(z) of the last step that changed it.

    Settings: see `_effort.Effort`, and these.

    Attributes:
        autoencoding: weight of the second term.
        inner: steps with each z.
        width: channels of the U-Net at the finest scale; deeper ones have twice as many each, but for the last.
        halvings: of its scales.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="aSeqDIP",
        year=2024,
        version=3,
        paper="Alkhouri, Liang, Bell, Qu, Wang, Ravishankar: Image Reconstruction Via Autoencoding Sequential Deep "
        "Image Prior, NeurIPS 2024",
        licence="authors' code: none granted (not used here)",
        tuned_on={"fast": "the rate that stays alone: immunohistochemistry and coffee of scikit-image"},
        presets={
            "released": {},
            "fast": {
                "noise_scaled": True,
                "share": 0.1,
                **FAST,
                "decay": "constant",
                "optimizer": "adam",
                "stop": "averaged-noise-level",
                "margin": 0.0,
                "lr": 1e-3,
                "width": 32,
            },
            "smoke": {"iterations": 5, "lr": 1e-7, "width": 4},
        },
    )

    lr: float = 1e-4
    autoencoding: float = 5.0
    inner: int = 2
    width: int = 64
    halvings: int = 2
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_effort(self)
        for name, usual in (("inner", 2), ("width", 64), ("halvings", 2)):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: give at least 1, such as {usual}")
        if not 0 <= self.autoencoding < math.inf:
            raise InputError(f"autoencoding={self.autoencoding}: give a weight of at least 0, such as 5")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one.

        Raises:
            InputError: for a stop that holds pixels out.
        """
        if stop_of(self).holds_out:
            raise InputError(f"stop={self.stop}: the input of the network shows all of y; use averaged-noise-level")
        channels, schedule = problem.blurred.shape[0], schedule_of(self, problem, self.usual)

        def objective(problem: Problem, run: Run) -> Autoencoding:
            return Autoencoding(problem.operator(run.device), self.autoencoding, self.inner)

        networks = lambda generators: PlainUNets(generators, channels, self.width, self.halvings)  # noqa: E731
        return above_mean(Recipe(networks, objective, schedule, stop_of(self), self.optimizer))

    def usual(self, problem: Problem) -> int:
        """Return the authors' 10,000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS


class Autoencoding:
    """An input that follows the output, and the loss that ties both.

    Args:
        operator: of the problem.
        weight: of the tie.
        inner: steps with each input.
    """

    def __init__(self, operator: Operator, weight: float, inner: int) -> None:
        self._operator, self._weight, self._inner = operator, weight, inner
        self._z = operator.tapered

    def draw(self, generator: torch.Generator) -> Draw:  # noqa: ARG002 - nothing is drawn
        """Return z and the loss of the x that it leads to."""
        return self._z, self._loss

    def _loss(self, x: Tensor) -> Loss:
        residual, difference = compared(self._operator, x)
        return Loss(residual + self._weight * (x - self._z).square().mean(), residual, difference)

    def learn(self, iteration: int, x: Tensor) -> None:
        """Take x as the next input where it is time."""
        if iteration % self._inner == 0:
            self._z = x.clone()

    def state(self) -> dict[str, Tensor]:
        """Return z."""
        return {"z": self._z}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._z = state["z"]

    def estimate(
        self,
        predict: Predictor,  # noqa: ARG002 - x is at hand
        generator: torch.Generator,  # noqa: ARG002 - likewise
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - likewise
    ) -> Estimate:
        """Return z."""
        return Estimate(self._z)
