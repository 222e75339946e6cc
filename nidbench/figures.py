"""The paper's figures about uncertainty and ambiguity (Figs. 1, 3, 5, 11 and 12) and curves, from a sweep's records.

Each comes with the lines of numbers that it shows. Where the paper has one method over its iterations (Fig. 1), these
have the methods of a sweep side by side, because records keep the scores of a curve and not its images.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from .contract import CaseKey, Image, Kernel, Problem, Truth
from .curves import (
    Line,
    cases_frame,
    curve_of,
    factor_text,
    factors_frame,
    group_text,
    mean_curve,
    pairs,
    read_lines,
)
from .curves import report as report_factors
from .errors import InputError, ResultsError, UnknownNameError
from .metrics import DEFAULT
from .nullband import THRESHOLD, Split, decibels, near_null, split_error, transfer_magnitude
from .posterior import Plane, coverage, error_variance_correlation, plane_of_draws
from .records import Record, Store, Sweep
from .registry import unknown
from .report import choose, picture, wrapped
from .run import DRAWS
from .scoring import Compared, compare, extended
from .statistics import interval

Measurements: TypeAlias = Callable[[CaseKey], tuple[Problem, Truth] | None]

#: The paper's numbers of the figures, or names of those that are not the paper's, and what they show.
FIGURES = {
    "fig1": "error inside and outside the kernel's near-null band",
    "fig3": "posterior draws, their mean and the truth in the draws' PCA plane; PSNR against averaged passes",
    "fig5": "variance maps of the network's layers, and of the channels of one",
    "fig11": "standard deviation of the output beside its error",
    "fig12": "PSNR against averaged passes, mean over the sweep",
    "curves": "PSNR against iterations and seconds, and the factor that a preset gains over another at equal PSNR",
}

#: The layer whose channels the paper shows, of 18.
LAYER = 17

_LEVELS = 255.0
_COLUMNS = 9
_ORANGE = (1.0, 0.62, 0.11)
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")


@dataclass(frozen=True)
class Choice:
    """Which part of a sweep a figure shows.

    Attributes:
        methods: labels; empty for all that have what it takes.
        image, kernel, noise: names that the cases must have; empty for any. A kernel's set may stand for its kernels.
        case: which of those that are left, from 1, where a figure shows one.
        layer: the layer whose channels are shown, from 1; None for the paper's 17th, or the last where there are fewer.
        threshold: of the near-null band, in parts of max |K|.
    """

    methods: tuple[str, ...] = ()
    image: str = ""
    kernel: str = ""
    noise: str = ""
    case: int = 1
    layer: int | None = None
    threshold: float = THRESHOLD


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure, the case it shows (None for a whole sweep), and its numbers as lines of text."""

    figure: Figure
    key: CaseKey | None
    lines: Sequence[str]


def draw(name: str, store: Store, sweep: Sweep, choice: Choice, measurements: Measurements) -> Drawn:
    """Return one of `FIGURES`, drawn from the done cells of a sweep.

    Args:
        name: its key.
        store: the results folder.
        sweep: which of its sweeps.
        choice: which part of it.
        measurements: makes a measurement and its sharp image; None where no sharp image is known.

    Raises:
        UnknownNameError: no such figure, method, image or kernel.
        InputError: where the cells lack what the figure needs, with the command that makes it.
        ResultsError: where stored arrays cannot be read.
    """
    if name not in FIGURES:
        raise UnknownNameError(unknown("figure", name, list(FIGURES)))
    labels = list(dict.fromkeys(planned.label for planned in sweep.cells))
    for label in choice.methods:
        if label not in labels:
            raise UnknownNameError(unknown(f"method of the sweep {sweep.name}", label, labels))
    keys = _cases(sweep, choice)
    if name == "fig12":
        return _averaging(store, sweep, keys, choice)
    if name == "curves":
        return _convergence(store, sweep, keys, choice)
    if not 1 <= choice.case <= len(keys):
        raise InputError(f"case {choice.case}: give 1 to {len(keys)}, such as 1 for {keys[0]}")
    makers = {"fig1": _null_band, "fig3": _draws, "fig5": _layers, "fig11": _deviations}
    return makers[name](_View.of(store, sweep, keys[choice.case - 1], choice, measurements))


