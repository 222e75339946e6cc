"""`dip` against deepinv's `DeepImagePrior` at equal CPU seconds on whole images: PSNR is to be ahead on all five.

The first five images of `tuning.py`, gray, those of 512 rows or more averaged twofold, the middle 256x256; image i
under its kernel i, 5 % noise, one seed. `dip@fast` runs to its end; deepinv has as many CPU seconds on the same
measurement, one thread each, observing not counted. What is compared is the best observed point of each, by
half-kernel.

deepinv runs with its own recipe (Adam at 1e-2, its ConvDecoder as it is by default, 256 channels, and as in its demo of
DIP, 64 channels and an input of 2x2), and the better of the two counts. Its `Blur(padding="valid")` is checked against
nidbench's operator. deepinv is no dependency of nidbench: where it is missing nothing is measured.

    nox -s bench -- deepinv_dip [--file FILE] [--report] [--processes N] [--quick]
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from _fits import (
    Found,
    Job,
    Reached,
    Watch,
    Watched,
    act_on_each,
    arguments,
    chosen_precision,
    curve_of,
    fitted,
    kept,
    key,
    method_of,
    one_thread,
    points,
    say,
    say_versions,
    versions_of,
)
from _fits import with_settings as spec_with
from torch import Tensor, nn
from tuning import IMAGES, kernels, picture

from nidbench.contract import Clock, Problem, Run, Truth
from nidbench.contract.global_state import generators_kept, seed_generators
from nidbench.deepinverse.package import load
from nidbench.physics.measure import measure
from nidbench.registry.method_spec import all_settings

SPEC, NOISE, SIDE = "dip@fast", "gaussian:0.05", 256
CHOSEN = IMAGES[:5]
#: Iterations between observations.
STEP = 5
#: Name -> channels and side of the input of deepinv's decoder.
DECODERS = {"default": (256, 4), "demo": (64, 2)}
#: How far deepinv's blur may be from nidbench's, on [0, 1].
GAP = 1e-5


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    file: Path
    precision: str
    quick: bool

    def images(self) -> tuple[str, ...]:
        """Return the images, in the order of computation."""
        return CHOSEN[:1] if self.quick else CHOSEN

    def own(self, image: str) -> Job:
        """Return the fit of `dip`."""
        spec = spec_with(SPEC, iterations=10, warmup=1) if self.quick else SPEC
        common = {"image": image, "kernel": CHOSEN.index(image), "side": 64 if self.quick else SIDE}
        return {"spec": spec, "settings": all_settings(method_of(spec)), "precision": self.precision} | common

    def others(self, own: Job, found: Found) -> list[Job]:
        """Return the fits of deepinv, for the time that `dip` took."""
        common = {name: own[name] for name in ("image", "kernel", "side", "precision")}
        seconds = {"seconds": round(found["cpu_seconds"], 2)}
        return [
            common | seconds | {"spec": f"deepinv {name}", "channels": channels, "input": side}
            for name, (channels, side) in DECODERS.items()
        ]


def case(job: Job) -> tuple[Problem, Truth]:
    """Return the measurement of a job and its truth."""
    x = picture(job["image"], side=job["side"], large=2 * SIDE)
    return measure(x, kernels()[job["kernel"]], NOISE, key=f"deepinv {job['image']} {job['side']}"), Truth(x)


def compute(job: Job) -> Found:
    """Return what a fit comes to: its curve and its CPU seconds."""
    with one_thread():
        return _by_deepinv(job) if "channels" in job else _by_dip(job)


def _by_dip(job: Job) -> Found:
    problem, truth = case(job)
    method = method_of(job["spec"])
    run = Watched(problem, truth, precision=job["precision"], clock=Clock(STEP, dense=10**6))
    method.restore(problem, run)
    seconds = run.watch.seconds
    return {
        "curve": points(run.curve),
        "cpu_seconds": seconds,
        "settings": job["settings"],
        "versions": versions_of(method),
    }


class Watching(nn.Module):
    """deepinv's decoder, whose output is scored on the way."""

    def __init__(self, decoder: nn.Module, watch: Watch) -> None:
        super().__init__()
        self.decoder, self.watch, self.calls = decoder, watch, 0

    def forward(self, z: Tensor) -> Tensor:
        """Return x, Shape (1, C, H, W)."""
        x: Tensor = self.decoder(z)
        if self.calls % STEP == 0:
            self.watch.show(self.calls, lambda: x[0].detach().numpy())
        self.calls += 1
        return x


