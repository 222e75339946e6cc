"""DeepInverse's reconstructors, each set up for one measurement, and what of them is called once an iteration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nidbench.contract import Problem
from nidbench.deepinverse.package import load
from nidbench.deepinverse.physics import circular_physics_of, physics_of

#: Iterations of the total variation's proximal operator, which goes on from where the last one ended.
_INNER = 10

#: How the weight of explicit priors grows with the noise level, as that of `tv` does.
EXPONENT = 1.5

#: What DeepInverse's wavelet prior multiplies its threshold by; its iterations tell it no other factor.
_THRESHOLD = 0.1

#: Patches that EPLL handles at once: less memory, the same result.
_PATCHES = 4096


class Chosen(Protocol):
    """The settings that models read; `nidbench.methods.deepinverse.DeepInverse` says what they mean."""

    @property
    def weight(self) -> float | None:
        """Of the prior, or of the data."""

    @property
    def channels(self) -> int:
        """Of the network of `dip`."""

    @property
    def side(self) -> int:
        """Rows and columns of its input."""

    @property
    def lr(self) -> float:
        """Its learning rate."""


@dataclass(frozen=True, eq=False)
class Task:
    """One measurement, ready for a model.

    Attributes:
        problem: linear, with Gaussian noise of a declared level.
        chosen: the settings.
        iterations: how many; 0 where the model does not count any.
        device: torch device name.
        network: the denoiser, or the model itself, with its weights; None for models without.
        together: whether channels are restored together, and not as images of their own.
    """

    problem: Problem
    chosen: Chosen
    iterations: int
    device: str
    network: nn.Module | None
    together: bool

    @property
    def sigma(self) -> float:
        """The noise level on [0, 1]."""
        return self.problem.sigma()

    def fold(self, images: Tensor) -> Tensor:
        """Return images, Shape (C, h, w), as a batch, Shape (1, C, h, w) or (C, 1, h, w)."""
        return images[None] if self.together else images[:, None]

    @property
    def y(self) -> Tensor:
        """The measurement as a batch."""
        return self.fold(self.problem.operator(self.device).blurred)

    @property
    def start(self) -> Tensor:
        """The tapered measurement on the frame of x, as a batch: where iterations begin."""
        return self.fold(self.problem.operator(self.device).tapered)

    @property
    def physics(self) -> Any:
        """The valid blur."""
        return physics_of(self.problem, self.device)

    def prior_weight(self, default: float) -> float:
        """Return the setting `weight`, or a default."""
        return default if self.chosen.weight is None else self.chosen.weight


@dataclass(frozen=True, eq=False)
class Solver:
    """A model that is ready.

    Attributes:
        solve: returns x, Shape (B, C, H, W).
        watched: what is called once an iteration; None where nothing is.
        shown: returns x of what `watched` returns.
        calls: of `watched` in an iteration.
        ahead: calls of `watched` before the first iteration ends.
    """

    solve: Callable[[], Tensor]
    watched: nn.Module | None = None
    shown: Callable[[Any], Tensor] = lambda output: output
    calls: int = 1
    ahead: int = 0


def _optimised(algorithm: Any, task: Task) -> Solver:
    """Return one of DeepInverse's iterations, begun at the tapered measurement."""
    return Solver(
        lambda: algorithm(task.y, task.physics, init=(task.start, task.start)),
        algorithm.fixed_point.iterator,
        lambda state: state["est"][0],
    )


def _variational(task: Task, prior: Any, weight: float, unit: float = 1.0) -> Solver:
    """Return FISTA on 1/2 |k * x - y|^2 + lambda prior(x).

    Args:
        task: the measurement.
        prior: of DeepInverse.
        weight: lambda = weight sigma^1.5, where no setting says otherwise.
        unit: what the prior's proximal operator multiplies lambda by.
    """
    optim = load().optim
    algorithm = optim.FISTA(
        data_fidelity=optim.data_fidelity.L2(),
        prior=prior,
        stepsize=1.0,  # the blur has norm 1: k is not negative and sums to 1
        lambda_reg=task.prior_weight(weight) * task.sigma**EXPONENT / unit,
        max_iter=task.iterations,
    )
    return _optimised(algorithm, task)


def tv(task: Task) -> Solver:
    """Total variation, isotropic, by FISTA."""
    return _variational(task, load().optim.prior.TVPrior(n_it_max=_INNER), 0.6)


def wavelet(task: Task) -> Solver:
    """The l1 norm of the details of Daubechies' wavelets db8 on three levels, by FISTA."""
    prior = load().optim.prior.WaveletPrior(level=3, wv="db8", device=task.device)
    return _variational(task, prior, 1.2, unit=_THRESHOLD)


def dpir(task: Task) -> Solver:
    """DPIR as DeepInverse has it: eight steps of half-quadratic splitting, the denoiser's level falling to sigma."""
    return _optimised(load().optim.DPIR(sigma=task.sigma, denoiser=task.network, device=task.device), task)


