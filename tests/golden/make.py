"""What methods and shared parts gave when their versions were set; `test_golden.py` compares today's with it.

    python tests/golden/make.py [NAME ...]

keeps what methods (`wiener`) or shared parts (`metric`) give now, those that have nothing kept where no name is given.
It refuses to keep another result under a version that has one: raise the version first.

A *deviation* is |now - kept| / |kept|, of the Euclidean norms. The largest seen between instruction
sets (ATEN_CPU_CAPABILITY default, avx2, avx512; ONEDNN_MAX_CPU_ISA sse41, avx2, avx512_core; 1 and 2 threads) is a
tenth of the tolerance or less. What networks that normalise few values give is shaped by rounding: they are compared
after steps too small to matter, the optimiser in double precision (`engine`), and their loss and its gradient apart.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import convolve2d
from torch import nn

from nidbench.contract import CaseKey, Noise, Problem, Run, Truth
from nidbench.errors import NidbenchError
from nidbench.fitting import Estimate, Loss, Recipe, Schedule, fit_one, seeded
from nidbench.physics.measure import measure
from nidbench.physics.noise_level import estimate_noise_level
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, resolve
from nidbench.scoring.protocols import PROTOCOLS, protocol
from nidbench.versions import of

HERE = Path(__file__).parent

Arrays: TypeAlias = "dict[str, NDArray[Any]]"

#: Deviations up to which results are the same, and what else it takes.
TOLERANCE = 1e-4
FITTED = (
    "dip",
    "dikp",
    "bpdip",
    "ddec",
    "selfdeblur-nonblind",
    "pip-dip",
    "sgld-dip",
    "asgld",
    "dip-wtv",
    "inr",
    "aseqdip",
    "selfdeblur",
    "self-diffusion",
    "deep-red",
    "pgsure-dip",
)
#: Methods whose loss wants two x at once: their own tests have it.
TWICE = ("pgsure-dip",)
TOLERANCES = dict.fromkeys(FITTED, 1e-3)
TOLERANCES["engine"] = 1e-5
TOLERANCES |= dict.fromkeys(("measurement", "metric", "noise level"), 1e-8)


def scene(channels: int, height: int, width: int) -> NDArray[np.float64]:
    """Return waves with a disc cut out, Shape (C, H, W), on [0, 1]."""
    z, rows, columns = np.mgrid[:channels, :height, :width]
    disc = ((rows / height - 0.55) / 0.3) ** 2 + ((columns / width - 0.4 - 0.1 * z) / 0.25) ** 2 < 1
    return np.asarray((0.5 + 0.3 * np.sin(0.31 * rows + 0.17 * columns + z) - 0.3 * disc).clip(0, 1))


def kernel() -> NDArray[np.float64]:
    """Return a slanted blur, Shape (5, 7), centred nowhere in particular."""
    rows, columns = np.mgrid[:5, :7] - np.reshape([1.8, 3.5], (2, 1, 1))
    weights = np.exp((1.2 * rows * columns - rows**2 - columns**2) / 3)
    return np.asarray(weights / weights.sum())


def problem(channels: int, height: int, width: int) -> Problem:
    """Return a blurred scene with 2 % noise, whose x has this size; made without nidbench's own measurements."""
    clean = np.stack([convolve2d(channel, kernel(), "valid") for channel in scene(channels, height, width)])
    noise = np.random.Generator(np.random.Philox(7)).standard_normal(clean.shape)
    return Problem((clean + 0.02 * noise).astype(np.float32), kernel().astype(np.float32), Noise("gaussian", 0.02))


#: Halving such sides five times, as networks do, leaves more than one value to normalise by.
GRAY, COLOUR = (1, 40, 36), (3, 36, 34)


