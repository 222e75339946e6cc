"""Which reading of eq. 15 `ours` takes: the experiment that decides, with the criterion written before any run.

Eq. 15 of SA dropout leaves open how the variances of neurons become dropout ratios (docs/explanation/sa-dropout.md).
Six readings, all with variances scaled to [0.5, 1.5] by min-max: over a layer, each channel, or the pixels of a layer,
times the former ratios or the initial ones. Two controls: fixed ratios, and fixed ratios at *matched mean*, because SA
also lowers the mean ratio: `ratio_scale=0.71`, which is the mean factor of `pixel initial`, the default so far. It was
0.72, 0.69 and 0.72, averaged over layers and updates, in three fits of 250 iterations by SOAP (seed 100, which is not
in the design: chelsea and ihc under Poisson noise, coins under Gaussian) and 0.71 in an earlier one by Adam. The
control has it from the first iteration on, SA from its first update on, after 40 of at most 300 iterations. Other
readings have other means: each one's mean factor is printed beside its gain.

Design: the middle 96x96 of the first six images of `tuning.py`, none of which a table tests, image i under its kernel
i; Poisson noise of peak 1024 and Gaussian noise of 5 %; three seeds, of the noise draw and of the method. All
configurations see the same measurements. The order of computation is seeds, images, noises, configurations, so that
whatever part is done is balanced.

Criterion. The gain of a reading is its PSNR over that of fixed ratios at matched mean, the mean of the two noises and
of the seeds, one value an image. A reading *wins* where the mean gain of the six images is above 0 with p < 5 % by
Student's t after Holm over the six readings. The default becomes the winner of the largest mean gain. Where nothing
wins it becomes the reading nearest to the paper's words, which is `layer initial`, for these reasons:

- "We first scale v(l) to the range [0.5, 1.5] and update p(l)": v(l) is the array of the l-th dropout layer, and one
  range is given for it. So the extremes are those of the layer, and each neuron has a factor of its own, as p(l) "of
  the same shape as the neurons" and the maps of single channels in Fig. 5 say, too. A range for each channel is next to
  that, and one factor for all channels of a pixel is farthest: it has not the shape of the neurons.
- "p0 denotes the former dropout ratio" is the last one by the word and the first one by the index 0. With the last one
  ratios vanish: the mean factor over a layer was 0.54 in the fit by Adam, and the ten updates and more that fits of
  10,000 iterations have would leave a few thousandths of the dropout from which the restoration is averaged, and no
  need for a cap of 0.5. So it is the first one.

A winner that multiplies the former ratios may win by having next to no dropout. Its ratios are printed, too, and where
the median neuron has less than a tenth of its initial ratio in the end, that is said beside the verdict.

    nox -s bench -- adaptation [--processes N] [--file FILE] [--report] [--quick]
"""

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from _fits import Found, Job, arguments, fitted, kept, key, method_of, middle, restored_by, say, say_versions
from _fits import with_settings as spec_with
from numpy.typing import NDArray
from tuning import IMAGES, kernels, picture

from nidbench.analysis.intervals import CONFIDENCE, holm, interval, mean_of, p_student, resolution
from nidbench.contract import Truth
from nidbench.physics.measure import measure

RECIPE = "ours@fast"
PRECISION = "bf16"
SIDE = 96
NOISES = ("poisson:1024", "gaussian:0.05")
SEEDS = (0, 1, 2)
CHOSEN = IMAGES[:6]

FIXED, MATCHED = "fixed", "matched"
MEAN_FACTOR = 0.71
#: From the nearest to the paper's words on; of equal winners the first is taken.
READINGS = tuple(
    f"{scope} {start}" for start, scope in itertools.product(("initial", "former"), ("layer", "channel", "pixel"))
)
NEAREST = READINGS[0]
CONFIGURATIONS = (FIXED, MATCHED, *READINGS)
#: Of the initial ratio: a median neuron with less has next to no dropout.
VANISHED = 0.1

