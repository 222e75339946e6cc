"""A part of a sweep that fits a time and still has something of everything.

Conditions (dataset, kernel set and noise) take turns. Within one, images and kernels take turns side by side, so that
any beginning of that order is a rotated subset: of a whole grid, any two images, and any two kernels, are used equally
often, or one of them once more. What such a part says of the whole, `nidbench.grids` tells. The order is the same at
every call, and a longer time only adds to what a shorter one has chosen.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest

from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey

from .cost import Rates, kind
from .cost import seconds as seconds_of
from .plan import Job
from .request import Ask, Experiment, words

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def read_budget(text: str) -> float:
    """Return a time in seconds: `90s`, `30m`, `1.5h`.

    Raises:
        InputError: for another form, or none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise InputError(f"budget {text!r}: give a time such as 90s, 30m or 1.5h")
    return seconds


def as_budget(seconds: float) -> str:
    """Return a time as `read_budget` reads it, rounded up to whole seconds, minutes or hours."""
    unit = "s" if seconds <= 120 else "m" if seconds <= 7200 else "h"
    return f"{math.ceil(seconds / _UNITS[unit])}{unit}"


def condition(key: CaseKey) -> tuple[str, str, str]:
    """Return what a measurement stands for: dataset, kernel set and noise."""
    return key.dataset, key.kernel.partition("/")[0], key.noise


def spread(keys: Iterable[CaseKey]) -> list[CaseKey]:
    """Return measurements in an order of which any beginning is spread over conditions, images and kernels."""
    strata: dict[tuple[str, str, str], list[CaseKey]] = {}
    for key in dict.fromkeys(keys):
        strata.setdefault(condition(key), []).append(key)
    turns = zip_longest(*(_rotated(stratum) for stratum in strata.values()))
    return [key for turn in turns for key in turn if key is not None]


def _rotated(keys: Sequence[CaseKey]) -> Iterator[CaseKey]:
    """Yield the measurements of a condition with images and kernels in turns, and one noise draw after the other."""
    images, kernels = list(dict.fromkeys(key.image for key in keys)), list(dict.fromkeys(key.kernel for key in keys))
    draws: dict[tuple[str, str], list[CaseKey]] = defaultdict(list)
    for key in keys:
        draws[key.image, key.kernel].append(key)
    turn = math.lcm(len(images), len(kernels))
    for draw in range(max(map(len, draws.values()))):
        for step in range(len(images) * len(kernels)):
            # the pairs come back after a turn of both, so that the kernels move on by one
            pair = images[step % len(images)], kernels[(step + step // turn) % len(kernels)]
            yield from draws.get(pair, [])[draw : draw + 1]


def affordable(pending: Sequence[Job], everything: Iterable[CaseKey], rates: Rates, seconds: float) -> list[CaseKey]:
    """Return the measurements, in the order of `spread`, that can be computed in a time.

    Those before the first that no longer fits, so that cheap ones are not preferred; what is there already is free.

    Args:
        pending: the cells yet to be computed.
        everything: all measurements of the sweep.
        rates: from `cost.method_rates`.
        seconds: the time.

    Raises:
        InputError: where it is not enough for one measurement of each condition, or a method's cost is not known.
    """
    costs = _costs(pending, rates)
    ordered = spread(everything)
    chosen: list[CaseKey] = []
    spent = 0.0
    for key in ordered:
        spent += costs[key]
        if spent > seconds:
            break
        chosen.append(key)
    conditions = {condition(key) for key in ordered}
    if len({condition(key) for key in chosen}) < len(conditions):
        needed = sum(costs[key] for key in ordered[: len(conditions)])
        raise InputError(
            f"a budget of {as_budget(seconds)} is not enough for one measurement under each of the {len(conditions)} "
            f"conditions, which take about {as_budget(needed)}: give --budget {as_budget(1.1 * needed)}, or --preset "
            f"fast, --crop, --dataset or fewer --methods{_less(pending)}"
        )
    return chosen


def _less(pending: Sequence[Job]) -> str:
    """Return how to learn the cost of methods that stop by themselves, where there are any."""
    most = dict.fromkeys(job.planned.label for job in pending if job.method.stops_itself)
    if not most:
        return ""
    return (
        f". {', '.join(most)} may stop sooner: with one measurement finished (--limit 1, no --budget) its time counts"
    )


def _costs(pending: Sequence[Job], rates: Rates) -> Mapping[CaseKey, float]:
    """Return the seconds that each measurement takes; 0 where all of its cells are there."""
    costs: dict[CaseKey, float] = defaultdict(float)
    for job in pending:
        rate = rates[kind(job)]
        if rate is None:
            raise InputError(
                f"no pilot told how long {job.planned.label} takes, so that nothing can be fitted to a budget: leave "
                "it out of --methods, or give --limit in place of --budget"
            )
        costs[job.case.key] += seconds_of(job, rate.about)
    return costs


def restrict(ask: Ask, chosen: Iterable[CaseKey]) -> Ask:
    """Return a sweep over these of its measurements: an experiment for each kernel and noise, with the images chosen.

    Args:
        ask: whose experiments each have a dataset and kernel set that is not another's under the same noise.
        chosen: some of its measurements.
    """
    blocks: dict[tuple[Experiment, str, str, str], list[str]] = {}
    for key in chosen:
        experiment = next(each for each in ask.experiments if _has(each, key))
        image = key.image if experiment.crop is None else key.image.removesuffix(f"@{experiment.crop}")
        images = blocks.setdefault((experiment, key.dataset, key.kernel, key.noise), [])
        images += [image] if image not in images else []
    parts = [
        replace(
            experiment,
            dataset=dataset,
            kernels=kernel,
            noise=noise,
            images=",".join(images),
            limit=None,
            rotate_kernels=False,
        )
        for (experiment, dataset, kernel, noise), images in blocks.items()
    ]
    return replace(ask, experiments=tuple(parts))


def _has(experiment: Experiment, key: CaseKey) -> bool:
    kernels, noises = words(experiment.kernels), words(experiment.noise)
    names = (key.kernel, key.kernel.partition("/")[0])
    return (
        key.dataset in words(experiment.dataset)
        and (not kernels or any(name in kernels for name in names))
        and (not noises or key.noise in noises)
    )