def blur_of(deepinv: Any, problem: Problem) -> Any:
    """Return deepinv's operator of a problem.

    Raises:
        SystemExit: where it is another one than nidbench's.
    """
    physics = deepinv.physics.Blur(filter=torch.from_numpy(problem.kernel).float()[None, None], padding="valid")
    x = torch.rand(1, *problem.frame, generator=torch.Generator())
    gap = float((physics(x[None])[0] - problem.operator("cpu").blur(x)).abs().max())
    if gap > GAP:
        raise SystemExit(f"deepinv's blur differs by {gap:.1g} from nidbench's: the two would solve other problems")
    return physics


def _by_deepinv(job: Job) -> Found:
    deepinv = load()
    problem, truth = case(job)
    physics, channels, size = blur_of(deepinv, problem), job["channels"], (job["input"],) * 2
    y = torch.from_numpy(problem.blurred).float()[None]
    with generators_kept():
        seed_generators(Run(0).seed("deepinv"))
        watch = Watch(problem, truth, seconds=job["seconds"])
        decoder = deepinv.models.ConvDecoder(img_size=(y.shape[1], *problem.frame), in_size=size, channels=channels)
        prior = deepinv.models.DeepImagePrior(Watching(decoder, watch), img_size=(channels, *size), iterations=10**6)
        with suppress(Reached):
            prior(y, physics)
    return {
        "curve": points(watch.curve),
        "cpu_seconds": watch.seconds,
        "settings": {},
        "versions": {"deepinv": deepinv.__version__, "torch": torch.__version__},
    }


def best(found: Found) -> tuple[float, float, int]:
    """Return the best PSNR of a curve, the CPU seconds to it and its iteration."""
    top = max(curve_of(found["curve"]), key=lambda point: point.psnr)
    return top.psnr, top.seconds, top.iteration


def measured(plan: Plan, image: str) -> None:
    """Compute what the file lacks of one image."""
    own = plan.own(image)
    (found,) = fitted(plan.file, [own], compute, tell)
    fitted(plan.file, plan.others(own, found), compute, tell)


def tell(job: Job, found: Found) -> str:
    """Return the line of a finished fit."""
    psnr, seconds, iteration = best(found)
    iterations = found["curve"][-1][0]
    return (
        f"deepinv_dip: {job['image']}: {job['spec']}: best {psnr:.2f} dB after {seconds:.0f} CPU s (iteration "
        f"{iteration}), {iterations} iterations in {found['cpu_seconds']:.0f} CPU s"
    )


def report(plan: Plan) -> list[str]:
    """Print a line an image; return those on which `dip` is not ahead."""
    there, used, behind, ahead = kept(plan.file), {}, [], []
    for image in plan.images():
        own = plan.own(image)
        found = there.get(key(own))
        others = [] if found is None else plan.others(own, found)
        if found is None or not all(key(job) in there for job in others):
            continue
        used |= {key(job): there[key(job)] for job in (own, *others)}
        rivals = {job["spec"]: best(there[key(job)])[0] for job in others}
        lead = best(found)[0] - max(rivals.values())
        (ahead if lead > 0 else behind).append(image)
        told = ", ".join(f"{name} {psnr:.2f} dB" for name, psnr in rivals.items())
        say(
            f"deepinv_dip: {image}: {own['spec']} {best(found)[0]:.2f} dB, {told}: {lead:+.2f} dB, in "
            f"{found['cpu_seconds']:.0f} CPU s each"
        )
    say_versions({name: each for name, each in used.items() if "channels" not in name})
    say(f"deepinv_dip: ahead on {len(ahead)} of {len(ahead) + len(behind)} images, {len(plan.images())} planned")
    return behind


def main() -> None:
    """Compute what the file lacks, print it, and fail where `dip` is not ahead."""
    given = arguments(__doc__ or "", "deepinv_dip")
    if find_spec("deepinv") is None and not given.report:
        say("deepinv_dip: deepinv is not here, nothing is measured: pip install deepinv")
        return
    precision = chosen_precision(None, given.file)
    plan = Plan(given.file, precision, given.quick)
    if not given.report:
        act_on_each(partial(measured, plan), plan.images(), given.processes)
    if (behind := report(plan)) and not given.quick:
        raise SystemExit(f"dip is not ahead on {', '.join(behind)}")


if __name__ == "__main__":
    main()