def _cases(sweep: Sweep, choice: Choice) -> list[CaseKey]:
    keys = list(dict.fromkeys(planned.case for planned in sweep.cells))
    for what, wanted in (("image", choice.image), ("kernel", choice.kernel), ("noise", choice.noise)):
        names = list(dict.fromkeys(getattr(key, what) for key in keys))
        found = [each for each in names if wanted in ("", each, each.partition("/")[0])]
        if not found:
            raise UnknownNameError(unknown(f"{what} of the sweep {sweep.name}", wanted, names))
        keys = [key for key in keys if getattr(key, what) in found]
    return keys


@dataclass(frozen=True, eq=False)
class _View:
    """One case of a sweep, with the done cells of the methods asked for."""

    store: Store
    sweep: Sweep
    key: CaseKey
    choice: Choice
    problem: Problem
    truth: Truth
    records: Mapping[str, Record]

    @classmethod
    def of(cls, store: Store, sweep: Sweep, key: CaseKey, choice: Choice, measurements: Measurements) -> _View:
        cells = [each for each in sweep.cells if each.case == key and each.label in (choice.methods or [each.label])]
        records, lacking = choose(store, cells)
        if not records:
            raise InputError(f"no cell of {key} is done ({', '.join(lacking)}): run the sweep {sweep.name} to its end")
        found = measurements(key)
        if found is None:
            raise InputError(f"no sharp image of {key} is known: choose a case that has one")
        return cls(store, sweep, key, choice, *found, records)

    def compared(self, label: str) -> Compared:
        """Return a method's restoration beside the truth."""
        arrays = self.store.arrays(self.records[label].id)
        return compare(arrays["image"], arrays.get("variance"), self.problem, self.truth)

    @property
    def reference(self) -> Image:
        """The part of the truth that is compared with, Shape (C, h, w)."""
        return DEFAULT.reference(self.problem, self.truth)

    @property
    def blurred(self) -> Image:
        """The same part of the measurement, which has the response already."""
        return DEFAULT.crop(extended(self.problem), self.problem, self.truth).clip(0, 1)

    @property
    def input_psnr(self) -> str:
        """The measurement's score as text, empty where it has none."""
        score = next(iter(self.records.values())).input_scores.get(DEFAULT.name)
        return "" if score is None else f"{score.psnr:.2f} dB"

    def psnr(self, label: str) -> str:
        """Return a method's score as text, empty where it has none."""
        score = self.records[label].scores.get(DEFAULT.name)
        return "" if score is None else f"{score.psnr:.2f} dB"

    def kept(self, what: str, has: Callable[[Iterable[str]], bool]) -> dict[str, dict[str, NDArray[Any]]]:
        """Return label -> kept arrays of the methods whose names of arrays pass `has`.

        Raises:
            InputError: where there are none: what to run, or that these methods have nothing of the kind.
        """
        asked = [label for label, record in self.records.items() if self.store.holds(record, [what])]
        arrays = {label: self.store.kept(self.records[label].id) for label in asked}
        found = {label: each for label, each in arrays.items() if has(each)}
        if not found and len(asked) == len(self.records):
            raise InputError(f"{', '.join(asked)} had no {what} to keep: choose a method that does")
        if not found:
            others = ", ".join(label for label in self.records if label not in asked)
            raise InputError(
                f"no {what} of {others} were kept for {self.key}: give the nidbench run of the sweep {self.sweep.name} "
                f"again with --keep {what}, which computes its cells again and keeps them"
            )
        return found


# Fig. 1


