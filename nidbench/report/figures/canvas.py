"""What all figures are drawn on: an empty figure, decorated axes, and a canvas of panels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nidbench.report.levels import LEVELS, error_limit

MARK = "nidbench figure"  #: in the metadata of a file, by which a figure is known again
_SEARCHED = 1 << 16  #: bytes at both ends of a file in which a mark is searched for
MARKS = "osD^vP<"  #: with the colours, so that neither alone has to tell methods apart
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")  #: told apart by all eyes


def empty_figure(width: float, height: float, heading: str) -> Figure:
    """Return an empty figure, in inches, whose parts arrange themselves."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    lines = [line for text in heading.split("\n") for line in textwrap.wrap(text, int(width * 12))]
    figure.suptitle("\n".join(lines), fontsize=9, weight="bold", x=0.01, ha="left", parse_math=False)
    return figure


def saved(figure: Figure, form: str) -> bytes:
    """Return a figure as a file: in PDF and SVG its text stays text, which a paper's reader can search and copy.

    Args:
        figure: what is saved.
        form: such as `png`, `pdf` or `svg`.
    """
    content = BytesIO()
    # no date, so that the same figure is the same file
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(form, {}) | _marked(form)
    with rc_context({"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "nidbench"}):
        figure.savefig(content, format=form, dpi=200, metadata=metadata or None)
    return content.getvalue()


def _marked(form: str) -> dict[str, Any]:
    """Return what the metadata of a form says of who drew it; nothing for forms that have no room for it."""
    places = {"png": "Software", "pdf": "Creator", "svg": "Creator", "ps": "Creator", "eps": "Creator"}
    return {places[form]: MARK} if form in places else {}


def is_figure(path: Path) -> bool:
    """Return whether a file is one of `saved`, by its mark: what has none may be anyone's."""
    with path.open("rb") as file:
        found = file.read(_SEARCHED)
        file.seek(max(0, path.stat().st_size - _SEARCHED))
        return MARK.encode() in found + file.read(_SEARCHED)


def decorate(axes: Axes, title: str, *, legend: bool = True) -> None:
    """Give axes their title, a grid and small ticks; labels are no formulas."""
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    if legend:
        for text in axes.legend(fontsize=7, framealpha=0.8).get_texts():
            text.set_parse_math(False)


def one_line(label: str) -> str:
    """Return a label, its end cut off where it is long."""
    return label if len(label) <= 44 else label[:43] + "…"


class Canvas:
    """Panels in rows and columns, each an image.

    Args:
        rows, columns: of panels.
        shape: of the images, (C, h, w).
        heading: what stands above all.
        size: width of a panel in inches; of images higher than wide, their height.
        bars: whether there is room for a colour bar beside a panel.
    """

    def __init__(
        self, rows: int, columns: int, shape: Sequence[int], heading: str, size: float = 1.9, *, bars: bool = False
    ) -> None:
        aspect = float(np.clip(shape[1] / shape[2], 0.4, 2.5))
        width, height = size / max(1.0, aspect), size * min(1.0, aspect)
        lines = heading.count("\n") + 1
        page = columns * (width + (0.45 if bars else 0.1)) + 0.9, rows * (height + 0.42) + 0.2 * lines
        self.figure = empty_figure(*page, heading)
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
        limit = error_limit(scaling)
        for column, values in enumerate(maps):
            shown = self.show(row, column, values, "", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        self._bar(shown, self.axes[row, :], "levels of 255", "both")

    def levels(self, row: int, column: int, values: NDArray[Any], title: str) -> None:
        """Show a map of what is not negative, from 0 to its 99.5 % quantile, in levels of 255, with its colour bar."""
        limit = max(1e-6, LEVELS * float(np.percentile(values, 99.5)))
        options: dict[str, Any] = {"cmap": "magma", "vmin": 0, "vmax": limit, "interpolation": "nearest"}
        shown = self.show(row, column, LEVELS * values, title, **options)
        self._bar(shown, self.axes[row, column], "levels of 255", "max")

    def relative(self, row: int, column: int, values: NDArray[Any], title: str) -> None:
        """Show a map of what is not negative over its own 99 % quantile, which the title states."""
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
