"""The paper's Fig. 3: posterior draws around the truth in their PCA plane, and what averaging them gains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from nidbench.contract.run import DRAWS
from nidbench.records import Log
from nidbench.report.levels import LEVELS
from nidbench.scoring.calibration import Plane, plane_of_draws
from nidbench.scoring.protocols import DEFAULT
from nidbench.scoring.scorer import compare

from .canvas import COLOURS, decorate, empty_figure, one_line
from .view import Drawn, View


def draws(view: View) -> Drawn:
    """Draw the methods' posterior draws around the truth, and what averaging them gains."""
    kept = view.kept(DRAWS, lambda names: DRAWS in names)
    figure = empty_figure(8.2, 3.5 * len(kept), f"{view.key}   ({DEFAULT.name})")
    grid = figure.subplots(len(kept), 2, squeeze=False)
    lines = []
    for row, (label, arrays) in enumerate(kept.items()):
        images = np.stack([compare(draw, None, view.problem, view.truth).image for draw in arrays[DRAWS]])
        plane = plane_of_draws(images, view.reference)
        distances = _distances(plane)
        _show_plane(grid[row, 0], plane, distances, label)
        _show_passes(grid[row, 1], view.log(label), label)
        lines += [f"{label}: {text}" for text in _plane_lines(plane, distances)]
    return Drawn(figure, view.key, lines)


class _Distances(NamedTuple):
    """RMS distances in levels of 255: of the mean and of a draw to the truth, and of the truth to the plane."""

    mean: float
    draw: float
    off_plane: float


def _distances(plane: Plane) -> _Distances:
    return _Distances(LEVELS * plane.mean_to_truth, LEVELS * plane.draws_to_truth, LEVELS * plane.off_plane)


def _show_plane(axes: Axes, plane: Plane, distances: _Distances, label: str) -> None:
    places = LEVELS * plane.draws
    axes.scatter(
        places[:, 0], places[:, 1], s=12, color=COLOURS[0], alpha=0.6, linewidths=0, label=f"{len(places)} draws"
    )
    axes.scatter(0, 0, s=45, marker="D", color=COLOURS[1], label="their mean")
    axes.scatter(
        LEVELS * plane.truth[0], LEVELS * plane.truth[1], s=90, marker="*", color="black", label="truth (projected)"
    )
    axes.set_aspect("equal", adjustable="datalim")
    first, second = (
        f"component {n} ({share:.0%} of variance), levels of 255" for n, share in enumerate(plane.explained, start=1)
    )
    axes.set_xlabel(first, fontsize=8)
    axes.set_ylabel(second, fontsize=8)
    text = f"RMS distance to truth: draws {distances.draw:.1f}, mean {distances.mean:.1f}"
    off = f"truth off this plane by {distances.off_plane:.1f} levels"
    decorate(axes, f"{one_line(label)}\n{text};\n{off}")


def _plane_lines(plane: Plane, distances: _Distances) -> list[str]:
    mean, single, off_plane = distances
    first, second = plane.explained
    return [
        f"RMS distance to the truth in levels of 255: mean {mean:.2f}, a draw {single:.2f} on average",
        f"the plane holds {first + second:.0%} of the draws' variance; the truth is {off_plane:.2f} levels off it",
    ]


def _show_passes(axes: Axes, log: Log, label: str) -> None:
    counts, values = zip(*log.passes, strict=True) if log.passes else ((), ())
    axes.plot(counts, values, marker="o", markersize=3.5, color=COLOURS[0])
    axes.set_xlabel("averaged passes", fontsize=8)
    axes.set_ylabel("PSNR of the average, dB", fontsize=8)
    gain = f"{values[-1] - values[0]:+.2f} dB from {counts[0]} to {counts[-1]} passes" if values else "not scored"
    decorate(axes, f"{one_line(label)}\n{gain}", legend=False)
