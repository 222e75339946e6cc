"""SA dropout: untrained network with spatially-adaptive dropout, masked loss and averaged passes.

Chen, Quan, Pang, Ji, "Nonblind Image Deconvolution via Leveraging Model Uncertainty in An Untrained DNN", IJCV 2022:
here *the paper*. Equation and section numbers are the paper's.

Where the paper leaves room, the code takes one reading; docs/explanation/sa-dropout.md compares the readings of eq. 15.

- Section 4.1's padding of 2 would grow every map: it is 1. "Probability for generating Omega 0.3" is that of being
  replaced.
- Eq. 15 leaves open how variances become factors, over which neurons, and whether the "former" ratio is the last or
  the first: the settings `adapt_scaling`, `adapt_scope` and `adapt_from`. The default scales by min-max over all
  neurons of a layer and multiplies the first ratios: an experiment chose it (results/reference/adaptation). The
  variance is of `adapt_draws` passes, taken before the layer's dropout.
- The paper's "w/o Dropout" disables "dropout inference", perhaps the averaging, too; `no-dropout` averages seeds.
- `paper` stops, as section 3.2 says, once the residual of all that y shows is below the estimated noise, and a single
  stochastic iterate suffices. `released` goes by the loss, as the authors' code does: by replaced pixels, channel by
  channel.

docs/methods/ours.md has what of the authors' code is not reproduced, docs/explanation/effort.md how `fast` was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nidbench.contract import Image, MethodInfo, Problem, Run
from nidbench.errors import InputError
from nidbench.fitting import Draw, Estimate, Fold, Loss, Member, Predictor, Recipe, noise_threshold

from ._effort import CHOSEN_ON, FAST, check_effort, schedule_of, stop_of, usual_of_dip
from ._fitted import Fitted
from ._layers import Moments
from ._ratios import adapted, keeping_variances, means, neuron_variances, quantiles
from ._unet import CAP, RATIOS, UNets


@dataclass(frozen=True)
class Ours(Fitted):
    """The paper's method; every part is a setting, so that its ablations are variants.

    Settings: see `_effort.Effort`, and these. `iterations` is the paper's "maximal epoch number" (section 4.1); where
    it is None, `share` is of those that the paper gives DIP at the noise level, more where there is less noise.

    Attributes:
        sigma: the noise level that the stop goes by: `estimated` from y (paper) or `declared` (released code).
        clamp: whether the loss of each channel is clamped at the stopping threshold, and the stop waits for all
            channels' losses to be below it (released code); else the stop goes by the residual of all that y shows
            (section 3.2).
        replaced: probability that a pixel of y is replaced in a seed (section 4.1).
        neighbours: what replaces it: the mean of its `kept` neighbours (eq. 6) or of `all` eight (released code).
        masked: whether the loss is over replaced pixels only (eq. 8); else over all.
        dropout: whether there is any.
        ratio_scale: factor of the initial dropout ratios (Table 1), above 0, none of them above 0.5 after it.
        adapt_every: iterations between updates of the dropout ratios (eq. 15); 0 for fixed ratios.
        adapt_until: share of the iterations after which the ratios stay as they are, in (0, 1]: what an update upsets,
            a low rate cannot mend.
        adapt_draws: stochastic passes from which the variance of the neurons is estimated.
        adapt_scaling: how variances become factors in [0.5, 1.5]: `min-max`, `rank` or `mean`, see
            `_ratios.factors`.
        adapt_scope: over what they are scaled: a `layer`, each of its `channel`s, or its `pixel`s.
        adapt_from: what the factors multiply: the `former` ratios or the `initial` ones.
        passes: stochastic passes averaged in the end (eq. 10).
        aggregate: False for one pass by the expected weights instead.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="SA dropout",
        year=2022,
        paper="Chen, Quan, Pang, Ji: Nonblind Image Deconvolution via Leveraging Model Uncertainty in An Untrained "
        "DNN, IJCV 2022",
        licence="authors' code: Apache-2.0, contact for commercial use (not used here)",
        bounded=True,
        presets={
            "paper": {},
            "released": {
                "sigma": "declared",
                "clamp": True,
                "neighbours": "all",
                "adapt_every": 0,
            },
            "fast": {
                "iterations": None,
                "share": 0.075,
                "lr": 5e-3,
                **FAST,
                "adapt_every": 40,
                "adapt_until": 0.75,
            },
            "smoke": {
                "iterations": 5,
                "lr": 2e-3,
                "warmup": 1,
                "decay": "cosine",
                "stop": "iterations",
                "adapt_every": 2,
                "adapt_draws": 2,
                "passes": 2,
            },
        },
        variants={
            "no-sa": {"adapt_every": 0},
            "no-dropout": {"dropout": False, "adapt_every": 0},
            "no-aggregation": {"aggregate": False},
            "no-replacement": {"replaced": 0.0, "masked": False},
            "no-masking": {"masked": False},
        },
        tuned_on={"fast": CHOSEN_ON},
    )

    iterations: int | None = 100_000
    lr: float = 1e-4
    stop: str = "noise-level"
    sigma: str = "estimated"
    clamp: bool = False
    replaced: float = 0.3
    neighbours: str = "kept"
    masked: bool = True
    dropout: bool = True
    ratio_scale: float = 1.0
    adapt_every: int = 1000
    adapt_until: float = 1.0
    adapt_draws: int = 10
    adapt_scaling: str = "min-max"
    adapt_scope: str = "layer"
    adapt_from: str = "initial"
    passes: int = 50
    aggregate: bool = True

    def __post_init__(self) -> None:
        check_effort(self)
        choices = {
            "sigma": ("estimated", "declared"),
            "neighbours": ("kept", "all"),
            "adapt_scaling": ("min-max", "rank", "mean"),
            "adapt_scope": ("layer", "channel", "pixel"),
            "adapt_from": ("former", "initial"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name}={getattr(self, name)!r}: use {' or '.join(allowed)}")
        if not 0 <= self.replaced < 1:
            raise InputError(f"replaced={self.replaced}: give a probability in [0, 1)")
        if self.masked and self.replaced == 0:
            raise InputError("masked=true with replaced=0 leaves no pixel in the loss: set masked=false")
        if self.passes < 1 or self.adapt_draws < 2:
            raise InputError(f"passes={self.passes}, adapt_draws={self.adapt_draws}: give at least 1 and 2")
        if not 0 < self.ratio_scale <= CAP / max(RATIOS):
            raise InputError(
                f"ratio_scale={self.ratio_scale}: give a factor above 0 and at most {CAP / max(RATIOS):.3f}, so that "
                f"no initial ratio is above {CAP}"
            )
        if not 0 < self.adapt_until <= 1:
            raise InputError(f"adapt_until={self.adapt_until}: give a share of the iterations in (0, 1], such as 0.75")
        if self.adapt_every < 0:
            raise InputError(f"adapt_every={self.adapt_every}: give iterations, or 0 for fixed ratios")

    def recipe(self, problem: Problem) -> Recipe:
        """Return how the engine fits networks to problems such as this one."""
        channels, schedule = problem.blurred.shape[0], schedule_of(self, problem, usual_of_dip)
        return Recipe(
            networks=lambda generators: UNets(generators, channels, self.dropout, self.ratio_scale),
            objective=lambda problem, run: MaskedFit(self, problem, run),
            schedule=schedule,
            stop=stop_of(self),
            optimizer=self.optimizer,
            sigma=self._sigma,
            adapt=partial(self._adapt, self.adapt_until * schedule.iterations) if self._adapts else None,
            inspect=keeping_variances,
        )

    @property
    def _adapts(self) -> bool:
        return self.dropout and self.adapt_every > 0

    def _sigma(self, problem: Problem) -> float:
        return problem.sigma() if self.sigma == "declared" else problem.estimated_sigma()

    def _adapt(self, last: float, iteration: int, fold: Fold, members: Sequence[Member]) -> None:
        """Update the dropout ratios from the variances of the neurons: p <- min(v p, 0.5) (eq. 15)."""
        networks = fold.networks
        if not isinstance(networks, UNets):
            raise TypeError(f"networks of {type(networks).__name__} have no ratios to adapt: give UNets")
        if iteration % self.adapt_every or iteration > last:
            return
        variances = neuron_variances(networks, members, f"adapt {iteration}", self.adapt_draws)
        precision = torch.bfloat16 if members[0].run.precision == "bf16" else torch.float32
        noted, noted_means = [], []
        for layer, of_layer in zip(networks.dropouts(), variances, strict=True):
            former = layer.ratios() if self.adapt_from == "former" else layer.initial
            layer.set_ratios(adapted(former, of_layer, self.adapt_scaling, self.adapt_scope), precision)
            noted.append(quantiles(layer, len(members)))
            noted_means.append(means(layer, len(members)))
        for n, member in enumerate(members):
            for name, found in (("ratio_quantiles", noted), ("ratio_means", noted_means)):
                entry = {"iteration": iteration, "layers": [of_layer[n] for of_layer in found]}
                member.log.setdefault(name, []).append(entry)


class MaskedFit:
    """Seeds of one problem and the loss on what they lack (paper section 3.2)."""

    #: Passes averaged to observe the estimate on the way.
    GLANCE = 4

    def __init__(self, method: Ours, problem: Problem, run: Run) -> None:
        self.method = method
        self.operator = problem.operator(run.device)
        self.floor = 0.0
        if method.clamp:
            self.floor = noise_threshold(method._sigma(problem))

    def draw(self, generator: torch.Generator) -> Draw:
        """Return a seed (eq. 6), Shape (C, H, W), and the loss of the x it leads to (eq. 8)."""
        method, operator = self.method, self.operator
        y = operator.tapered
        if method.replaced == 0:
            return y, lambda x: self._loss(x, None)
        lost = torch.zeros_like(y)
        inside = operator.crop(lost)
        inside[:] = torch.rand(inside.shape, generator=generator, device=y.device) < method.replaced
        seed, replaced = replace(y, lost.bool(), method.neighbours)
        mask = operator.crop(replaced) if method.masked else None
        return seed, lambda x: self._loss(x, mask)

    def _loss(self, x: Tensor, mask: Tensor | None) -> Loss:
        difference = self.operator.predict(x) - self.operator.blurred
        squared = difference.square()
        if self.floor:
            channels = torch.stack([channel.mean() for channel in _compared(squared, mask)])
            return Loss(channels.clamp(min=self.floor).mean(), channels.max(), difference)
        return Loss(squared.mean() if mask is None else squared[mask].mean(), squared.mean(), difference)

    def estimate(
        self, predict: Predictor, generator: torch.Generator, sample: Callable[[Image], None] | None
    ) -> Estimate:
        """Return the mean and variance of stochastic predictions (eq. 10)."""
        method = self.method
        if not method.aggregate:
            return Estimate(predict(self.draw(generator)[0], None))
        moments = Moments()
        for _ in range(self.GLANCE if sample is None else method.passes):
            x = predict(self.draw(generator)[0], generator)
            moments.add(x)
            if sample is not None:
                sample(x.cpu().numpy())
        return Estimate(moments.average(), moments.variance())


def _compared(squared: Tensor, mask: Tensor | None) -> list[Tensor]:
    """Return the squared errors that count of every channel, from Shape (C, h, w)."""
    return list(squared) if mask is None else [channel[kept] for channel, kept in zip(squared, mask, strict=True)]


def replace(y: Tensor, lost: Tensor, neighbours: str) -> tuple[Tensor, Tensor]:
    """Return y with lost pixels replaced by the mean of their neighbours, and which were (eq. 6).

    Args:
        y: Shape (C, H, W).
        lost: Shape (C, H, W), bool.
        neighbours: `kept`: the neighbours that are not lost themselves, a pixel with none staying as it is; `all`: all
            eight, lost or not, zero outside the image (released code).
    """
    around = y.new_ones(1, 1, 3, 3)
    around[..., 1, 1] = 0

    def total(values: Tensor) -> Tensor:
        return F.conv2d(values[:, None], around, padding=1)[:, 0]

    if neighbours == "all":
        return torch.where(lost, total(y) / 8, y), lost
    kept = (~lost).to(y.dtype)
    count = total(kept).round()
    replaced = lost & (count > 0)
    return torch.where(replaced, total(kept * y) / count.clamp(min=1), y), replaced