def _null_band(view: _View) -> Drawn:
    """Draw each method's error and the part of it that the kernel hides.

    The truth's own part is what a method errs by that leaves the band empty.
    """
    kernel, threshold, reference = view.problem.kernel, view.choice.threshold, view.reference
    images = {"input": view.blurred, **{label: view.compared(label).image for label in view.records}}
    errors = {label: image.astype(np.float64) - reference for label, image in images.items()}
    parts = {label: split_error(error, kernel, threshold) for label, error in errors.items()}
    parts["truth"] = split_error(reference, kernel, threshold)
    canvas = _Canvas(3, len(images) + 1, reference.shape, heading=f"{view.key}   ({DEFAULT.name})")
    scores = {"input": view.input_psnr, **{label: view.psnr(label) for label in view.records}}
    for column, (label, image) in enumerate({**images, "truth": reference}.items()):
        title = [*wrapped(label, 24), scores.get(label, "")]
        canvas.show(0, column, picture(image), "\n".join(title).strip())
    names = list(view.records) or list(images)
    canvas.differences(1, [_gray(error) for error in errors.values()], [_gray(errors[label]) for label in names])
    hidden = {label: _gray(part.inside) for label, part in parts.items()}
    canvas.differences(2, list(hidden.values()), [hidden[label] for label in names])
    for column, part in enumerate(parts.values()):
        canvas.axes[2, column].set_xlabel(_decibels_of(part, own=column == len(images)), fontsize=7, labelpad=3)
    canvas.name_rows("image", "error", "in the near-null band")
    _show_band(canvas, 1, len(images), kernel, reference.shape[1:], threshold)
    lines = [f"near-null band: |K| < {threshold:g} max |K|, {parts['truth'].share:.1%} of the frequencies"]
    lines += [f"{label}: {_parts_of(part, own=label == 'truth')}" for label, part in parts.items()]
    return Drawn(canvas.figure, view.key, lines)


def _decibels_of(part: Split, *, own: bool) -> str:
    if own:
        return f"its own: {decibels(part.inside_mse):.1f} dB"
    return f"in {decibels(part.inside_mse):.1f} dB, out {decibels(part.outside_mse):.1f} dB"


def _parts_of(part: Split, *, own: bool) -> str:
    inside = f"{part.inside_mse:.3e} ({decibels(part.inside_mse):.2f} dB)"
    if own:
        return f"mean square in the band {inside}: the error of leaving it empty"
    outside = f"{part.outside_mse:.3e} ({decibels(part.outside_mse):.2f} dB)"
    total = part.inside_mse + part.outside_mse
    return f"mean squared error in the band {inside}, out of it {outside}; {part.inside_mse / total:.1%} is inside"


def _show_band(
    canvas: _Canvas, row: int, column: int, kernel: Kernel, shape: tuple[int, ...], threshold: float
) -> None:
    """Show log |K| with the band in orange, the constant component in the middle."""
    magnitude = np.fft.fftshift(transfer_magnitude(kernel, shape))
    band = np.fft.fftshift(near_null(kernel, shape, threshold))
    gray = 1 + np.log10(np.maximum(magnitude, 1e-2)) / 2
    shown = np.where(band[..., None], _ORANGE, gray[..., None])
    canvas.show(row, column, shown, f"|K| (log), orange: < {threshold:g} max", interpolation="nearest")


# Fig. 3


def _draws(view: _View) -> Drawn:
    """Draw the methods' posterior draws around the truth, and what averaging them gains."""
    kept = view.kept(DRAWS, lambda names: DRAWS in names)
    figure = _figure(8.2, 3.5 * len(kept), f"{view.key}   ({DEFAULT.name})")
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
    places = _LEVELS * plane.draws
    axes.scatter(
        places[:, 0], places[:, 1], s=12, color=_COLOURS[0], alpha=0.6, linewidths=0, label=f"{len(places)} draws"
    )
    axes.scatter(0, 0, s=45, marker="D", color=_COLOURS[1], label="their mean")
    axes.scatter(
        _LEVELS * plane.truth[0], _LEVELS * plane.truth[1], s=90, marker="*", color="black", label="truth (projected)"
    )
    axes.set_aspect("equal", adjustable="datalim")
    first, second = (
        f"component {n} ({part:.0%} of variance), levels of 255" for n, part in enumerate(plane.explained, start=1)
    )
    axes.set_xlabel(first, fontsize=8)
    axes.set_ylabel(second, fontsize=8)
    distances = [_LEVELS * each for each in (plane.draws_to_truth, plane.mean_to_truth, plane.off_plane)]
    text = "RMS distance to truth: draws {:.1f}, mean {:.1f};\ntruth off this plane by {:.1f} levels".format(*distances)
    _decorate(axes, f"{_one_line(label)}\n{text}")


