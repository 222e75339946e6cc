"""Contact sheets: one picture per measurement, with every method's restoration, error and detail side by side."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from nidbench.physics.arrays import Image, Kernel, eight_bit_levels
from nidbench.system.whole_files import results_errors, write_whole

from .levels import LEVELS, channel_mean, error_limit, signed_levels

#: Raised when sheets change their looks, so that those there are get drawn again.
LAYOUT = 3

#: Inches.
_PANEL, _GAP, _LEFT, _RIGHT, _BOTTOM, _LINE, _HEADING = 1.9, 0.07, 0.3, 0.1, 0.08, 0.135, 0.15

_ACCENT = "#ff9f1c"

_ROWS = ("image", "error", "detail", "std. dev.")


def contact_sheet(
    path: Path,
    truth: Image | None,
    blurred: Image,
    restorations: Mapping[str, Image],
    variances: Mapping[str, Image],
    scores: Mapping[str, str],
    kernel: Kernel,
    heading: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a contact sheet as PNG and return its path. Arguments as of `draw`, and text to put into the file.

    Raises:
        ResultsError: where the file cannot be written.
    """
    figure = draw(truth, blurred, restorations, variances, scores, kernel, heading)
    content = BytesIO()
    # Small images are enlarged anyway; large ones get the pixels that tell them apart.
    dpi = 150 if max(blurred.shape) <= 300 else 200
    figure.savefig(content, format="png", dpi=dpi, metadata=dict(metadata or {}))
    with results_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    return path


def draw(
    truth: Image | None,
    blurred: Image,
    restorations: Mapping[str, Image],
    variances: Mapping[str, Image],
    scores: Mapping[str, str],
    kernel: Kernel,
    heading: str = "",
) -> Figure:
    """Return the figure of a contact sheet.

    A column each for the blurred input, the methods and the truth; rows for the image, the signed error (restoration
    minus truth, mean over channels) on one scale, the region of the truth with most detail and, where a method has one,
    the standard deviation of its estimate. The kernel stands where the truth's error would. Without a truth there are
    no errors, the detail is the input's, and the kernel stands where the truth would.

    Args:
        truth: Shape (C, h, w), cropped to what is scored, in [0, 1]; None where it is not known.
        blurred: the input, of the same shape.
        restorations: method label -> image of the same shape.
        variances: method label -> pixel variance of the same shape, for the methods that have one.
        scores: method label, or `input` -> line below its name.
        kernel: Shape (kh, kw).
        heading: what stands above all.
    """
    columns = {"input": blurred, **restorations} | ({} if truth is None else {"truth": truth})
    rows = [name for name in _ROWS if (name != "error" or truth is not None) and (name != "std. dev." or variances)]
    titles = {label: [*wrapped(label, 26), scores.get(label, "")] for label in columns}
    sheet = _Sheet(blurred.shape, len(columns) + (truth is None), rows, max(map(len, titles.values())), heading)
    lines, cols = detail_window(blurred if truth is None else truth)
    for column, (label, image) in enumerate(columns.items()):
        axes = sheet.panel(0, column, picture(image))
        axes.set_title("\n".join(titles[label]).strip(), fontsize=8, pad=3, parse_math=False)
        corner = (cols.start - 0.5, lines.start - 0.5)
        size = (cols.stop - cols.start, lines.stop - lines.start)
        box = Rectangle(corner, *size, fill=False, edgecolor=_ACCENT, linewidth=1)
        box.set_path_effects([withStroke(linewidth=2, foreground="black")])
        axes.add_patch(box)
        magnified = picture(image[:, lines, cols])
        detail = sheet.panel(rows.index("detail"), column, magnified, interpolation="nearest")
        detail.spines[:].set(color=_ACCENT, linewidth=1)
    if truth is not None:
        _errors(sheet, list(columns.values())[:-1], truth)
    _deviations(sheet, len(rows) - 1, {label: variances.get(label) for label in columns})
    sheet.kernel(kernel, 0 if truth is None else 1)
    sheet.name_rows()
    return sheet.figure


