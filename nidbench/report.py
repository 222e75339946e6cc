"""Contact sheets: one picture per measurement, with every method's restoration, error and detail side by side."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy.ndimage import uniform_filter

from .contract import CaseKey, Image, Kernel, Problem, Truth
from .errors import ResultsError
from .records import Planned, Record, Store, Sweep
from .tables import CURVE_PROTOCOL

#: Raised when sheets change their looks, so that those there are get drawn again.
LAYOUT = 1

_PANEL = 1.9  # inches
_BAR = 0.62  # inches for a colour bar with its numbers
_GAP = 0.07
_LEFT, _RIGHT, _BOTTOM = 0.34, 0.08, 0.08
_TITLE = 0.42  # two lines above the first row
_HEADING = 0.3
_ACCENT = "#ff9f1c"


def contact_sheet(
    path: Path,
    truth: Image,
    blurred: Image,
    restorations: Mapping[str, Image],
    variances: Mapping[str, Image],
    scores: Mapping[str, str],
    kernel: Kernel,
    heading: str = "",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a contact sheet as PNG and return its path. Arguments as of `draw`; `metadata` goes into the file."""
    figure = draw(truth, blurred, restorations, variances, scores, kernel, heading)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Small images are shown enlarged anyway; large ones get the pixels to tell them apart.
    figure.savefig(path, dpi=150 if max(truth.shape) <= 300 else 240, metadata=dict(metadata or {}))
    return path


def draw(
    truth: Image,
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
    the standard deviation of its estimate. The kernel is where the truth's error would be.

    Args:
        truth, blurred: Shape (C, h, w), cropped to what is scored, in [0, 1].
        restorations: method label -> image of the same shape.
        variances: method label -> pixel variance of the same shape, for those that have one.
        scores: method label (or `input`) -> line under its name.
        kernel: Shape (kh, kw).
        heading: one line above all.
    """
    columns = {"input": blurred, **restorations, "truth": truth}
    spread = {label: np.sqrt(variances[label].mean(axis=0)) for label in restorations if label in variances}
    sheet = _Sheet(truth.shape, len(columns), rows=4 if spread else 3, heading=heading)
    window = detail_window(truth)
    for column, (label, image) in enumerate(columns.items()):
        axes = sheet.panel(0, column, _picture(image))
        axes.set_title("\n".join(filter(None, (label, scores.get(label, "")))), fontsize=8, parse_math=False)
        axes.add_patch(_box(window, truth.shape))
        frame = sheet.panel(2, column, _picture(image[:, window[0], window[1]]), interpolation="nearest")
        frame.spines[:].set(color=_ACCENT, linewidth=1.2)
    _errors(sheet, columns)
    _kernel(sheet, kernel)
    _spread(sheet, {list(columns).index(label): values for label, values in spread.items()})
    for row, name in enumerate(("image", "error", "detail", "std. dev.")[: sheet.rows]):
        first = min(column for panel_row, column in sheet.panels if panel_row == row)
        sheet.panels[row, first].set_ylabel(name, fontsize=8)
    return sheet.figure


class _Sheet:
    """A figure of equal panels at hand-made places: exact for any number of them, whatever the titles.

    Attributes:
        figure: what they are on.
        rows: how many.
        panels: (row, column) -> axes.
        bars: the colour bars.
    """

    def __init__(self, shape: Sequence[int], columns: int, rows: int, heading: str) -> None:
        aspect = float(np.clip(shape[-2] / shape[-1], 0.4, 2.5))
        self.rows, self._columns, self._panel = rows, columns, (_PANEL / max(1.0, aspect), _PANEL * min(1.0, aspect))
        width, height = self._panel
        self._size = (
            _LEFT + columns * (width + _GAP) + _BAR + _RIGHT,
            _BOTTOM + rows * (height + _GAP) + _TITLE + (_HEADING if heading else 0),
        )
        self.figure = Figure(figsize=self._size)
        FigureCanvasAgg(self.figure)
        self.panels: dict[tuple[int, int], Axes] = {}
        self.bars: list[Colorbar] = []
        if heading:
            top = 1 - 0.08 / self._size[1]
            self.figure.text(
                _LEFT / self._size[0], top, heading, fontsize=9, weight="bold", va="top", parse_math=False
            )

    def _axes(self, left: float, row: int, width: float) -> Axes:
        """Return new axes: inches from the left, a row, inches wide."""
        bottom = _BOTTOM + (self.rows - 1 - row) * (self._panel[1] + _GAP)
        x, y = self._size
        return self.figure.add_axes((left / x, bottom / y, width / x, self._panel[1] / y))

    def panel(self, row: int, column: int, values: NDArray[Any], **options: Any) -> Axes:
        """Show an array in a panel without ticks; options as of `imshow`."""
        axes = self._axes(_LEFT + column * (self._panel[0] + _GAP), row, self._panel[0])
        axes.imshow(values, **options)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(color="0.6", linewidth=0.5)
        self.panels[row, column] = axes
        return axes

    def bar(self, row: int, column: int, label: str) -> None:
        """Add the colour bar of a panel, in the margin right of a column."""
        axes = self._axes(_LEFT + (column + 1) * (self._panel[0] + _GAP), row, 0.09)
        bar = self.figure.colorbar(self.panels[row, column].images[0], cax=axes)
        bar.set_label(label, fontsize=7, labelpad=2)
        bar.ax.tick_params(labelsize=6, length=2, pad=1)
        self.bars.append(bar)
