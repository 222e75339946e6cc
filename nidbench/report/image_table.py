"""A small table: a row for each measurement, a column for each method, its score in each."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import CASE, named
from nidbench.scoring import protocols
from nidbench.scoring.protocols import DEFAULT

from .results_table import failure_lines, lacking_lines
from .typeset import UNKNOWN, Sheet, check_format, number, write

_LABELS = {"dataset": "dataset", "image": "image", "kernel": "kernel", "noise": "noise", "noise_seed": "draw"}
_LABELS |= {"declared": "declared"}

#: The columns that name a row: a measurement, and what methods were told of its noise level.
ROW = [*CASE, "declared"]


def image_frame(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the PSNR of each measurement (rows, by `ROW`) and method (columns, first `input`), in dB.

    A measurement has a row for each noise level that methods were told. A method's seeds are averaged; NaN where it has
    no score.

    Args:
        cells: from `SweepCells.frame`.
    """
    methods = named(cells)
    inputs = methods.groupby(CASE, sort=False)["input_psnr"].first()
    scores = methods.groupby([*ROW, "method"], sort=False)["psnr"].mean().unstack("method")
    by_case = methods[ROW].drop_duplicates()
    by_case = by_case.iloc[by_case.groupby(CASE, sort=False).ngroup().argsort(kind="stable")]
    rows = pd.MultiIndex.from_frame(by_case)
    scores = scores.reindex(index=rows, columns=methods["method"].unique())
    scores.insert(0, "input", inputs.reindex(rows.droplevel("declared")).to_numpy(), allow_duplicates=True)
    return scores


def image_sheet(cells: pd.DataFrame, protocol: str) -> Sheet:
    """Return the PSNR of each measurement and method as a table; where there is no score, how the cell ended.

    Args:
        cells: from `SweepCells.frame`.
        protocol: the name of their metric protocol, for the caption.
    """
    frame = image_frame(cells)
    ended = named(cells).groupby([*ROW, "method"])["status"].first()
    labels = [name for name in _LABELS if name == "image" or frame.index.get_level_values(name).nunique() > 1]
    rows, bold = [], set()
    for place, (key, scores) in enumerate(zip(frame.index, frame.to_numpy(dtype=float), strict=True)):
        values = dict(zip(frame.columns[1:], scores[1:], strict=True))
        best = max((value for value in values.values() if not math.isnan(value)), default=math.nan)
        about = dict(zip(ROW, key, strict=True))
        texts = [str(about[name]) for name in labels] + [number(scores[0], ".2f")]
        for method, value in values.items():
            if value == best:
                bold.add((place, len(texts)))
            texts.append(_score_text(value, ended.get((*key, method))))
        rows.append(texts)
    caption = (
        f"PSNR (dB) of each measurement under the protocol {protocol}: {protocols.protocol(protocol).title}. Seeds of "
        "a method are averaged. Bold: the highest of a row, however small its lead."
    )
    header = [*(_LABELS[name] for name in labels), *map(str, frame.columns)]
    return Sheet(caption, header, len(labels), rows, set(), failure_lines(cells), bold)


def _score_text(value: float, status: Any) -> str:
    if not math.isnan(value):
        return number(value, ".2f")
    return UNKNOWN if not isinstance(status, str) or status == "done" else status


def render_images(
    sweep_cells: SweepCells,
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = DEFAULT.name,
) -> str:
    """Return the PSNR of each measurement and method of a sweep as Markdown, LaTeX, HTML, or unrounded as CSV.

    Raises:
        InputError: no such format.
        UnknownNameError: no such protocol.
    """
    check_format(format)
    cells = sweep_cells.frame(protocol)
    if format == "csv":
        return image_frame(cells).to_csv()
    sheet = image_sheet(cells, protocol)
    sheet.notes[:0] = lacking_lines(cells, sweep_cells.sweep, protocol)
    return write(sheet, format)
