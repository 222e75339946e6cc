"""SelfDeblur: blind deconvolution by two untrained networks, one for the image and one for the kernel.

Ren, Zhang, Wang, Hu, Zuo, "Neural Blind Deconvolution Using Deep Priors", CVPR 2020. Written from the settings of its
authors' scripts (their code has no licence; none of it is used). Their convolution is a correlation: here, as
everywhere in nidbench, the kernel is for true convolution.

*Presets.* `released` is their script for Levin's images, whose noise is slight. `fast` has two fifths of its
iterations, as many of them with the mean square, in which the kernel is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nidbench.contract import KERNEL, Image, MethodInfo, Problem, Restored, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Loss, LossOf, Predictor, Recipe, fit_each, fit_one
from nidbench.physics.blur import Operator, circular_convolve, transfer_function

from ._effort import schedule_of, stop_of
from ._prior import AMPLITUDE, FixedInput, Network, check_prior, prior_recipe
from ._similarity import similarities
from ._skip import SELFDEBLUR_INPUTS, selfdeblur_skips

ITERATIONS = 5000
NOISE, HIDDEN = 200, 1000  #: values that go into the network of the kernel, and of its one layer
MOST_KEPT = 8000  #: pixels of a kernel that goes into the details, which are text
SLOWER = 0.01  #: its rate, in rates of the image's network


@dataclass(frozen=True)
class SelfDeblur:
    """min |y - g(h * f(z))|^2, then max SSIM(y, g(h * f(z))), h = softmax of a small network: f and h are both fitted.

    Only the size of the kernel is used. The image's network is that of `selfdeblur-nonblind`; the kernel's has one
    layer of 1000 ReLU6 from 200 numbers in [0, 0.1] that stay. As nothing tells where in the frame the image lies, x
    and h may be shifted against the truth: scores count under protocols that align.

    Adam's rate is halved after 40, 60 and 80 % of the iterations; that of the kernel's network is a hundredth of it.
    The authors restore colour from luminance; here all channels share h. h is kept as `kernel` where the run asks for
    it, and ends in the result's details, where it has at most 8,000 pixels.

    Settings: see `_effort.Effort` and `_prior.PriorSettings`, and this.

    Attributes:
        squares: share of the planned iterations in which the mean square counts, before SSIM does.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="SelfDeblur",
        year=2020,
        paper="Ren, Zhang, Wang, Hu, Zuo: Neural Blind Deconvolution Using Deep Priors, CVPR 2020",
        licence="authors' code: none granted (not used here)",
        bounded=True,
        presets={
            "released": {},
            "fast": {"share": 0.4, "squares": 0.5},
            "smoke": {"iterations": 5, "lr": 1e-8},
        },
        tuned_on={"fast": "division of the iterations: a crop of coffee of scikit-image"},
        blind=True,
        version=2,
    )

    iterations: int | None = None
    share: float = 1.0
    size_scaled: bool = False
    lr: float = 0.01
    warmup: int = 0
    decay: str = "early-halving"
    optimizer: str = "adam"
    stop: str = "iterations"
    margin: float = 0.0
    window: int = 100
    patience: int = 1000
    reg_noise: float = 0.001
    squares: float = 0.2

    def __post_init__(self) -> None:
        check_prior(self)
        if not 0 <= self.squares <= 1:
            raise InputError(f"squares={self.squares}: give a share of the iterations in [0, 1], such as 0.2")

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return the estimate after the last iteration, or after that which the stopping rule picks, and h."""
        blinds: dict[Run, Blind] = {}
        return _with_kernel(fit_one(self._recipe(problem, blinds), problem, run), blinds[run], run)

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        """Restore several problems of one frame, those of one kernel size side by side."""
        blinds: dict[Run, Blind] = {}
        outcomes: list[Restored | Exception] = [RuntimeError()] * len(problems)
        for size in dict.fromkeys(problem.kernel.shape for problem in problems):
            group = [n for n, problem in enumerate(problems) if problem.kernel.shape == size]
            recipes = [self._recipe(problems[n], blinds) for n in group]
            together = fit_each(recipes, [problems[n] for n in group], [runs[n] for n in group])
            for n, outcome in zip(group, together, strict=True):
                run = runs[n]
                outcomes[n] = _with_kernel(outcome, blinds[run], run) if isinstance(outcome, Restored) else outcome
        return outcomes

    def stops_itself(self) -> bool:
        """Return whether the stopping rule may end a fit before its last iteration."""
        return stop_of(self).ends_early

    def _recipe(self, problem: Problem, blinds: dict[Run, Blind]) -> Recipe:
        """Return how the engine fits networks to problems such as this one; `blinds` gets what has their kernels.

        Raises:
            InputError: for a stop that holds pixels out.
        """
        if stop_of(self).holds_out:
            raise InputError("stop=held-out: SSIM mixes pixels, and none can be held out; use another stop")
        channels, size = problem.blurred.shape[0], problem.kernel.shape
        network = Network(
            (SELFDEBLUR_INPUTS, *problem.frame),
            lambda generators: ImagesAndKernels(generators, channels, (size[0], size[1])),
        )
        planned = schedule_of(self, problem, lambda _: ITERATIONS).iterations
        recipe = prior_recipe(
            self, problem, network, lambda _: ITERATIONS, around=partial(Blind, int(self.squares * planned))
        )

        def objective(problem: Problem, run: Run) -> Blind:
            made = recipe.objective(problem, run)
            if not isinstance(made, Blind):
                raise TypeError(f"{type(made).__name__} is no Blind")
            made.size = (size[0], size[1])
            blinds[run] = made
            return made

        return replace(recipe, objective=objective)


class ImagesAndKernels(nn.Module):
    """Networks of an image and of a kernel, N of both folded; the kernel comes out as one more channel, in its corner.

    Args:
        generators: one CPU generator for each network's weights and the kernel's input.
        channels: of the image.
        size: of the kernel.
    """

    noise: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, generators: Sequence[torch.Generator], channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.images = selfdeblur_skips(generators, channels)
        self.size, count = size, len(generators)
        values = size[0] * size[1]
        self.register_buffer(
            "noise", AMPLITUDE * torch.stack([torch.rand(NOISE, generator=each) for each in generators])
        )
        # weights are these and SLOWER times what descends, in which a step of Adam is as long as elsewhere: `_slowed`
        self.register_buffer("first", _uniform(generators, NOISE, HIDDEN))
        self.register_buffer("last", _uniform(generators, HIDDEN, values))
        self.first_change = nn.Parameter(torch.zeros(count, NOISE + 1, HIDDEN))
        self.last_change = nn.Parameter(torch.zeros(count, HIDDEN + 1, values))

    def forward(self, inputs: Tensor, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Return x in (0, 1) and the kernel, Shape (N, C + 1, H, W), from inputs of Shape (N, 8, H, W)."""
        x = self.images(inputs, generators).float()
        with torch.autocast(x.device.type, enabled=False):  # bf16 has 8 bits: a logit of 8 would have steps of 1/16
            hidden = F.relu6(_layer(self.noise[:, None], self.first + _slowed(self.first_change)))
            kernels = _layer(hidden, self.last + _slowed(self.last_change)).softmax(-1)
        kernels = kernels.reshape(-1, 1, *self.size)
        height, width = x.shape[-2:]
        return torch.cat([x, F.pad(kernels, (0, width - self.size[1], 0, height - self.size[0]))], 1)


