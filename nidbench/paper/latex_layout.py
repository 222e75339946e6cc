"""Published and measured numbers in LaTeX, laid out as in the paper: PSNR over SSIM, methods as columns, a margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, TypeAlias

from nidbench.physics.case_key import MEASURED
from nidbench.report.typeset import FITTED, UNKNOWN, escape_latex

#: The proposed method's name in the paper.
OURS = "Ours"

#: Title of the group of methods that the paper has not.
ADDITIONAL = "Additional"

#: Title of the group of methods that the margin is over.
_SUPERVISED = "Supervised Learning"

#: Title of a group -> categories in it.
_GROUPS = {
    "Blind": ("blind",),
    "Non-Learning / Unsupervised Learning": ("non-learning", "dataset-free"),
    _SUPERVISED: ("supervised",),
    "Ablation": ("ablation",),
    ADDITIONAL: ("",),
}
_GROUP_OF = {category: group for group, categories in _GROUPS.items() for category in categories}

#: Tables whose captions have the best in bold and the best of each group underlined; those of ablations have no marks.
_MARKED = ("table2", "table3", "table4", "table5", "table6")

#: PSNR in dB and SSIM; NaN where not known.
Scores: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """A method under one condition.

    Attributes:
        condition: dataset, kernels and noise.
        method: the paper's name, or the label here of a method that the paper has not.
        category: the paper's category; empty for a method that it has not, whose place is in the group `ADDITIONAL`.
        published, measured: the scores.
        comparable: whether the measured scores are on what the paper measured.
    """

    condition: tuple[str, ...]
    method: str
    category: str
    published: Scores
    measured: Scores
    comparable: bool


class _Column(NamedTuple):
    """A method; one of the paper and one that it has not may have the same name."""

    group: str
    method: str


@dataclass(frozen=True)
class _Line:
    """PSNR or SSIM of all methods under one condition, published or measured.

    Attributes:
        start: what stands before the numbers, in LaTeX.
        numbers: those that are known, rounded as they are printed.
        starred: which are not comparable.
        digits: after the point.
    """

    start: str
    numbers: Mapping[_Column, float]
    starred: Set[_Column]
    digits: int


#: A line and what it has of each method, in LaTeX.
_Printed: TypeAlias = tuple[_Line, Mapping[_Column, str]]


def paper_layout(rows: Sequence[Row], name: str, caption: str, notes: Sequence[str]) -> str:
    """Return a table of the paper with what was measured under each of its rows, for LaTeX.

    The highest of a line is bold, the highest of each group of methods underlined, as the paper's captions have it;
    what prints alike is marked alike, and what has no rival is not. The margin is that of the proposed method over the
    best supervised one, in a block without one over the best other one of the paper. Where a method was measured in
    several ways, the first comparable one counts, or the first that has a number.

    Args:
        rows: by condition.
        name: `table2` to `table9`; Table 6 has a block of its own for each group of methods.
        caption: plain text.
        notes: the same, below the table.
    """
    columns = _columns(rows)
    conditions = [
        list(_lines(condition, [row for row in rows if row.condition == condition]))
        for condition in dict.fromkeys(row.condition for row in rows)
    ]
    marked = name in _MARKED
    sentences = [caption, *_legend(marked, starred=any(line.starred for lines in conditions for line in lines))]
    text = [
        r"% needs \usepackage{booktabs} and \usepackage{graphicx}",
        r"\begin{table*}",
        r"\centering",
        r"\scriptsize",
    ]
    text += [r"\setlength{\tabcolsep}{3pt}", rf"\caption{{{escape_latex(' '.join(sentences))}}}"]
    cells = [[(line, _cells(line, columns, marked)) for line in lines] for lines in conditions]
    for index, block in enumerate(_blocks(columns, separate=name == "table6")):
        text += [r"\par\vspace{1ex}"] if index else []
        text += _tabular(block, cells)
    text += [rf"\par\footnotesize {escape_latex(note)}" for note in notes]
    return "\n".join([*text, r"\end{table*}"]) + "\n"


def _legend(marked: bool, starred: bool) -> Iterator[str]:
    yield "Lines: PSNR over SSIM, as published and as measured here."
    if marked:
        yield "Bold: the highest of all methods. Underlined: the highest of its group."
    yield f"Margin: {OURS} over the best supervised method, in a block without one over the best other one."
    if starred:
        yield "*: not comparable."


def _columns(rows: Sequence[Row]) -> list[_Column]:
    """Return all methods, by group, in the paper's order."""
    columns = dict.fromkeys(_column(row) for row in rows)
    return [column for group in _GROUPS for column in columns if column.group == group]


def _column(row: Row) -> _Column:
    return _Column(_GROUP_OF[row.category], row.method)