def _errors(sheet: _Sheet, images: Sequence[Image], truth: Image) -> None:
    errors = [signed_levels(image.astype(np.float64) - truth) for image in images]
    # the methods set the scale: the larger errors of the input saturate rather than pale all others
    limit = error_limit(errors[1:] or errors)
    for column, values in enumerate(errors):
        sheet.panel(1, column, values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    sheet.bar(1, len(errors) - 1, extend="both")


def _deviations(sheet: _Sheet, row: int, variances: Mapping[str, Image | None]) -> None:
    maps = {column: v for column, v in enumerate(variances.values()) if v is not None}
    deviations = {column: LEVELS * np.sqrt(channel_mean(v).clip(0, None)) for column, v in maps.items()}
    limit = max((float(np.percentile(values, 99.5)) for values in deviations.values()), default=0.0)
    for column, values in deviations.items():
        sheet.panel(row, column, values, cmap="magma", vmin=0, vmax=max(limit, 1e-6), interpolation="nearest")
    if deviations:
        sheet.bar(row, max(deviations), extend="max")


def wrapped(label: str, width: int) -> list[str]:
    """Return a label as lines, broken after opening brackets and commas of its settings where one is longer than that.

    Args:
        label: the label.
        width: characters of a line, which a single setting may exceed.
    """
    lines = [""]
    for piece in re.findall(r"[^,\[]*[,\[]?", label):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def picture(image: Image) -> NDArray[np.uint8]:
    """Return an image of Shape (C, h, w) as 8-bit RGB, Shape (h, w, 3)."""
    levels = eight_bit_levels(image).astype(np.uint8)
    return np.broadcast_to(levels, (3, *image.shape[1:])).transpose(1, 2, 0)


def detail_window(truth: Image) -> tuple[slice, slice]:
    """Return the rows and columns of the quarter-size window, of the image's proportions, with most gradient in it."""
    height, width = truth.shape[1:]
    size = min(height, max(16, height // 4)), min(width, max(16, width // 4))
    gradient = sum(np.abs(np.diff(truth, axis=axis, prepend=truth.take([0], axis))).sum(axis=0) for axis in (1, 2))
    density = uniform_filter(np.asarray(gradient, dtype=np.float64), size)
    # `uniform_filter` centres a window of n at n // 2; only windows wholly inside the image count.
    tops, lefts = height - size[0] + 1, width - size[1] + 1
    inside = density[size[0] // 2 :, size[1] // 2 :][:tops, :lefts]
    top, left = (int(index) for index in np.unravel_index(inside.argmax(), inside.shape))
    return slice(top, top + size[0]), slice(left, left + size[1])


class _Sheet:
    """Equal panels at computed places: exact for any number of them, whatever their titles.

    Args:
        shape: of the images, (C, h, w).
        columns: of panels.
        rows: names of the rows of panels.
        lines: of text above the first row.
        heading: what stands above all.

    Attributes:
        figure: what they are on.
        panels: (row, column) -> axes.
    """

    def __init__(self, shape: Sequence[int], columns: int, rows: Sequence[str], lines: int, heading: str) -> None:
        aspect = float(np.clip(shape[1] / shape[2], 0.4, 2.5))
        self._width, self._height = _PANEL / max(1.0, aspect), _PANEL * min(1.0, aspect)
        self._rows, self._last = rows, columns - 1
        count = len(rows)
        width = _LEFT + columns * (self._width + _GAP) + _RIGHT
        height = _BOTTOM + count * (self._height + _GAP) + lines * _LINE + 0.05
        above = textwrap.wrap(heading, int(width * 12))
        height += len(above) * _HEADING + (0.1 if above else 0)
        self.figure = Figure(figsize=(width, height))
        FigureCanvasAgg(self.figure)
        self.panels: dict[tuple[int, int], Axes] = {}
        at = (_LEFT / width, 1 - 0.06 / height)
        self.figure.text(*at, "\n".join(above), fontsize=9, weight="bold", va="top", parse_math=False)

    def panel(self, row: int, column: int, values: NDArray[Any], **options: Any) -> Axes:
        """Show an array; options as of `imshow`."""
        axes = self._show(self._left(column), row, self._width, values, options)
        self.panels[row, column] = axes
        return axes

    def bar(self, row: int, column: int, extend: str) -> None:
        """Add the colour bar of a panel to its right, where the next column leaves room."""
        axes = self._axes(self._left(column + 1), row, 0.09)
        bar = self.figure.colorbar(self.panels[row, column].images[0], cax=axes, extend=extend)
        bar.set_label("levels of 255", fontsize=7, labelpad=2)
        bar.ax.tick_params(labelsize=6, length=2, pad=1)

    def kernel(self, kernel: Kernel, row: int) -> None:
        """Show the kernel in the last column of a row, beside the colour bar of the errors."""
        room = self._width - 0.55
        left = self._left(self._last) + self._width - room
        # from zero: a kernel on a pedestal shows it
        options = {"cmap": "gray", "vmin": 0, "interpolation": "nearest"}
        axes = self._show(left, row, room, kernel, options, headroom=0.15)
        axes.set_title(f"kernel {kernel.shape[0]}x{kernel.shape[1]}", fontsize=7, pad=2)

    def name_rows(self) -> None:
        """Write each row's name left of its first panel."""
        for row, name in enumerate(self._rows):
            column = min((column for at, column in self.panels if at == row), default=None)
            if column is not None:
                self.panels[row, column].set_ylabel(name, fontsize=8, labelpad=3)

    def _left(self, column: int) -> float:
        return _LEFT + column * (self._width + _GAP)

    def _axes(self, left: float, row: int, width: float, headroom: float = 0) -> Axes:
        """Return new axes `left` inches from the left, in a row, `width` inches wide."""
        bottom = _BOTTOM + (len(self._rows) - 1 - row) * (self._height + _GAP)
        x, y = self.figure.get_size_inches()
        return self.figure.add_axes((left / x, bottom / y, width / x, (self._height - headroom) / y))

    def _show(
        self,
        left: float,
        row: int,
        width: float,
        values: NDArray[Any],
        options: Mapping[str, Any],
        headroom: float = 0,
    ) -> Axes:
        axes = self._axes(left, row, width, headroom)
        axes.imshow(values, **options)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.6", linewidth=0.5)
        return axes
