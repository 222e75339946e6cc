"""DeepInverse: the reconstructors of that library on nidbench's measurements, as one method.

Tachella et al., "DeepInverse: A Python package for solving imaging inverse problems with deep learning", Journal of
Open Source Software 10 (2025), and the papers of its models. nidbench makes the measurement and calls the library;
`docs/methods/deepinv.md` says which model is whose, what it needs, and where it departs from the library's defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nidbench.contract import MethodInfo, Noise, Problem, Response, Restored, Run
from nidbench.deepinverse.package import INSTALL, load, release
from nidbench.errors import DataError, InputError, NidbenchError, unknown

from ._deepinverse_denoisers import DENOISERS, EPLL, HOSTED, RAM, Denoiser, Network
from ._deepinverse_models import MODELS, Solver, Task
from ._linear import UNTESTED, linearised
from ._state_dict import digest_of

#: The lowest noise level on [0, 1] that models are told, as the authors of DPIR have it.
LEAST_SIGMA = 1e-3

#: Models that are networks themselves.
OWN: Mapping[str, Network] = {"epll": EPLL, "ram": RAM}


@dataclass(frozen=True)
class DeepInverse:
    """Restores by a reconstructor of DeepInverse, whose measurement is nidbench's: the valid blur on the frame of x.

    The models are for images on [0, 1], an absolute scale: c y with c sigma does not give c x. Noise is told them as
    Gaussian of the level that it has on average, not below 0.001. A gamma response is undone first, saturation is
    ignored. A network for gray images restores colour channel by channel. Everything is computed in float32.

    Nothing is fetched: weights are a file here, of tensors only, or what DeepInverse's own loader has put into the
    folder of `torch.hub`. The file's SHA-256 and the version of DeepInverse are settings, so that results of other
    weights, or of another version, are other results; they are filled in where they are not given.

    Attributes:
        model: `tv`, `wavelet`, `dip`, `dpir`, `pnp`, `diffpir`, `ddrm`, `dps`, `epll` or `ram`.
        denoiser: `drunet`, `ffdnet` or `dncnn`, for models that need one; None for drunet, DeepInverse's default.
        weights: path of the weights of denoiser or model; `hub` or `hub-colour` for those that DeepInverse has fetched.
        iterations: None for what the model has by default: 100 for tv, wavelet, pnp, diffpir and ddrm, 1000 for dps,
            2500 for dip. The others have no such number.
        weight: of the prior: lambda = weight sigma^1.5 for tv and wavelet, the denoiser's level in sigma for pnp,
            lambda for diffpir; of the data for dps; None for 0.6, 1.2, 1, 7 and 1.
        channels: of the network of dip.
        side: rows and columns of its input.
        lr: its learning rate.
        sha256: of the file of weights; refused where the file has another.
        release: version of DeepInverse; refused where another one is installed.

    Raises:
        NidbenchError: where DeepInverse, or a package that a model needs, is missing or of another version.
        DataError: where the weights are missing, altered, or of another network.
    """

    info: ClassVar[MethodInfo] = MethodInfo(
        title="DeepInverse",
        year=2025,
        paper="Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, "
        "Journal of Open Source Software 10, 2025",
        licence="BSD-3-Clause (DeepInverse); weights have licences of their own",
        presets={
            "default": {},
            "wavelet": {"model": "wavelet"},
            "dip": {"model": "dip"},
            "smoke": {"iterations": 3},
        },
        tuned_on=dict.fromkeys(("default", "wavelet"), UNTESTED),
        supervised="weights",
    )

    model: str = "tv"
    denoiser: str | None = None
    weights: str | None = None
    iterations: int | None = None
    weight: float | None = None
    channels: int = 256
    side: int = 4
    lr: float = 0.01
    sha256: str | None = None
    release: str | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise InputError(unknown("model of deepinv", self.model, MODELS))
        self._check_numbers()
        self._check_network()
        self._pin("release", release())
        load()  # what cannot be imported is said here, before anything is computed
        if self.model == "wavelet" and find_spec("ptwt") is None:
            raise NidbenchError(f"model=wavelet needs the package ptwt, which is missing: {INSTALL}")
        if (source := self._source()) is not None:
            self._pin("sha256", digest_of(source[1]))
            self._network()  # of another network, or damaged: said here

    def restore(self, problem: Problem, run: Run) -> Restored:
        """Return what the model makes of y.

        Raises:
            InputError: where the weights are for colour images, and this one is gray.
            DataError: where the weights were altered since the settings were made.
        """
        kind = MODELS[self.model]
        network, channels = self._network()
        if channels == 3 and len(problem.blurred) == 1:
            raise InputError(f"the weights {self.weights} are for colour images, and this one is gray: give others")
        task = Task(
            problem=_plain(problem),
            chosen=self,
            iterations=self.iterations or kind.iterations,
            device=run.device,
            network=None if network is None else network.to(run.device),
            together=kind.together or channels == 3,
        )
        solver = kind.set_up(task)
        with torch.no_grad(), _watched(solver, run, task.iterations) as end:
            x = solver.solve()
            end(x)
        details = {"model": self.model, "deepinv": self.release} | ({"weights": self.sha256} if self.sha256 else {})
        stopped = "iterations" if kind.iterations else "model"
        return Restored(_image(x), iterations=task.iterations, stopped=stopped, details=details)

    def _check_numbers(self) -> None:
        kind = MODELS[self.model]
        if self.iterations is not None and (kind.fixed or self.iterations < kind.least):
            rule = "leave it out" if kind.fixed else f"give {kind.least} or more"
            raise InputError(f"iterations={self.iterations} with model={self.model}: {rule}")
        if self.weight is not None and not (kind.weighs and 0 < self.weight < float("inf")):
            rule = "give a positive number, such as 1" if kind.weighs else "the model has none, leave it out"
            raise InputError(f"weight={self.weight} with model={self.model}: {rule}")
        if min(self.channels, self.side) < 1 or not 0 < self.lr < float("inf"):
            raise InputError(
                f"channels={self.channels}, side={self.side}, lr={self.lr}: give positive numbers, such as 256, 4, 0.01"
            )

    def _check_network(self) -> None:
        needs = MODELS[self.model].needs
        if self.denoiser is not None and needs != "denoiser":
            raise InputError(f"denoiser={self.denoiser} with model={self.model}: the model has none, leave it out")
        if self.denoiser is not None and self.denoiser not in DENOISERS:
            raise InputError(unknown("denoiser of deepinv", self.denoiser, DENOISERS))
        if self.weights is None and needs:
            words = " or ".join(HOSTED)
            raise InputError(f"model={self.model} needs weights: give weights=PATH, or {words} for what is fetched")
        if self.weights is not None and not needs:
            raise InputError(f"weights={self.weights} with model={self.model}: the model has none, leave them out")

    def _pin(self, name: str, found: str) -> None:
        """Fill a setting in with what is here, which makes it a part of the identity of results, or refuse it."""
        given = getattr(self, name)
        if given not in (None, found):
            raise DataError(f"{name}={given} is asked for, and here is {found}: provide that one, or leave it out")
        object.__setattr__(self, name, found)

    def _source(self) -> tuple[Network, Path] | None:
        """Return the network that needs weights, and the file that has them; None for none."""
        if self.weights is None:
            return None
        network = OWN[self.model] if self.model in OWN else DENOISERS[self.denoiser or "drunet"]
        return network, network.weights(self.weights)

    def _network(self) -> tuple[nn.Module | None, int]:
        """Return the network with its weights, and the channels that it restores at once; 0 for any number."""
        if (source := self._source()) is None:
            return None, 0
        kind, path = source
        network, channels = kind.read(path, self.sha256 or "")
        return (network if self.model in OWN else Denoiser(network, kind.multiple)), channels


def _plain(problem: Problem) -> Problem:
    """Return the problem as linear, with Gaussian noise of a declared level."""
    linear = linearised(problem)
    sigma = max(linear.sigma(), LEAST_SIGMA)
    return replace(linear, noise=Noise("gaussian", sigma), response=Response())


def _image(x: Tensor) -> NDArray[np.float32]:
    """Return a batch that is one image, Shape (1, C, H, W) or (C, 1, H, W), as Shape (C, H, W)."""
    image: NDArray[np.float32] = x.detach().flatten(0, 1).float().cpu().numpy()
    return image


@contextmanager
def _watched(solver: Solver, run: Run, planned: int) -> Iterator[Callable[[Tensor], None]]:
    """Report the iterations of a solver to the run; yield what takes the result, with which the curve ends."""
    calls = -solver.ahead

    def tell(_module: nn.Module, _arguments: Any, output: Any) -> None:
        nonlocal calls
        calls += 1
        done, rest = divmod(calls, solver.calls)
        if done > 0 and not rest:
            run.progress(done, max(done, planned))
            if run.due(done):
                run.observe(done, lambda: _image(solver.shown(output)))

    def end(x: Tensor) -> None:
        done = calls // solver.calls
        if done > 0 and not run.due(done):
            run.observe(done, partial(_image, x))

    handle = None if solver.watched is None else solver.watched.register_forward_hook(tell)
    try:
        yield end
    finally:
        if handle is not None:
            handle.remove()
