"""How much sooner `ours@fast` is than the released recipe, and than the `fast` of before, to the PSNR that it returns.

On 12 crops (the middle 96x96 of Set12 01 to 12) and on three whole images (Set12 01 to 03), image i under Levin's
kernel i mod 8 of 8, 5 % noise, one seed. A factor is

    CPU seconds until the other recipe first has the PSNR that `ours@fast` returns / CPU seconds of `ours@fast`,

`ours@fast` with its final passes, the other one without. The other recipe's estimate on the way is the mean of as many
passes as `ours@fast` returns, its curve is linear between them, and observing does not count. Both are in the same
precision, on the same network code, on one thread, one after the other.

- released: the authors' settings, Adam at 1e-4 and the loss clamped at the noise level, stopped by nothing but 12 times
  the iterations of `ours@fast` (`--cap`). The median factor is to be 8 at least on the crops, 6 on the whole images.
- before: what `ours@fast` was, 1000 iterations of Adam. The median factor is to be 3 at least on the crops. On a crop
  where these do not get there, the same recipe has twice as many, its schedule as much longer, and its factor is that.

A recipe that never gets there within its iterations is *censored*: its factor is at least that of all its CPU seconds,
and counts as no more. A median above the limit is then one that is at least so high.

    nox -s bench -- quality [--only crops|whole] [--cap 12] [--processes N] [--file FILE] [--report] [--quick]
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _fits import (
    Found,
    Job,
    Reached,
    Watched,
    act_on_each,
    arguments,
    chosen_precision,
    curve_of,
    fitted,
    kept,
    key,
    method_of,
    middle,
    one_thread,
    points,
    restored_by,
    say,
    say_versions,
    versions_of,
)
from _fits import with_settings as spec_with
from nidbench.methods.ours import MaskedFit

from nidbench.analysis.curves import time_to
from nidbench.contract import Problem, Truth
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.registry.method_spec import all_settings

FAST = "ours@fast"
RELEASED = "ours@released[stop=iterations]"
#: All that could change with a default is said.
BEFORE = (
    "ours[optimizer=adam,iterations=1000,lr=2e-3,warmup=100,decay=cosine,stop=iterations,clamp=false,passes=50,"
    "adapt_every=150,adapt_until=1,adapt_draws=10,adapt_scaling=min-max,adapt_scope=pixel,adapt_from=initial]"
)
#: How much longer it is tried where it never gets there.
LONGER = 2
NOISE, SIDE, KERNELS, CAP = "gaussian:0.05", 96, 8, 12.0
PARTS = {"crops": tuple(f"{number:02d}" for number in range(1, 13)), "whole": ("01", "02", "03")}
#: Least median factors over `ours@fast`, by part and recipe.
LIMITS = {("crops", "released"): 8.0, ("whole", "released"): 6.0, ("crops", "before"): 3.0}

QUICK = {"iterations": 3, "warmup": 1, "passes": 2}


@dataclass(frozen=True)
class Plan:
    """What is to be measured: parts, cap, file, precision, and whether it is only to be seen that it runs."""

    parts: tuple[str, ...]
    cap: float
    file: Path
    precision: str
    quick: bool

    def places(self) -> list[tuple[str, str]]:
        """Return parts and images, in the order of computation."""
        count = 1 if self.quick else None
        return [(part, image) for part in self.parts for image in PARTS[part][:count]]

    def job(self, recipe: str, spec: str, part: str, image: str) -> Job:
        """Return a fit; its settings are a part of it, as presets change."""
        spec = spec_with(spec, **QUICK) if self.quick else spec
        kernel = (int(image) - 1) % KERNELS + 1
        return {
            "recipe": recipe,
            "spec": spec,
            "settings": all_settings(method_of(spec)),
            "part": part,
            "image": image,
            "kernel": kernel,
            "precision": self.precision,
        }

    def fast(self, part: str, image: str) -> Job:
        """Return the fit of `ours@fast`."""
        return self.job("fast", FAST, part, image)

    def others(self, part: str, image: str, fast: Found) -> list[Job]:
        """Return the fits that are watched until they have what `ours@fast` returned."""
        more = {"target": round(fast["psnr"], 4), "passes": fast["settings"]["passes"]}
        released = self.job("released", RELEASED, part, image)
        spec = spec_with(released["spec"], iterations=round(self.cap * fast["iterations"]))
        released |= {"spec": spec, "settings": all_settings(method_of(spec))}
        return [released | more, self.job("before", BEFORE, part, image) | more]

    def longer(self, job: Job) -> Job | None:
        """Return the fit that stands in for one that never got there; None where that is all there is."""
        if (job["part"], job["recipe"]) != ("crops", "before"):
            return None
        longer = {name: LONGER * job["settings"][name] for name in ("iterations", "warmup", "adapt_every")}
        spec = spec_with(job["spec"], **longer)
        return job | {"spec": spec, "settings": all_settings(method_of(spec))}


def case(job: Job) -> tuple[Problem, Truth]:
    """Return the measurement of a job and its truth."""
    x = load_dataset("set12").load(job["image"])
    if job["part"] == "crops":
        x = middle(x, SIDE)
    kernel = load_kernels("levin").load(str(job["kernel"]))
    return measure(x, kernel, NOISE, key=f"quality {job['part']} {job['image']}"), Truth(x)


@contextmanager
def observing(passes: int) -> Iterator[None]:
    """Have estimates on the way be the mean of so many passes."""
    before = MaskedFit.GLANCE
    MaskedFit.GLANCE = passes
    try:
        yield
    finally:
        MaskedFit.GLANCE = before


def compute(job: Job) -> Found:
    """Return what a fit comes to: of the other recipes the curve until it is where `ours@fast` ended."""
    problem, truth = case(job)
    if "target" not in job:
        return restored_by(job["spec"], problem, truth, 0, job["precision"])[1]
    method = method_of(job["spec"])
    with one_thread(), observing(job["passes"]):
        run = Watched(problem, truth, precision=job["precision"], enough=job["target"])
        try:
            method.restore(problem, run)
        except Reached:
            say(f"quality: {job['image']}: {job['recipe']} has {job['target']:.2f} dB")
    return {"curve": points(run.curve), "settings": all_settings(method), "versions": versions_of(method)}


@dataclass(frozen=True)
class Factor:
    """How much longer another recipe takes: at least so much where it is censored."""

    value: float
    censored: bool

    def __str__(self) -> str:
        return f"{'>' if self.censored else ''}{self.value:.1f}"


def factor(fast: Found, job: Job, other: Found) -> Factor:
    """Return the factor of one pair."""
    curve = curve_of(other["curve"])
    cost = time_to(curve, job["target"])
    return Factor((curve[-1].seconds if cost is None else cost.seconds) / fast["cpu_seconds"], cost is None)


def median(factors: Sequence[Factor]) -> Factor:
    """Return the median, which is a lower bound where a factor that it rests on, or one below, is censored."""
    values = [each.value for each in factors]
    highest = statistics.median_high(values)
    return Factor(statistics.median(values), any(each.censored and each.value <= highest for each in factors))


def measured(plan: Plan, place: tuple[str, str]) -> None:
    """Compute what the file lacks of one image."""
    fast = plan.fast(*place)
    (found,) = fitted(plan.file, [fast], compute, tell)
    jobs = plan.others(*place, found)
    for job, other in zip(jobs, fitted(plan.file, jobs, compute, tell), strict=True):
        longer = plan.longer(job) if factor(found, job, other).censored else None
        if longer is not None:
            fitted(plan.file, [longer], compute, tell)


def tell(job: Job, found: Found) -> str:
    """Return the line of a finished fit."""
    where = f"quality: {job['part']} {job['image']}: {job['recipe']}"
    if "target" not in job:
        return f"{where} {found['psnr']:.2f} dB in {found['cpu_seconds']:.0f} CPU s"
    best = max(point.psnr for point in curve_of(found["curve"]))
    return f"{where} {best:.2f} of {job['target']:.2f} dB in {found['curve'][-1][1]:.0f} CPU s"


def report(plan: Plan) -> list[str]:
    """Print a line a part and recipe; return what is below its limit."""
    there = kept(plan.file)
    factors: dict[tuple[str, str], list[Factor]] = {}
    used: dict[str, Found] = {}
    for part, image in plan.places():
        fast = there.get(key(plan.fast(part, image)))
        jobs = [] if fast is None else plan.others(part, image, fast)
        for job in (job for job in jobs if key(job) in there):
            found = factor(fast or {}, job, there[key(job)])
            longer = plan.longer(job) if found.censored else None
            if longer is not None and key(longer) in there:
                job, found = longer, factor(fast or {}, longer, there[key(longer)])
            factors.setdefault((part, job["recipe"]), []).append(found)
            used[key(job)] = there[key(job)]
    say_versions(used)
    missed = []
    for (part, recipe), of_images in factors.items():
        limit, images = LIMITS.get((part, recipe)), sum(other == part for other, _ in plan.places())
        middle_one = median(of_images)
        say(
            f"quality: {part}: {recipe} takes {middle_one} times the CPU seconds of {FAST} (median; "
            f"{'no limit' if limit is None else f'limit {limit}'}), {plan.precision}, "
            f"{len(of_images)} of {images} images, {sum(each.censored for each in of_images)} censored: "
            f"{' '.join(map(str, of_images))}"
        )
        if limit is not None and middle_one.value < limit:
            missed.append(f"{part}, {recipe}: {middle_one}, limit {limit}")
    return missed


def planned(given: Any) -> Plan:
    """Return the plan of the options."""
    precision = chosen_precision(given.precision, given.file)
    return Plan((given.only,) if given.only else tuple(PARTS), given.cap, given.file, precision, given.quick)


def main() -> None:
    """Compute what the file lacks, print the factors, and fail where one is below its limit."""
    given = arguments(
        __doc__ or "",
        "quality",
        ("--only", {"choices": tuple(PARTS), "help": "one part (both)"}),
        ("--cap", {"type": float, "default": CAP, "help": "most iterations of the released recipe, times fast's (12)"}),
        ("--precision", {"choices": ("float32", "bf16"), "help": "that of the file, else the faster one"}),
    )
    plan = planned(given)
    if not given.report:
        act_on_each(partial(measured, plan), plan.places(), given.processes)
    if (missed := report(plan)) and not given.quick:
        raise SystemExit(f"below the limit: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