class Blind:
    """The loss of an image and a kernel, which is another after some iterations.

    Args:
        squares: iterations of the mean square.
        fixed: with the image's input.
        operator: of a kernel that is not used; y, frame and response are.
    """

    size: tuple[int, int]

    def __init__(self, squares: int, fixed: FixedInput, operator: Operator) -> None:
        self._squares, self._fixed, self._operator, self._done = squares, fixed, operator, 0
        self.kernel = torch.zeros(0)  #: of the last estimate

    def draw(self, generator: torch.Generator) -> Draw:
        """Return z with fresh noise and the loss that is now due."""
        loss: LossOf = self._loss
        return self._fixed.draw(generator)[0], loss

    def _loss(self, both: Tensor) -> Loss:
        x, kernel = both[:-1], both[-1, : self.size[0], : self.size[1]]
        operator = self._operator
        blurred = circular_convolve(x, transfer_function(kernel, operator.frame))
        prediction = operator.respond(operator.crop(blurred))
        difference = prediction - operator.blurred
        residual = difference.square().mean()
        if self._done < self._squares:
            return Loss(residual, residual, difference)
        return Loss(1 - similarities(prediction, operator.blurred).mean(), residual, difference)

    def learn(self, iteration: int, x: Tensor) -> None:  # noqa: ARG002 - it counts, no more
        """Count the iterations."""
        self._done = iteration

    def state(self) -> dict[str, Tensor]:
        """Return how many iterations are done."""
        return {"done": torch.tensor(self._done)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        self._done = int(state["done"])

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return one prediction of the image, and keep that of the kernel."""
        both = self._fixed.estimate(predict, generator, sample).image
        self.kernel = both[-1, : self.size[0], : self.size[1]].clone()
        return Estimate(both[:-1])


def _with_kernel(restored: Restored, blind: Blind, run: Run) -> Restored:
    if run.keeps(KERNEL):
        run.keep(KERNEL, blind.kernel.cpu().numpy())
    if blind.kernel.numel() > MOST_KEPT:
        return restored
    rows = [[round(value, 7) for value in row] for row in blind.kernel.tolist()]
    return replace(restored, details={**restored.details, KERNEL: rows})


def _uniform(generators: Sequence[torch.Generator], inputs: int, outputs: int) -> Tensor:
    """Return PyTorch's first weights of a linear layer, its constants in the last row: (N, inputs + 1, outputs)."""
    bound = inputs**-0.5
    return torch.stack(
        [torch.empty(inputs + 1, outputs).uniform_(-bound, bound, generator=each) for each in generators]
    )


def _slowed(change: Tensor) -> Tensor:
    """Return SLOWER times a change, whose gradient is that of the result.

    With the factor in it, most would be below the 1e-8 that Adam adds to a gradient's size, which shortens its steps.
    """
    return change - (1 - SLOWER) * change.detach()


def _layer(values: Tensor, weights: Tensor) -> Tensor:
    """Return a linear layer of N networks: Shape (N, 1, inputs) to (N, 1, outputs)."""
    return torch.baddbmm(weights[:, -1:], values, weights[:, :-1])