QUICK = {"iterations": 4, "warmup": 1, "adapt_every": 1, "adapt_draws": 2, "passes": 2}

Values = NDArray[np.float64]


def settings_of(configuration: str) -> dict[str, object]:
    """Return what a configuration sets."""
    if configuration == FIXED:
        return {"adapt_every": 0}
    if configuration == MATCHED:
        return {"adapt_every": 0, "ratio_scale": MEAN_FACTOR}
    scope, start = configuration.split()
    return {"adapt_scaling": "min-max", "adapt_scope": scope, "adapt_from": start}


def design(quick: bool = False) -> list[Job]:
    """Return the fits in the order of computation; where it is only to be seen that they run, a few short ones."""
    recipe = spec_with(RECIPE, **QUICK) if quick else RECIPE
    return [
        {
            "configuration": configuration,
            "spec": spec_with(recipe, **settings_of(configuration)),
            "image": image,
            "kernel": CHOSEN.index(image),
            "noise": noise,
            "seed": seed,
            "precision": PRECISION,
        }
        for seed in (SEEDS[:1] if quick else SEEDS)
        for image in (CHOSEN[:3] if quick else CHOSEN)
        for noise in NOISES
        for configuration in CONFIGURATIONS
    ]


def compute(job: Job) -> Found:
    """Return what one fit comes to, with its mean factors and median ratios by update where there are any."""
    x = middle(picture(job["image"]), SIDE)
    name = f"adaptation {job['image']} {job['noise']} {job['seed']}"
    problem = measure(x, kernels()[job["kernel"]], job["noise"], key=name)
    restored, found = restored_by(job["spec"], problem, Truth(x), job["seed"], job["precision"])
    networks = method_of(job["spec"]).recipe(problem).networks([torch.Generator()])  # type: ignore[attr-defined]
    initial = np.array([layer.initial for layer in networks.dropouts()])
    for noted, what in (("ratio_means", "factors"), ("ratio_quantiles", "medians")):
        by_update = [np.array(each["layers"]) for each in restored.details.get(noted, [])]
        ratios = [each[:, 1] if what == "medians" else each for each in by_update]
        found[what] = [round(float((of_layers / initial).mean()), 4) for of_layers in ratios]
    return found


@dataclass(frozen=True)
class Judged:
    """What became of a configuration; numbers that cannot be known are NaN.

    Attributes:
        configuration: its name.
        gains: PSNR over fixed ratios at matched mean in dB, one for each image, of noises and seeds the mean.
        by_noise: the same for each noise alone, the mean over images.
        low, high: the 95 % interval of the mean gain by Student's t.
        p_holm: Holm's adjusted p-value among the readings; NaN for a control.
    """

    configuration: str
    gains: Values
    by_noise: dict[str, float]
    low: float
    high: float
    p_holm: float

    @property
    def mean(self) -> float:
        """The mean gain in dB."""
        return mean_of(self.gains)

    @property
    def wins(self) -> bool:
        """Whether it is a reading, ahead of fixed ratios at matched mean."""
        return self.mean > 0 and self.p_holm < 1 - CONFIDENCE


Cell = tuple[str, str, int, str]
"""Image, noise, seed, configuration."""


def complete(psnrs: Mapping[Cell, float]) -> dict[str, list[int]]:
    """Return the images with the seeds of which every noise has every configuration."""
    blocks = {(image, seed) for image, _, seed, _ in psnrs}
    whole = [
        (image, seed)
        for image, seed in sorted(blocks)
        if all((image, noise, seed, each) in psnrs for noise in NOISES for each in CONFIGURATIONS)
    ]
    return {image: [seed for other, seed in whole if other == image] for image, _ in whole}


