"""Self-diffusion: an untrained network that cleans its own last output of less and less added noise, fitted to y.

Luo, Huang, Yang, "Self-diffusion for Solving Inverse Problems", NeurIPS 2025. Written from the settings of its authors'
deblurring; none of their code is used.

**The network is smaller than theirs**: four halvings and 17 million weights where theirs has five and 88 million. With
it nothing here is a reproduction. The mean of y is ours, too: see `_above_mean`.

*Presets.* `paper` has their 40 times 150 iterations. `fast` has a tenth of them, half the channels, Adam and the stop
of `bpdip`, as their deblurring has no rule for noise in y, and a rising variance of the iterates ends it where a new
round begins; nothing else was tuned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nidbench.contract import Image, MethodInfo, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, Predictor, Recipe, seeded
from nidbench.physics.blur import Operator

from ._above_mean import above_mean
from ._effort import FAST, by_noise, check_effort, schedule_of, stop_of
from ._fitted import Fitted
from ._plain_unet import PlainUNets
from ._prior import compared

ITERATIONS = 6000  #: of the authors, in all rounds
LEAST, MOST = 1e-4, 1e-2  #: beta of the first and of the last step of the noise schedule


@dataclass(frozen=True)
class SelfDiffusion(Fitted):
    """In rounds t = T-1 ... 0: x_t = x + s_t n, min mean (g(k * D(x_t)) - y)^2 by some steps of Adam, x <- D(x_t).

    x begins as noise from N(0, 1); n is drawn anew in each round; s_t^2 = 1 - prod (1 - beta_i) over i <= t, beta from
    1e-4 to 1e-2. D is a U-Net that ends linearly, and the mean of y on top of it, so that x is not confined to [0, 1];
    its weights go on from round to round. The restoration is D(x_t) of the round that the fit ends in.

    Settings: see `_effort.Effort`, and these.

    Attributes:
        rounds: T; the planned iterations are divided by it.
        width: channels of the U-Net at the finest scale; deeper ones have up to eight times as many.
        noise_scaled: whether the authors' number of iterations grows where the noise is below 5 %, as that of Chen et
            al. for DIP does; a number given by `iterations` stays.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="self-diffusion, smaller network",
        year=2025,
        version=2,
        paper="Luo, Huang, Yang: Self-diffusion for Solving Inverse Problems, NeurIPS 2025",
        licence="authors' code: MIT (not used here)",
        tuned_on={"fast": "the stop alone: chelsea, coins and rocket of scikit-image"},
        presets={
            "paper": {},
            "fast": {
                "noise_scaled": True,
                "share": 0.1,
                **FAST,
                "optimizer": "adam",
                "stop": "averaged-noise-level",
                "margin": 0.0,
                "rounds": 20,
                "width": 32,
            },
            "smoke": {"iterations": 6, "lr": 1e-7, "rounds": 3, "width": 4},
        },
    )

    lr: float = 1e-3
    rounds: int = 40
    width: int = 64
    noise_scaled: bool = False

    def __post_init__(self) -> None:
        check_effort(self)
        if self.rounds < 1 or self.width < 1:
            raise InputError(f"rounds={self.rounds}, width={self.width}: give at least 1, such as 40 and 64")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        channels, schedule = problem.blurred.shape[0], schedule_of(self, problem, self.usual)
        steps = -(-schedule.iterations // self.rounds)

        def objective(problem: Problem, run: Run) -> Diffusing:
            first = torch.randn((channels, *problem.frame), generator=seeded(run, "input"))
            return Diffusing(problem.operator(run.device), first.to(run.device), noise_levels(self.rounds), steps)

        networks = lambda generators: PlainUNets(generators, channels, self.width)  # noqa: E731
        return above_mean(Recipe(networks, objective, schedule, stop_of(self), self.optimizer))

    def usual(self, problem: Problem) -> int:
        """Return the authors' 6000 iterations, or what they grow to at the problem's noise level."""
        return by_noise(ITERATIONS, problem.sigma()) if self.noise_scaled else ITERATIONS


def noise_levels(rounds: int) -> list[float]:
    """Return s_t for t = T-1 ... 0, in the order of the rounds: less and less."""
    kept, levels = 1.0, []
    for t in range(rounds):
        kept *= 1 - (LEAST + (MOST - LEAST) * t / max(1, rounds - 1))
        levels.append(math.sqrt(1 - kept))
    return levels[::-1]


class Diffusing:
    """An input that is, in each round, the output of the last and less noise than before.

    Args:
        operator: of the problem.
        x: of the beginning, Shape (C, H, W).
        levels: of the noise, one for each round.
        steps: iterations of a round.
    """

    def __init__(self, operator: Operator, x: Tensor, levels: Sequence[float], steps: int) -> None:
        self._operator, self._levels, self._steps = operator, levels, steps
        self._x = self._noisy = x
        self._done = 0

    def draw(self, generator: torch.Generator) -> Draw:
        """Return x_t, drawn anew where a round begins, and the loss of the x that it leads to."""
        if self._done % self._steps == 0:
            level = self._levels[self._done // self._steps]
            noise = torch.randn(self._x.shape, generator=generator, device=self._x.device)
            self._noisy = self._x + level * noise
        return self._noisy, self._loss

    def _loss(self, x: Tensor) -> Loss:
        residual, difference = compared(self._operator, x)
        return Loss(residual, residual, difference)

    def learn(self, iteration: int, x: Tensor) -> None:
        """Take x as what the next round begins with where one ends."""
        self._done = iteration
        if iteration % self._steps == 0:
            self._x = x.clone()

    def state(self) -> dict[str, Tensor]:
        """Return x, x_t and how many iterations are done."""
        return {"x": self._x, "noisy": self._noisy, "done": torch.tensor(self._done)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._x, self._noisy, self._done = state["x"], state["noisy"], int(state["done"])

    def estimate(
        self,
        predict: Predictor,
        generator: torch.Generator,  # noqa: ARG002 - the noise of the round is at hand
        sample: Callable[[Image], None] | None,  # noqa: ARG002 - one estimate, no draws
    ) -> Estimate:
        """Return D(x_t)."""
        return Estimate(predict(self._noisy, None))
