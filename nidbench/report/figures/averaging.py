"""The paper's Fig. 12: PSNR against the number of averaged passes, the mean over a sweep."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from nidbench.analysis.intervals import interval
from nidbench.analysis.speedup import Group, Line, read_lines
from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Store, Sweep
from nidbench.report.contact_sheet import wrapped
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.counts import count_of

from .canvas import COLOURS, decorate, empty_figure
from .view import Choice, Drawn, planned_of


def averaging(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the PSNR of averages over the number of draws in them, and their gain over one draw.

    Means are over images, of the means over an image's cells; the bands are 95 % intervals of the gain (see
    `intervals`). Levels have none: images differ far more than averages do. Each line of `speedup.read_lines` has a
    curve in each group of `groups.PAIRED`.
    """
    curves = _curves(read_lines(store, planned_of(sweep, keys, choice)))
    if not curves:
        raise InputError(
            f"no done cell of the sweep {sweep.name} shows posterior draws: choose a method that samples, such as ours"
        )
    figure = empty_figure(8.2, 3.6, f"{sweep.name}   ({DEFAULT.name})")
    levels, gains = figure.subplots(1, 2)
    lines = []
    for place, (label, by_image) in enumerate(curves.items()):
        counts = sorted(set.intersection(*(set(curve) for cells in by_image.values() for curve in cells)))
        means = np.array([[np.mean([curve[n] for curve in cells]) for n in counts] for cells in by_image.values()])
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": "o", "markersize": 3.5}
        cells = sum(map(len, by_image.values()))
        name = "\n".join(wrapped(f"{label} ({count_of(cells, 'cell')})", 44))
        levels.plot(counts, means.mean(axis=0), label=name, **style)
        gained = means - means[:, :1]
        gains.plot(counts, gained.mean(axis=0), **style)
        low, high = np.array([interval(column) for column in gained.T]).T
        gains.fill_between(counts, low, high, color=style["color"], alpha=0.2, linewidth=0)
        texts = [f"{n}: {mean:.2f}" for n, mean in zip(counts, means.mean(axis=0), strict=True)]
        bounds = f" [{low[-1]:+.2f}, {high[-1]:+.2f}]" if math.isfinite(low[-1]) else ""
        lines.append(
            f"{label} ({count_of(cells, 'cell')}, {count_of(len(by_image), 'image')}): dB by passes {', '.join(texts)}"
        )
        lines.append(f"{label}: gain of {counts[-1]} over 1 pass {gained.mean(axis=0)[-1]:+.2f} dB{bounds}")
    _label_averaging(levels, gains, banded=any(len(by_image) > 2 for by_image in curves.values()))
    return Drawn(figure, None, lines)


def _curves(lines: Sequence[Line]) -> dict[str, dict[str, list[dict[int, float]]]]:
    """Return label -> image -> the PSNR by number of passes of each of its cells; a label for each line and group."""
    curves: dict[tuple[str, Group], dict[str, list[dict[int, float]]]] = {}
    for line in lines:
        for matched, record in line.records.items():
            if record is not None and record.status == "done" and record.log is not None and record.log.passes:
                images = curves.setdefault((line.name, matched.group), {})
                images.setdefault(matched.case.image, []).append(dict(record.log.passes))
    suffixes = _suffixes({group for _, group in curves})
    return {", ".join(filter(None, (name, suffixes[group]))): images for (name, group), images in curves.items()}


def _suffixes(groups: Collection[Group]) -> dict[Group, str]:
    """Return group -> the names that tell it from the others, and the declared level where it is not the known one."""
    several = [len(set(names)) > 1 for names in zip(*groups, strict=True)]
    return {group: " ".join(_distinguishing(group, several)) for group in groups}


def _distinguishing(group: Group, several: Sequence[bool]) -> Iterator[str]:
    *names, declared = group
    yield from compress(names, several)
    if several[-1] or declared != "known":
        yield f"declared {declared}"


def _label_averaging(levels: Axes, gains: Axes, *, banded: bool) -> None:
    for axes, title in ((levels, "PSNR of the average, dB"), (gains, "gain over one pass, dB")):
        axes.set_xlabel("averaged passes", fontsize=8)
        axes.set_ylabel(title, fontsize=8)
    decorate(levels, "mean over images")
    note = "band: 95 % interval over images" if banded else "fewer than 3 images: no interval"
    decorate(gains, note, legend=False)