def judged(psnrs: Mapping[Cell, float]) -> list[Judged]:
    """Return what became of each configuration but `matched`, from the PSNRs in dB of whole blocks."""
    blocks = complete(psnrs)

    def gains(configuration: str, noises: Iterable[str]) -> Values:
        return np.array(
            [
                statistics.mean(
                    psnrs[image, noise, seed, configuration] - psnrs[image, noise, seed, MATCHED]
                    for noise in noises
                    for seed in seeds
                )
                for image, seeds in blocks.items()
            ]
        )

    found = {each: gains(each, NOISES) for each in CONFIGURATIONS if each != MATCHED}
    adjusted = dict(zip(READINGS, holm([p_student(found[each]) for each in READINGS]), strict=True))
    return [
        Judged(
            each,
            values,
            {noise: mean_of(gains(each, (noise,))) for noise in NOISES},
            *interval(values),
            adjusted.get(each, float("nan")),
        )
        for each, values in found.items()
    ]


def default(results: Sequence[Judged]) -> str:
    """Return the reading that the criterion makes the default."""
    winners = [each for each in results if each.wins]
    return max(winners, key=lambda each: each.mean).configuration if winners else NEAREST


def report(jobs: Sequence[Job], path: Path) -> None:
    """Print a line a configuration, and the verdict once every fit is there."""
    there = kept(path)
    pairs = [(job, there[key(job)]) for job in jobs if key(job) in there]
    psnrs = {(job["image"], job["noise"], job["seed"], job["configuration"]): found["psnr"] for job, found in pairs}
    if not complete(psnrs):
        raise SystemExit(f"{path} has no block of {len(CONFIGURATIONS)} configurations under both noises yet")
    say_versions({key(job): found for job, found in pairs})
    images = complete(psnrs)
    say(f"adaptation: {len(pairs)} of {len(jobs)} fits; {sum(map(len, images.values()))} blocks, {len(images)} images")
    results = judged(psnrs)
    for each in results:
        say(line(each, [found for job, found in pairs if job["configuration"] == each.configuration]))
    if len(pairs) < len(jobs):
        say("adaptation: no verdict before all fits are there")
        return
    winners = [each.configuration for each in results if each.wins]
    say(f"adaptation: winners: {', '.join(winners) or 'none'}; the default becomes {default(results)!r}")


def line(result: Judged, found: Sequence[Found]) -> str:
    """Return a configuration's line."""
    by_noise = ", ".join(f"{noise} {gain:+.2f}" for noise, gain in result.by_noise.items())
    each = " ".join(f"{gain:+.2f}" for gain in result.gains)
    text = (
        f"adaptation: {result.configuration}: {result.mean:+.3f} dB [{result.low:+.3f}, {result.high:+.3f}] over fixed "
        f"ratios x {MEAN_FACTOR}, p after Holm {result.p_holm:.3f}, {'wins' if result.wins else 'does not win'}; "
        f"{by_noise}; images {each}; would be seen: {resolution(result.gains):.2f} dB"
    )
    adapted = [entry for entry in found if entry["factors"]]
    if not adapted:
        return text
    over = statistics.mean(statistics.mean(entry["factors"]) for entry in adapted)
    last, median = (statistics.mean(entry[what][-1] for entry in adapted) for what in ("factors", "medians"))
    vanished = ": next to no dropout" if median < VANISHED else ""
    return f"{text}; mean factor {over:.2f}, in the end {last:.2f}, of the median neuron {median:.2f}{vanished}"


def tell(job: Job, found: Found) -> str:
    """Return the line of a finished fit."""
    where = f"seed {job['seed']}, {job['image']}, {job['noise']}, {job['configuration']}"
    return f"adaptation: {where}: {found['psnr']:.2f} dB in {found['cpu_seconds']:.0f} CPU s"


def main() -> None:
    """Compute what the file lacks and print what it says."""
    given = arguments(__doc__ or "", "adaptation")
    jobs = design(given.quick)
    if not given.report:
        fitted(given.file, jobs, compute, tell, given.processes)
    report(jobs, given.file)


if __name__ == "__main__":
    main()