def pnp(task: Task) -> Solver:
    """Proximal gradient steps with the denoiser, at `weight` sigma, in the place of the proximal operator."""
    optim = load().optim
    algorithm = optim.PGD(
        data_fidelity=optim.data_fidelity.L2(),
        prior=optim.prior.PnP(denoiser=task.network),
        stepsize=1.0,
        sigma_denoiser=task.prior_weight(1.0) * task.sigma,
        max_iter=task.iterations,
    )
    return _optimised(algorithm, task)


def diffpir(task: Task) -> Solver:
    """DiffPIR, one sample; `weight` is its lambda."""
    deepinv = load()
    sampler = deepinv.sampling.DiffPIR(
        model=task.network,
        data_fidelity=deepinv.optim.data_fidelity.L2(),
        sigma=task.sigma,
        max_iter=task.iterations,
        lambda_=task.prior_weight(7.0),
        device=task.device,
    )
    return Solver(lambda: sampler(task.y, task.physics, x_init=task.start), task.network)


def dps(task: Task) -> Solver:
    """Diffusion posterior sampling, one sample; `weight` is that of its data term."""
    sampler = load().sampling.DPS(
        task.network,
        num_steps=task.iterations,
        weight=task.prior_weight(1.0),
        device=task.device,
        dtype=torch.float32,
    )

    def solve() -> Tensor:
        with torch.enable_grad():
            x: Tensor = sampler(task.y, task.physics, x_init=tuple(task.start.shape))
        return x

    # for the score, and for its data term
    return Solver(solve, task.network, calls=2)


def ddrm(task: Task) -> Solver:
    """DDRM, one sample. It needs singular values: the blur is circular, of the tapered measurement."""
    sigmas = np.linspace(1, 0, task.iterations)
    sampler = load().sampling.DDRM(task.network, sigmas=sigmas)
    physics = circular_physics_of(task.problem, task.device)
    return Solver(lambda: sampler(task.start, physics), task.network)


def epll(task: Task) -> Solver:
    """EPLL: five steps of half-quadratic splitting with a Gaussian mixture of patches."""
    network = task.network
    if network is None:
        raise ValueError("EPLL has no mixture")
    return Solver(
        lambda: network(task.y, task.physics, sigma=task.sigma, x_init=task.start.contiguous(), batch_size=_PATCHES)
    )


def ram(task: Task) -> Solver:
    """RAM, one pass of a network that has been trained on many operators."""
    network = task.network
    if network is None:
        raise ValueError("RAM has no weights")
    return Solver(lambda: network(task.y, task.physics))


def dip(task: Task) -> Solver:
    """Deep image prior with DeepInverse's ConvDecoder, fitted by Adam for so many iterations, without another stop."""
    deepinv, chosen = load(), task.chosen
    size = (chosen.side, chosen.side)
    decoder = deepinv.models.ConvDecoder(
        img_size=tuple(task.start.shape[1:]), in_size=size, channels=chosen.channels
    ).to(task.device)
    prior = deepinv.models.DeepImagePrior(
        decoder, img_size=(chosen.channels, *size), iterations=task.iterations, learning_rate=chosen.lr
    )
    return Solver(lambda: prior(task.y, task.physics).detach(), decoder, ahead=1)


@dataclass(frozen=True)
class Kind:
    """What a model needs.

    Attributes:
        set_up: returns it, ready for a measurement.
        iterations: as DeepInverse has it by default; 0 where it does not count any.
        fixed: whether their number cannot be chosen.
        least: the fewest iterations that it takes.
        needs: `denoiser`, `weights` for a network of its own, or nothing.
        together: whether it takes the channels of colour images together whatever its network.
        weighs: whether it reads the setting `weight`.
    """

    set_up: Callable[[Task], Solver]
    iterations: int
    _: KW_ONLY
    fixed: bool = False
    least: int = 1
    needs: str = ""
    together: bool = False
    weighs: bool = False


MODELS: Mapping[str, Kind] = {
    "tv": Kind(tv, 100, weighs=True),
    "wavelet": Kind(wavelet, 100, weighs=True),
    "dip": Kind(dip, 2500, together=True),
    "dpir": Kind(dpir, 8, fixed=True, needs="denoiser"),
    "pnp": Kind(pnp, 100, needs="denoiser", weighs=True),
    "diffpir": Kind(diffpir, 100, least=2, needs="denoiser", weighs=True),
    "ddrm": Kind(ddrm, 100, least=2, needs="denoiser"),
    "dps": Kind(dps, 1000, least=2, needs="denoiser", weighs=True),
    "epll": Kind(epll, 0, fixed=True, needs="weights"),
    "ram": Kind(ram, 0, fixed=True, needs="weights", together=True),
}