def of_method(name: str) -> Arrays:
    """Return what a method makes of a gray and a colour problem at `smoke`; every second pixel of colour is enough."""
    method = resolve(MethodSpec(name), load_method(methods(), name), "smoke").method
    gray, colour = method.restore(problem(*GRAY), Run()), method.restore(problem(*COLOUR), Run())
    arrays = {"gray": gray.image, "colour": colour.image[:, ::2, ::2]}
    if gray.variance is not None:
        arrays["variance"] = gray.variance
    usual = resolve(MethodSpec(name), load_method(methods(), name), None).method
    descends = hasattr(usual, "recipe") and name not in TWICE
    return arrays | (_descent(usual, problem(*GRAY)) if descends else {})


def _descent(method: Any, blurred: Problem) -> Arrays:
    """Return what a fitted method descends on and how fast: input, loss and its gradient at some x, learning rates."""
    recipe: Recipe = method.recipe(blurred)
    first, loss_of = recipe.objective(blurred, Run()).draw(seeded(Run(), "training"))
    x = torch.from_numpy(scene(*GRAY).astype(np.float32)).requires_grad_()
    loss = loss_of(x)
    loss.value.backward()  # type: ignore[no-untyped-call]
    last = recipe.schedule.iterations
    rates = [last, *(recipe.schedule.rate(max(1, round(part * last))) for part in (0, 0.05, 0.5, 0.75, 1))]
    return {
        "input": np.array([first.mean().item(), first.std().item()]),
        "loss": np.array([loss.value.item(), loss.residual.item()]),
        "gradient": np.asarray(x.grad),
        "rates": np.array(rates),
    }


class _Double(nn.Module):
    """Two convolutions in double precision, where rounding decides nothing."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        shapes = ((6, 4, 3, 3), (1, 6, 3, 3))
        self.weights = nn.ParameterList(torch.randn(shape, generator=generator).double() / 6 for shape in shapes)
        self.biases = nn.ParameterList(torch.zeros(shape[0]).double() for shape in shapes)

    def forward(self, inputs: torch.Tensor, _generators: object) -> torch.Tensor:
        hidden = nn.functional.conv2d(inputs, self.weights[0], self.biases[0], padding=1)
        return torch.sigmoid(
            nn.functional.conv2d(nn.functional.leaky_relu(hidden, 0.1), self.weights[1], self.biases[1], padding=1)
        )


class _Scene:
    """Descends towards the scene itself, in double precision, and notes the residuals."""

    def __init__(self, residuals: list[float]) -> None:
        self.residuals = residuals
        self.target = torch.from_numpy(scene(*GRAY))
        self.z = torch.from_numpy(scene(4, *GRAY[1:]))

    def draw(self, generator: torch.Generator) -> tuple[torch.Tensor, Callable[[torch.Tensor], Loss]]:
        return self.z + 0.01 * torch.randn(self.z.shape, generator=generator), self.loss

    def loss(self, x: torch.Tensor) -> Loss:
        residual = (x.double() - self.target).square().mean()
        self.residuals.append(residual.item())
        return Loss(residual, residual)

    def estimate(self, predict: Any, generator: torch.Generator, sample: object) -> Estimate:  # noqa: ARG002
        return Estimate(predict(self.z, None))


def of_engine() -> Arrays:
    """Return the residuals on the way of a small fit, and its restoration."""
    residuals: list[float] = []
    recipe = Recipe(
        networks=lambda generators: _Double(*generators),
        objective=lambda *_: _Scene(residuals),
        schedule=Schedule(12, 0.02, warmup=3, decay="cosine"),
    )
    found = fit_one(recipe, problem(*GRAY), Run())
    return {"residuals": np.array(residuals), "gray": found.image}


def of_measurement() -> Arrays:
    """Return measurements of the scene under every kind of noise."""
    sharp = scene(*GRAY)
    key = CaseKey("golden", "scene", "slanted", "noise")
    return {
        noise: measure(sharp, kernel(), noise, key=key).blurred for noise in ("gaussian:0.05", "poisson:128", "bsnr:30")
    }


def of_metric() -> Arrays:
    """Return PSNR and SSIM of one restoration under every protocol."""
    sharp = scene(1, 170, 172)
    blurred = Problem(sharp[:, 2:-2, 3:-3].astype(np.float32), kernel().astype(np.float32), Noise("gaussian", 0.02))
    moved = np.roll(sharp, (1, -1), (1, 2)) + 0.03 * np.sin(np.arange(172))
    found = {}
    for name in PROTOCOLS:
        score = protocol(name).score(moved, blurred, Truth(sharp))
        found[name] = np.array([score.psnr, score.ssim])
    return found


def of_noise_level() -> Arrays:
    """Return the estimate for a gray and a colour image."""
    return {name: np.array([estimate_noise_level(problem(*size).blurred)]) for name, size in SIZES.items()}


SIZES = {"gray": (1, 90, 84), "colour": (3, 60, 70)}
SHARED: Mapping[str, Callable[[], Arrays]] = {
    "engine": of_engine,
    "measurement": of_measurement,
    "metric": of_metric,
    "noise level": of_noise_level,
}


def current(name: str) -> Arrays:
    """Return today's results of a method or a shared part."""
    torch.set_num_threads(1)
    return SHARED[name]() if name in SHARED else of_method(name)