def _blocks(columns: Sequence[_Column], separate: bool) -> list[list[_Column]]:
    """Return the methods of each block."""
    return [list(block) for _, block in groupby(columns, lambda column: column.group)] if separate else [list(columns)]


def _lines(condition: tuple[str, ...], rows: Sequence[Row]) -> Iterator[_Line]:
    """Yield the four lines of a condition."""
    dataset, kernels, noise = condition
    chosen: dict[_Column, Row] = {}
    for row in sorted(rows, key=lambda row: (math.isnan(row.measured[0]), not row.comparable)):
        chosen.setdefault(_column(row), row)
    starts = (f"{escape_latex(f'{dataset}, {kernels}')} & {_noise(noise)} & paper", " & &", " & & here", " & &")
    for start, published, place in zip(starts, (True, True, False, False), (0, 1, 0, 1), strict=True):
        scores = {column: (row.published if published else row.measured)[place] for column, row in chosen.items()}
        digits = 3 if place else 2
        numbers = {column: round(score, digits) for column, score in scores.items() if not math.isnan(score)}
        starred = {column for column in numbers if not (published or chosen[column].comparable)}
        yield _Line(start, numbers, starred, digits)


def _noise(noise: str) -> str:
    """Return a noise as the paper has it, in LaTeX."""
    kind, _, level = noise.partition(":")
    if kind == "gaussian":
        return rf"$\sigma={100 * float(level):g}\%$"
    if kind == "poisson":
        return f"peak {float(level):g}"
    return "as given" if noise == MEASURED else escape_latex(noise)


def _cells(line: _Line, columns: Sequence[_Column], marked: bool) -> dict[_Column, str]:
    """Return what a line has of each method, in LaTeX."""
    groups = [list(group) for _, group in groupby(columns, lambda column: column.group)]
    bold, underlined = _highest(line, columns), {column for group in groups for column in _highest(line, group)}
    cells = {}
    for column in columns:
        text = f"{line.numbers[column]:.{line.digits}f}" if column in line.numbers else escape_latex(UNKNOWN)
        text = rf"\underline{{{text}}}" if marked and column in underlined else text
        text = rf"\textbf{{{text}}}" if marked and column in bold else text
        cells[column] = f"{text}$^*$" if column in line.starred else text
    return cells


def _highest(line: _Line, columns: Sequence[_Column]) -> set[_Column]:
    """Return which methods have the highest number; none of fewer than two."""
    known = {column: line.numbers[column] for column in columns if column in line.numbers}
    return {column for column in known if known[column] == max(known.values())} if len(known) > 1 else set()


def _tabular(block: Sequence[_Column], conditions: Sequence[Sequence[_Printed]]) -> Iterator[str]:
    """Yield a block of the table: some of its methods under all conditions."""
    groups = [(group, len(list(columns))) for group, columns in groupby(block, lambda column: column.group)]
    yield FITTED
    yield rf"\begin{{tabular}}{{lll{'r' * len(block)}r}}"
    yield r"\toprule"
    yield " & ".join(["", "", "", *(_over(group, columns) for group, columns in groups), ""]) + r" \\"
    yield " & ".join(["Dataset", "Noise", "", *(escape_latex(column.method) for column in block), "Margin"]) + r" \\"
    for lines in conditions:
        yield r"\midrule"
        for line, cells in lines:
            yield " & ".join([line.start, *(cells[column] for column in block), _margin(line, block)]) + r" \\"
    yield from (r"\bottomrule", r"\end{tabular}}")


def _over(group: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{c}}{{{escape_latex(group)}}}"


def _margin(line: _Line, block: Sequence[_Column]) -> str:
    """Return how far the proposed method is ahead of the best of its rivals in a block, in LaTeX."""
    proposed = next((column for column in line.numbers if column.method == OURS and column.group != ADDITIONAL), None)
    known = [column for column in _rivals(block) if column in line.numbers]
    if proposed is None or not known:
        return escape_latex(UNKNOWN)
    best = max(known, key=lambda column: (line.numbers[column], column not in line.starred))
    margin = round(line.numbers[proposed] - line.numbers[best], line.digits) + 0.0  # not -0.00
    star = "^*" if {proposed, best} & line.starred else ""
    return f"${margin:+.{line.digits}f}{star}$"


def _rivals(block: Sequence[_Column]) -> list[_Column]:
    """Return the supervised methods of a block; where it has none the paper's others, where it has none all."""
    supervised = [column for column in block if column.group == _SUPERVISED]
    others = [column for column in block if column.group != ADDITIONAL and column.method != OURS]
    return supervised or others or [column for column in block if column.group == ADDITIONAL]
