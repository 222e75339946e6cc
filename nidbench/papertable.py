"""Published and measured numbers in LaTeX, laid out as in the paper: PSNR over SSIM, methods as columns, a margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .typeset import UNKNOWN, escape_latex

#: The proposed method's name in the paper.
OURS = "Ours"

#: Title in the paper -> categories under it.
_HEADS = {
    "Blind": ("blind",),
    "Non-Learning / Unsupervised Learning": ("non-learning", "dataset-free"),
    "Supervised Learning": ("supervised",),
    "Ablation": ("ablation",),
}

#: PSNR in dB and SSIM; NaN where not known.
Scores: TypeAlias = tuple[float, float]

_Values: TypeAlias = Mapping[str, Scores]


@dataclass(frozen=True)
class Row:
    """A method under one condition.

    Attributes:
        condition: dataset, kernels and noise.
        method: the paper's name; empty for what the paper has not, which is left out here.
        category: the paper's.
        published, measured: the scores.
        comparable: whether the measured ones are on what the paper measured.
    """

    condition: tuple[str, ...]
    method: str
    category: str
    published: Scores
    measured: Scores
    comparable: bool


def paper_layout(rows: Sequence[Row], name: str, caption: str, notes: Sequence[str]) -> str:
    """Return a table of the paper with what was measured under each of its rows, for LaTeX with booktabs.

    The highest of each group of methods is underlined. The margin is that of the proposed method over the best
    supervised one, or over the best other one where a block has none. Where a method was measured in several ways, the
    first counts.

    Args:
        rows: by condition.
        name: `table2` to `table9`; Table 6 has a block of its own for each group of methods.
        caption: plain text.
        notes: the same, below the table.
    """
    told = [row for row in rows if row.method]
    marked = any(not row.comparable and not math.isnan(row.measured[0]) for row in told)
    legend = " Lines: PSNR over SSIM, as published and as measured here. Underlined: the highest of its group."
    legend += " *: not comparable." if marked else ""
    lines = ["% needs \\usepackage{booktabs}", r"\begin{table*}", r"\centering", r"\scriptsize"]
    lines += [r"\setlength{\tabcolsep}{3pt}", rf"\caption{{{escape_latex(caption + legend)}}}"]
    for heads in _blocks(told, separate=name == "table6"):
        lines += _block(told, heads)
    lines += [rf"\par\footnotesize {escape_latex(note)}" for note in notes]
    return "\n".join([*lines, r"\end{table*}"]) + "\n"


def _blocks(rows: Sequence[Row], separate: bool) -> list[dict[str, list[str]]]:
    """Return for each block its groups of methods: head -> methods in the paper's order."""
    heads = {
        head: list(dict.fromkeys(row.method for row in rows if row.category in categories))
        for head, categories in _HEADS.items()
    }
    heads = {head: methods for head, methods in heads.items() if methods}
    return [{head: methods} for head, methods in heads.items()] if separate else [heads]


def _block(rows: Sequence[Row], heads: Mapping[str, Sequence[str]]) -> Iterator[str]:
    methods = [method for each in heads.values() for method in each]
    yield rf"\begin{{tabular}}{{lll{'r' * len(methods)}r}}"
    yield r"\toprule"
    yield " & ".join(["", "", "", *(_over(head, len(each)) for head, each in heads.items()), ""]) + r" \\"
    yield " & ".join(["Dataset", "Noise", "", *map(escape_latex, methods), "Margin"]) + r" \\"
    for condition in dict.fromkeys(row.condition for row in rows):
        yield r"\midrule"
        yield from _condition(condition, [row for row in rows if row.condition == condition], heads)
    yield from (r"\bottomrule", r"\end{tabular}")


def _over(head: str, columns: int) -> str:
    return rf"\multicolumn{{{columns}}}{{c}}{{{escape_latex(head)}}}"


def _condition(condition: tuple[str, ...], rows: Sequence[Row], heads: Mapping[str, Sequence[str]]) -> Iterator[str]:
    dataset, kernels, noise = map(escape_latex, condition)
    published: dict[str, Scores] = {}
    measured: dict[str, Scores] = {}
    stars: set[str] = set()
    for row in rows:
        published.setdefault(row.method, row.published)
        if row.method not in measured and not row.comparable:
            stars.add(row.method)
        measured.setdefault(row.method, row.measured)
    starts = (f"{dataset}, {kernels} & {noise} & paper", " & &", " & & here", " & &")
    for start, values, part, marks in zip(
        starts, (published, published, measured, measured), (0, 1, 0, 1), (set(), set(), stars, stars), strict=True
    ):
        yield " & ".join([start, *_numbers(values, part, heads, marks), _margin(values, part, heads)]) + r" \\"


def _numbers(values: _Values, part: int, heads: Mapping[str, Sequence[str]], stars: set[str]) -> Iterator[str]:
    """Yield the PSNR (part 0) or SSIM (part 1) of each method."""
    form = ".3f" if part else ".2f"
    for methods in heads.values():
        known = [values[method][part] for method in methods if method in values]
        best = max((value for value in known if not math.isnan(value)), default=math.nan)
        alone = sum(not math.isnan(value) for value in known) < 2
        for method in methods:
            value = values.get(method, (math.nan, math.nan))[part]
            text = escape_latex(UNKNOWN) if math.isnan(value) else f"{value:{form}}"
            text = rf"\underline{{{text}}}" if value == best and not alone else text
            yield f"{text}$^*$" if method in stars and not math.isnan(value) else text


def _margin(values: _Values, part: int, heads: Mapping[str, Sequence[str]]) -> str:
    """Return how far the proposed method is ahead of the best supervised one, or other one where there is none."""
    rivals = list(heads.get("Supervised Learning", ()))
    rivals = rivals or [method for each in heads.values() for method in each if method != OURS]
    known = [values[method][part] for method in rivals if method in values and not math.isnan(values[method][part])]
    own = values.get(OURS, (math.nan, math.nan))[part]
    if math.isnan(own) or not known:
        return escape_latex(UNKNOWN)
    return f"${own - max(known):+.{3 if part else 2}f}$"