def _plane_lines(plane: Plane) -> list[str]:
    levels = [_LEVELS * each for each in (plane.mean_to_truth, plane.draws_to_truth, plane.off_plane)]
    first, second = plane.explained
    return [
        "RMS distance to the truth in levels of 255: mean {:.2f}, a draw {:.2f} on average".format(*levels),
        f"the plane holds {first + second:.0%} of the draws' variance; the truth is {levels[2]:.2f} levels off it",
    ]


def _show_passes(axes: Axes, record: Record, label: str) -> None:
    counts, values = zip(*record.passes, strict=True) if record.passes else ((), ())
    axes.plot(counts, values, marker="o", markersize=3.5, color=_COLOURS[0])
    axes.set_xlabel("averaged passes", fontsize=8)
    axes.set_ylabel("PSNR of the average, dB", fontsize=8)
    gain = f"{values[-1] - values[0]:+.2f} dB from {counts[0]} to {counts[-1]} passes" if values else "not scored"
    _decorate(axes, f"{_one_line(label)}\n{gain}", legend=False)


# Fig. 5


def _layers(view: _View) -> Drawn:
    """Draw the variance of the neurons: each layer's mean over its channels, then single channels of one layer."""
    kept = view.kept("layers", lambda names: any(name.startswith("layer ") for name in names))
    label, arrays = next(iter(kept.items()))
    layers = {name: _maps(array) for name, array in sorted(arrays.items()) if name.startswith("layer ")}
    number = view.choice.layer or min(LAYER, len(layers))
    if not 1 <= number <= len(layers):
        raise InputError(f"layer {number}: {label} kept {len(layers)} layers, give 1 to {len(layers)}")
    chosen = list(layers.values())[number - 1][:_COLUMNS]
    columns = min(_COLUMNS, max(len(layers), len(chosen)))
    rows = -(-len(layers) // columns)
    heading = (
        f"Variance of the neurons of {label}: layers (mean over channels), then channels of layer {number}\n{view.key}"
    )
    canvas = _Canvas(rows + 1, columns, next(iter(layers.values())).shape, heading, size=1.25)
    for place, (name, maps) in enumerate(layers.items()):
        canvas.relative(*divmod(place, columns), maps.mean(axis=0), name)
    for place, values in enumerate(chosen):
        canvas.relative(rows, place, values, f"L{number} channel {place + 1}")
    canvas.relative_bar("variance over the number\nin the panel's title")
    lines = [
        f"{label} {name}: variance {maps.mean(dtype=np.float64):.3e} on average, Shape {maps.shape}"
        for name, maps in layers.items()
    ]
    return Drawn(canvas.figure, view.key, lines)


def _maps(array: NDArray[Any]) -> NDArray[np.float32]:
    """Return a layer's array as maps, Shape (C, H, W)."""
    if array.ndim not in (2, 3):
        raise ResultsError(f"a layer of shape {array.shape} was kept: the method must keep (C, H, W)")
    return array.astype(np.float32).reshape(-1, *array.shape[-2:])


# Fig. 11


def _deviations(view: _View) -> Drawn:
    """Draw what each method believes of its error beside its error."""
    found = {label: view.compared(label) for label in view.records}
    known = {label: pair for label, pair in found.items() if pair.variance is not None}
    if not known:
        raise InputError(
            f"{', '.join(found)} told no variance of the output: choose a method that samples, such as ours"
        )
    canvas = _Canvas(len(known), 4, view.reference.shape, f"{view.key}   ({DEFAULT.name})", size=2.3, bars=True)
    lines = []
    for row, (label, pair) in enumerate(known.items()):
        lines.append(f"{label}: {_show_deviation(canvas, row, pair)}")
        canvas.show(row, 0, picture(view.blurred), f"blurred\n{view.input_psnr}")
        canvas.show(row, 1, picture(pair.image), f"{_one_line(label)}\n{view.psnr(label)}")
    return Drawn(canvas.figure, view.key, lines)


def _show_deviation(canvas: _Canvas, row: int, pair: Compared) -> str:
    """Show what a method believes of its error and the error, and return what the two have in common."""
    variance = np.asarray(pair.variance)
    correlation = error_variance_correlation(pair.image, variance, pair.truth)
    covered = coverage(pair.image, variance, pair.truth)
    nominal = "/".join(f"{100 * level:.0f}" for level in covered)
    actual = "/".join(f"{100 * part:.0f}" for part in covered.values())
    deviation, error = np.sqrt(_mean(variance)), np.sqrt(_mean(pair.error**2))
    canvas.levels(row, 2, deviation, f"standard deviation\nrank correlation with |error| {correlation:.2f}")
    canvas.levels(row, 3, error, f"|error|; {nominal} % intervals\ncover {actual} %")
    sizes = [_LEVELS * math.sqrt(squares.mean()) for squares in (deviation**2, error**2)]
    return (
        f"rank correlation of error and variance {correlation:.3f}; intervals of {nominal} % cover {actual} %; "
        f"root mean square deviation {sizes[0]:.2f}, error {sizes[1]:.2f} levels of 255"
    )


# Fig. 12


def _averaging(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the PSNR of averages over the number of draws in them, and their gain over one draw.

    Means are over images, of the means over an image's cells; the bands are 95 % intervals of the gain (`statistics`).
    Levels have none: images differ far more than averages do.
    """
    curves = _curves(store, sweep, keys, choice)
    if not curves:
        raise InputError(
            f"no done cell of the sweep {sweep.name} shows posterior draws: choose a method that samples, such as ours"
        )
    figure = _figure(8.2, 3.6, f"{sweep.name}   ({DEFAULT.name})")
    levels, gains = figure.subplots(1, 2)
    lines = []
    for place, (label, by_image) in enumerate(curves.items()):
        counts = sorted(set.intersection(*(set(curve) for cells in by_image.values() for curve in cells)))
        means = np.array([[np.mean([curve[n] for curve in cells]) for n in counts] for cells in by_image.values()])
        style: dict[str, Any] = {"color": _COLOURS[place % len(_COLOURS)], "marker": "o", "markersize": 3.5}
        cells = sum(map(len, by_image.values()))
        levels.plot(counts, means.mean(axis=0), label=f"{_one_line(label)} ({_count(cells, 'cell')})", **style)
        gained = means - means[:, :1]
        gains.plot(counts, gained.mean(axis=0), label=_one_line(label), **style)
        low, high = np.array([interval(column) for column in gained.T]).T
        gains.fill_between(counts, low, high, color=style["color"], alpha=0.2, linewidth=0)
        texts = [f"{n}: {mean:.2f}" for n, mean in zip(counts, means.mean(axis=0), strict=True)]
        bounds = f" [{low[-1]:+.2f}, {high[-1]:+.2f}]" if math.isfinite(low[-1]) else ""
        lines.append(
            f"{label} ({_count(cells, 'cell')}, {_count(len(by_image), 'image')}): dB by passes {', '.join(texts)}"
        )
        lines.append(f"{label}: gain of {counts[-1]} over 1 pass {gained.mean(axis=0)[-1]:+.2f} dB{bounds}")
    _label_averaging(levels, gains, banded=any(len(by_image) > 2 for by_image in curves.values()))
    return Drawn(figure, None, lines)


def _curves(
    store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice
) -> dict[str, dict[str, list[dict[int, float]]]]:
    """Return label -> image -> the PSNR by number of passes of each of its cells; noises and datasets apart."""
    several = len({(key.dataset, key.noise) for key in keys}) > 1
    found: dict[str, dict[str, list[dict[int, float]]]] = {}
    for planned in sweep.cells:
        key = planned.case
        if key not in keys or planned.label not in (choice.methods or (planned.label,)):
            continue
        record = store.read(planned.id)
        if record is not None and record.status == "done" and record.passes:
            label = f"{planned.label}, {key.dataset} {key.noise}" if several else planned.label
            found.setdefault(label, {}).setdefault(key.image, []).append(dict(record.passes))
    return found


def _label_averaging(levels: Axes, gains: Axes, *, banded: bool) -> None:
    for axes, title in ((levels, "PSNR of the average, dB"), (gains, "gain over one pass, dB")):
        axes.set_xlabel("averaged passes", fontsize=8)
        axes.set_ylabel(title, fontsize=8)
    _decorate(levels, "mean over images")
    note = "band: 95 % interval over images" if banded else "fewer than 3 images: no interval"
    _decorate(gains, note, legend=False)


# curves


def _convergence(store: Store, sweep: Sweep, keys: Sequence[CaseKey], choice: Choice) -> Drawn:
    """Draw the PSNR of each method's lines over what was spent, a row for each method and group of measurements."""
    wanted = [each for each in sweep.cells if each.case in keys and each.label in (choice.methods or (each.label,))]
    lines = read_lines(store, wanted)
    groups = list(dict.fromkeys(cell.group for line in lines for cell in line.records))
    rows = [
        (group, shown)
        for method in dict.fromkeys(line.method for line in lines)
        for group in groups
        if (shown := [line for line in lines if line.method == method and line.curves(group)])
    ]
    if not rows:
        raise InputError(
            f"no done cell of the sweep {sweep.name} has a curve: choose a method that iterates, such as dip, "
            "and run it with --observe 25"
        )
    cases = cases_frame(lines)
    factors = factors_frame(cases)
    heading = f"{sweep.name}   ({DEFAULT.name})\nfactor: to first reach what the reference returns, in how many cases"
    figure = _figure(8.6, 2.8 * len(rows) + 0.6, heading)
    grid = figure.subplots(len(rows), 2, squeeze=False, sharex="col", sharey="row")
    for (group, shown), panels in zip(rows, grid, strict=True):
        for axes, unit in zip(panels, ("iterations", "seconds"), strict=True):
            gained = {line.name: factor_text(factors, line.name, group, unit) for line in shown}
            _show_lines(axes, shown, group, unit, gained)
            axes.set_ylim(_range(shown, group))
            _decorate(axes, f"{shown[0].method}, {group_text(group)}")
        panels[0].set_ylabel("PSNR, dB", fontsize=8)
    for axes, unit in zip(grid[-1], ("iterations", "seconds"), strict=True):
        axes.set_xlabel(f"{unit} (thick: mean, thin: single cases, dots: their own stops)", fontsize=8)
    return Drawn(figure, None, [*report_factors(cases), *_without_factor(lines)])


def _show_lines(
    axes: Axes, lines: Sequence[Line], group: tuple[str, str, str, str], unit: str, gained: Mapping[str, str]
) -> None:
    """Show each case's curve, and thick their mean, in which a case that has stopped keeps what it returned."""
    attribute = unit.replace("iterations", "iteration")
    for place, line in enumerate(lines):
        curves = line.curves(group)
        style: dict[str, Any] = {"color": _COLOURS[place % len(_COLOURS)], "marker": "o", "markevery": [-1]}
        for curve in curves if len(curves) > 1 else ():
            spent = [getattr(point, attribute) for point in curve]
            axes.plot(spent, [point.psnr for point in curve], linewidth=0.7, alpha=0.45, markersize=2.5, **style)
        places, means = mean_curve(curves, attribute)
        name = _one_line(line.name)
        text = f"{name}: {gained[line.name]}" if gained[line.name] else name
        axes.plot(places, means, linewidth=1.8, markersize=5, label=text, **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _range(lines: Sequence[Line], group: tuple[str, str, str, str]) -> tuple[float, float]:
    """Return the range of the PSNR axis: without the climb from the first, random predictions, with room for names."""
    curves = [curve for line in lines for curve in line.curves(group)]
    values = [point.psnr for curve in curves for point in curve if math.isfinite(point.psnr)]
    bottom = max(min(values), min(curve[-1].psnr for curve in curves) - 4) - 0.3
    names = min(0.5, 0.08 * len(lines) + 0.06)
    return bottom, bottom + (max(values) - bottom) / (1 - names)


def _without_factor(lines: Sequence[Line]) -> Iterable[str]:
    """Yield what has no factor, and why."""
    compared = {line.method for pair in pairs(lines) for line in pair}
    for line in lines:
        if not any(map(curve_of, line.records.values())):
            yield f"{line.name}: no curve, so no factor"
        elif line.method not in compared:
            yield f"{line.name}: alone, so no factor; run another preset of {line.method} beside it"


# drawing


def _figure(width: float, height: float, heading: str) -> Figure:
    """Return an empty figure, in inches, whose parts arrange themselves."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    lines = [line for text in heading.split("\n") for line in textwrap.wrap(text, int(width * 12))]
    figure.suptitle("\n".join(lines), fontsize=9, weight="bold", x=0.01, ha="left", parse_math=False)
    return figure


def _decorate(axes: Axes, title: str, *, legend: bool = True) -> None:
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    if legend:
        for text in axes.legend(fontsize=7, framealpha=0.8).get_texts():
            text.set_parse_math(False)


def _one_line(label: str) -> str:
    return label if len(label) <= 44 else label[:43] + "…"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean over channels, Shape (h, w), float64."""
    return np.asarray(values.mean(axis=0, dtype=np.float64))


def _gray(error: Image) -> NDArray[np.float64]:
    """Return an error as signed levels of 255, the mean over channels, Shape (h, w)."""
    return _LEVELS * _mean(error)


class _Canvas:
    """Panels in rows and columns, each an image.

    Args:
        rows, columns: of panels.
        shape: of the images, (C, h, w).
        heading: what stands above all.
        size: width of a panel in inches; of images higher than wide, their height.
        bars: whether panels have colour bars of their own.
    """

    def __init__(
        self, rows: int, columns: int, shape: Sequence[int], heading: str, size: float = 1.9, *, bars: bool = False
    ) -> None:
        aspect = float(np.clip(shape[1] / shape[2], 0.4, 2.5))
        width, height = size / max(1.0, aspect), size * min(1.0, aspect)
        lines = heading.count("\n") + 1
        page = columns * (width + (0.45 if bars else 0.1)) + 0.9, rows * (height + 0.42) + 0.2 * lines
        self.figure = _figure(*page, heading)
        self.axes: NDArray[Any] = self.figure.subplots(rows, columns, squeeze=False)
        for axes in self.axes.flat:
            axes.set_axis_off()

    def show(self, row: int, column: int, values: NDArray[Any], title: str, **options: Any) -> Any:
        """Show an array; options as of `imshow`."""
        axes = self.axes[row, column]
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.6", linewidth=0.5)
        axes.set_title(title, fontsize=7.5, pad=3, parse_math=False)
        return axes.imshow(values, **options)

    def differences(self, row: int, maps: Sequence[NDArray[Any]], scaling: Sequence[NDArray[Any]]) -> None:
        """Show signed maps in levels of 255 on one scale, at which a hundredth of the pixels of `scaling` saturates."""
        limit = max(1.0, float(np.percentile(np.abs(np.stack(scaling)), 99)))
        for column, values in enumerate(maps):
            shown = self.show(row, column, values, "", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        self._bar(shown, self.axes[row, :], "levels of 255", "both")

    def levels(self, row: int, column: int, values: NDArray[Any], title: str) -> None:
        """Show a map of what is not negative, from 0 to its 99.5 % quantile, in levels of 255, with its colour bar."""
        limit = max(1e-6, _LEVELS * float(np.percentile(values, 99.5)))
        options: dict[str, Any] = {"cmap": "magma", "vmin": 0, "vmax": limit, "interpolation": "nearest"}
        shown = self.show(row, column, _LEVELS * values, title, **options)
        self._bar(shown, self.axes[row, column], "levels of 255", "max")

    def relative(self, row: int, column: int, values: NDArray[Any], title: str) -> None:
        """Show a map of what is not negative over its own 99 % quantile, which the title tells."""
        limit = max(1e-30, float(np.percentile(values, 99)))
        options: dict[str, Any] = {"cmap": "magma", "vmin": 0, "vmax": 1, "interpolation": "nearest"}
        self.show(row, column, values / limit, f"{title}\n{limit:.1e}", **options)

    def relative_bar(self, title: str) -> None:
        """Add the colour bar of all `relative` panels."""
        shown = ScalarMappable(cmap="magma")
        shown.set_clim(0, 1)
        self._bar(shown, self.axes, title, "max", shrink=0.6)

    def name_rows(self, *names: str) -> None:
        """Write each row's name left of its first panel."""
        for axes, name in zip(self.axes[:, 0], names, strict=True):
            axes.set_ylabel(name, fontsize=8, labelpad=3)

    def _bar(self, shown: ScalarMappable, axes: Any, title: str, extend: str, shrink: float = 0.9) -> None:
        bar = self.figure.colorbar(shown, ax=axes, extend=extend, shrink=shrink, aspect=20 * shrink, pad=0.015)
        bar.set_label(title, fontsize=7, labelpad=2)
        bar.ax.tick_params(labelsize=6, length=2, pad=1)