def versions(name: str) -> dict[str, int]:
    """Return the versions under which they may change: its own, and for methods those of what they rest on."""
    if name in SHARED:
        return of(name)
    return {name: load_method(methods(), name).info.version, **of("engine", "measurement", "noise level")}


def path(name: str) -> Path:
    """Return the file that keeps them."""
    return HERE / f"{name.replace(' ', '-')}.npz"


def kept(name: str) -> tuple[Arrays, dict[str, int]]:
    """Return kept results and the versions they are of."""
    with np.load(path(name)) as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays.pop("versions")))


def deviations(now: Arrays, then: Arrays) -> dict[str, float]:
    """Return how far results are from kept ones, infinitely where they are of other names or shapes."""
    found = dict.fromkeys(now.keys() ^ then.keys(), np.inf)
    for key in now.keys() & then.keys():
        alike = now[key].shape == then[key].shape
        difference = now[key].astype(float) - then[key] if alike else np.inf
        found[key] = float(np.linalg.norm(difference) / np.linalg.norm(then[key]))
    return found


def complaint(name: str) -> str:
    """Return what is wrong between today's results and those kept, or nothing."""
    command = f"python tests/golden/make.py {name.replace(' ', '-')}"
    if not path(name).exists():
        return f"nothing is kept of {name}: run {command}"
    then, their = kept(name)
    tolerance = TOLERANCES.get(name, TOLERANCE)
    changed = {key: value for key, value in deviations(current(name), then).items() if not value <= tolerance}
    if not changed:
        return ""
    what = ", ".join(f"{key} by {value:.1e}" for key, value in sorted(changed.items()))
    if their != versions(name):
        return f"results of {name} changed ({what}) with a version: keep them by {command}"
    where = "nidbench/versions.py" if name in SHARED else f"MethodInfo of {load_method(methods(), name).__module__}"
    return f"results of {name} changed ({what}; tolerance {tolerance:g}): raise its version in {where}, then {command}"


def keep(name: str) -> str:
    """Keep today's results where there are none, or their version was raised; return what was done."""
    said = complaint(name)
    if not said:
        return f"{name}: as kept"
    if path(name).exists() and kept(name)[1] == versions(name):
        return said
    rounded = {key: _rounded(array) for key, array in current(name).items()}
    np.savez_compressed(path(name), versions=np.array(json.dumps(versions(name))), **rounded)
    return f"{name}: kept in {path(name)}"


def _rounded(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.size > 100 else array


def main() -> None:
    """Keep the results of the names given."""
    names = [each.replace("noise-level", "noise level") for each in sys.argv[1:]]
    known = [*SHARED, *methods().names()]
    for name in names or [each for each in known if not path(each).exists()]:
        try:
            sys.stdout.write(f"{keep(name)}\n")
        except NidbenchError as error:  # its package or its weights are not here
            sys.stdout.write(f"{name}: nothing is kept: {error}\n")


if __name__ == "__main__":
    main()
