"""Selects cells that fit a time budget and cover every condition.

Conditions (dataset, kernel set and noise) take turns. Within a condition, images and kernels take turns together, so
that the first measurements in this order are a rotated subset: in a whole grid, the numbers of uses of any two images
differ by at most one, and so do those of any two kernels. `nidbench.analysis.grids` estimates from such a subset what
the whole grid would show. The order is the same at every call, and a longer budget only adds measurements.
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
    """Return a time such as `90s`, `30m` or `1.5h` in seconds.

    Raises:
        InputError: for another form, or 0.
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
    """Return the condition of a measurement: dataset, kernel set and noise."""
    return key.dataset, key.kernel_set, key.noise


def spread(keys: Iterable[CaseKey]) -> list[CaseKey]:
    """Return measurements in an order whose first ones cover conditions, images and kernels evenly."""
    strata: dict[tuple[str, str, str], list[CaseKey]] = {}
    for key in dict.fromkeys(keys):
        strata.setdefault(condition(key), []).append(key)
    turns = zip_longest(*(_rotated(stratum) for stratum in strata.values()))
    return [key for turn in turns for key in turn if key is not None]


def _rotated(keys: Sequence[CaseKey]) -> Iterator[CaseKey]:
    """Yield the measurements of a condition: images and kernels in turns, all for a noise draw before the next one."""
    images, kernels = list(dict.fromkeys(key.image for key in keys)), list(dict.fromkeys(key.kernel for key in keys))
    draws: dict[tuple[str, str], list[CaseKey]] = defaultdict(list)
    for key in keys:
        draws[key.image, key.kernel].append(key)
    turn = math.lcm(len(images), len(kernels))
    for draw in range(max(map(len, draws.values()))):
        for step in range(len(images) * len(kernels)):
            # pairs would repeat after a full turn, so that the kernels then move on by one
            pair = images[step % len(images)], kernels[(step + step // turn) % len(kernels)]
            yield from draws.get(pair, [])[draw : draw + 1]


def affordable(pending: Sequence[Job], everything: Iterable[CaseKey], rates: Rates, seconds: float) -> list[CaseKey]:
    """Return the measurements, in the order of `spread`, that can be computed in a time.

    They end before the first measurement that does not fit, so that cheap ones are not preferred. Finished cells cost
    nothing.

    Args:
        pending: the cells that are still to be computed.
        everything: all measurements of the sweep.
        rates: from `cost.method_rates`.
        seconds: the time.

    Raises:
        InputError: where the time is not enough for a measurement of every condition, or a method's cost is unknown.
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
            f"fast, --crop, --dataset or fewer --methods{_cheaper_hint(pending)}"
        )
    return chosen


def _cheaper_hint(pending: Sequence[Job]) -> str:
    """Return how to measure the cost of methods that stop by themselves; empty where there are none."""
    most = dict.fromkeys(job.planned.label for job in pending if job.method.stops_itself)
    if not most:
        return ""
    return (
        f". {', '.join(most)} may stop sooner: with one measurement finished (--limit 1, no --budget) its time counts"
    )


def _costs(pending: Sequence[Job], rates: Rates) -> Mapping[CaseKey, float]:
    """Return the seconds that measurements take, by key; 0 where all cells of a measurement are finished."""
    costs: dict[CaseKey, float] = defaultdict(float)
    for job in pending:
        rate = rates[kind(job)]
        if rate is None:
            raise InputError(
                f"cannot estimate the run time of {job.planned.label}, so --budget cannot be used: leave it out of "
                "--methods, or give --limit in place of --budget"
            )
        costs[job.case.key] += seconds_of(job, rate.about)
    return costs


def restrict(ask: Ask, chosen: Iterable[CaseKey]) -> Ask:
    """Return a request for some measurements of a sweep, with an experiment for every kernel and noise.

    Args:
        ask: the request of the sweep; under a noise, no two of its experiments share dataset and kernel set.
        chosen: some of its measurements.
    """
    blocks: dict[tuple[Experiment, str, str, str], list[str]] = {}
    for key in chosen:
        experiment = next(candidate for candidate in ask.experiments if _has(candidate, key))
        image = key.image if experiment.crop is None else key.image.removesuffix(f"@{experiment.crop}")
        images = blocks.setdefault((experiment, key.dataset, key.kernel, key.noise), [])
        images += [image] if image not in images else []
    experiments = [
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
    return replace(ask, experiments=tuple(experiments))


def _has(experiment: Experiment, key: CaseKey) -> bool:
    kernels, noises = words(experiment.kernels), words(experiment.noise)
    names = (key.kernel, key.kernel_set)
    return (
        key.dataset in words(experiment.dataset)
        and (not kernels or any(name in kernels for name in names))
        and (not noises or key.noise in noises)
    )
