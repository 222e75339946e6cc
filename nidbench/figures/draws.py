"""The paper's Fig. 3: posterior draws around the truth in their PCA plane, and what averaging them gains."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from nidbench.metrics import DEFAULT
from nidbench.posterior import Plane, plane_of_draws
from nidbench.records import Record
from nidbench.run import DRAWS
from nidbench.scoring import compare

from .canvas import COLOURS, LEVELS, decorate, empty_figure, one_line
from .view import Drawn, View


def draws(view: View) -> Drawn:
    """Draw the methods' posterior draws around the truth, and what averaging them gains."""
    kept = view.kept(DRAWS, lambda names: DRAWS in names)
    figure = empty_figure(8.2, 3.5 * len(kept), f"{view.key}   ({DEFAULT.name})")
    grid = figure.subplots(len(kept), 2, squeeze=False)
    lines = []
    for row, (label, arrays) in enumerate(kept.items()):
        images = np.stack([compare(each, None, view.problem, view.truth).image for each in arrays[DRAWS]])
        plane = plane_of_draws(images, view.reference)
        _show_plane(grid[row, 0], plane, label)
        _show_passes(grid[row, 1], view.records[label], label)
        lines += [f"{label}: {text}" for text in _plane_lines(plane)]
    return Drawn(figure, view.key, lines)


def _show_plane(axes: Axes, plane: Plane, label: str) -> None:
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
        f"component {n} ({part:.0%} of variance), levels of 255" for n, part in enumerate(plane.explained, start=1)
    )
    axes.set_xlabel(first, fontsize=8)
    axes.set_ylabel(second, fontsize=8)
    distances = [LEVELS * each for each in (plane.draws_to_truth, plane.mean_to_truth, plane.off_plane)]
    text = "RMS distance to truth: draws {:.1f}, mean {:.1f};\ntruth off this plane by {:.1f} levels".format(*distances)
    decorate(axes, f"{one_line(label)}\n{text}")


def _plane_lines(plane: Plane) -> list[str]:
    levels = [LEVELS * each for each in (plane.mean_to_truth, plane.draws_to_truth, plane.off_plane)]
    first, second = plane.explained
    return [
        "RMS distance to the truth in levels of 255: mean {:.2f}, a draw {:.2f} on average".format(*levels),
        f"the plane holds {first + second:.0%} of the draws' variance; the truth is {levels[2]:.2f} levels off it",
    ]


def _show_passes(axes: Axes, record: Record, label: str) -> None:
    counts, values = zip(*record.passes, strict=True) if record.passes else ((), ())
    axes.plot(counts, values, marker="o", markersize=3.5, color=COLOURS[0])
    axes.set_xlabel("averaged passes", fontsize=8)
    axes.set_ylabel("PSNR of the average, dB", fontsize=8)
    gain = f"{values[-1] - values[0]:+.2f} dB from {counts[0]} to {counts[-1]} passes" if values else "not scored"
    decorate(axes, f"{one_line(label)}\n{gain}", legend=False)
