"""Tables as text: Markdown, LaTeX (booktabs) and HTML, of cells that are text already."""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile

from nidbench.errors import InputError

#: What tables can be written as; CSV without caption and marks, by pandas.
FORMATS = ("md", "csv", "latex", "html")

#: What stands for a value that is not known.
UNKNOWN = "–"  # noqa: RUF001 - an en dash, as is usual in tables

#: What stands before a number below 0.
MINUS = "−"  # noqa: RUF001 - the sign, which is as wide as a plus

#: In LaTeX, shrinks what is wider than the text, and leaves the rest as it is.
FITTED = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"

#: Characters at `\small` that a column of a paper in two columns holds, about, and those of a gap between two columns.
_COLUMN, _GAP = 50, 3

#: Decimals of a difference at most, however small it is: further ones of a score in double precision mean nothing.
_MOST_DECIMALS = 12


@dataclass(frozen=True)
class Sheet:
    """A table ready to be written: text only, nothing escaped.

    Attributes:
        caption: one paragraph.
        header: column titles, the first `labels` of which are over text, the others over numbers.
        labels: how many columns hold text.
        rows: one list of texts a row.
        rules: rows that begin a group.
        notes: one text for each note below the table.
        bold, italic: (row, column) of the texts that are marked.
    """

    caption: str
    header: list[str]
    labels: int
    rows: list[list[str]]
    rules: set[int]
    notes: list[str]
    bold: set[tuple[int, int]] = field(default_factory=set)
    italic: set[tuple[int, int]] = field(default_factory=set)

    def marked(self, row: int, escape: Callable[[str], str], bold: str, italic: str) -> list[str]:
        """Return a row's texts escaped, those marked put in the place of `{}` in `bold` or `italic`."""
        places = [(row, column) for column in range(len(self.header))]
        marks = [bold if at in self.bold else italic if at in self.italic else "{}" for at in places]
        return [mark.replace("{}", escape(text)) for mark, text in zip(marks, self.rows[row], strict=True)]


def check_format(format: str) -> None:  # noqa: A002 - the name of the command line's option
    """Refuse an unknown format.

    Raises:
        InputError: it is none of `FORMATS`.
    """
    if format not in FORMATS:
        raise InputError(f"unknown table format {format!r}: use one of {', '.join(FORMATS)}")


def number(value: float, form: str) -> str:
    """Return a number as text: by a format such as `.2f` or `+.2f`, or as `seconds`, to three digits."""
    if math.isnan(value):
        return UNKNOWN
    text = f"{value:{form}}" if form != "seconds" else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return text.replace("-", MINUS, 1) if value < 0 else text


def interval_text(low: float, high: float, form: str) -> str:
    """Return an interval as text, its ends by a format as of `number`."""
    return UNKNOWN if math.isnan(low) else f"[{number(low, form)}, {number(high, form)}]"


def signed_texts(difference: float, low: float, high: float) -> tuple[str, str]:
    """Return a difference in dB and its interval as text, with two decimals.

    Where the interval leaves out 0, they are as many more as keep all three numbers from being shown as 0, against the
    verdict: 12 at most.

    >>> signed_texts(0.004, 0.002, 0.006)
    ('+0.004', '[+0.002, +0.006]')

    Args:
        difference: the mean.
        low: end of its interval; NaN for none.
        high: its other end.
    """
    smallest = min(abs(difference), abs(low), abs(high)) if low > 0 or high < 0 else math.inf
    decimals = next((digits for digits in range(2, _MOST_DECIMALS) if float(f"{smallest:.{digits}f}")), _MOST_DECIMALS)
    form = f"+.{decimals}f"
    return number(difference, form), interval_text(low, high, form)


def write(sheet: Sheet, format: str) -> str:  # noqa: A002 - the name of the command line's option
    """Return a table as `md`, `latex` or `html`; long numbers in names are rounded by `shortener`.

    Names of files, folders and methods are anyone's: what would be markup, a new line or an order to the terminal in
    them is text.
    """
    writers: dict[str, Callable[[Sheet], str]] = {"md": _markdown, "latex": _latex, "html": _html}
    short = shortener([*sheet.header, *(text for row in sheet.rows for text in row[: sheet.labels])])
    rows = [[short(one_line(text)) for text in row] for row in sheet.rows]
    notes = [short(one_line(note)) for note in sheet.notes]
    header = [short(one_line(title)) for title in sheet.header]
    return writers[format](replace(sheet, caption=one_line(sheet.caption), header=header, rows=rows, notes=notes))


def one_line(text: str) -> str:
    """Return text with a blank in place of every character that is none to be seen: line ends, controls, surrogates."""
    return "".join(character if character.isprintable() else " " for character in text)


_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")
_LONG_NUMBER = re.compile(r"\d+\.\d{7,}(?:e-?\d+)?")


def shortener(texts: Iterable[str]) -> Callable[[str], str]:
    """Return what rounds the numbers of more than six decimals in a text to four digits.

    Those stay whole that would look like another number of the texts beside which they stand.

    >>> short = shortener(["gaussian:0.027450980392156862", "tv[weight=0.51234567]", "tv[weight=0.51234568]"])
    >>> short("gaussian:0.027450980392156862"), short("tv[weight=0.51234567]")
    ('gaussian:0.02745', 'tv[weight=0.51234567]')

    Args:
        texts: the names that are shown together.
    """
    numbers = {number for text in set(texts) for number in _NUMBER.findall(text)}
    alike = Counter(map(_rounded, numbers))
    kept = {number for number in numbers if alike[_rounded(number)] > 1}
    return lambda text: _LONG_NUMBER.sub(lambda match: match[0] if match[0] in kept else _rounded(match[0]), text)


def _rounded(number: str) -> str:
    return f"{float(number):.4g}" if _LONG_NUMBER.fullmatch(number) else number


def _markdown(sheet: Sheet) -> str:
    rows = [sheet.marked(index, _escape_markdown, "**{}**", "*{}*") for index in range(len(sheet.rows))]
    texts = [list(map(_escape_markdown, sheet.header)), *rows]
    widths = [max(3, *(len(row[j]) for row in texts)) for j in range(len(sheet.header))]
    lines = [" | ".join(_justify(row[j], j, widths, sheet.labels) for j in range(len(row))) for row in texts]
    rule = " | ".join("-" * width if j < sheet.labels else "-" * (width - 1) + ":" for j, width in enumerate(widths))
    table = "\n".join(f"| {line} |" for line in (lines[0], rule, *lines[1:]))
    notes = "\n".join(f"- {_escape_start(_escape_prose(note))}" for note in sheet.notes)
    return "\n\n".join(filter(None, (_escape_start(_escape_prose(sheet.caption)), table, notes))) + "\n"


#: What is markup within a line of Markdown -> what stands for it, tried in this order.
_MARKDOWN = {
    r"\\(?=[!-/:-@\[-`{-~]|$)": r"\\\\",  # a backslash that would escape what follows
    r"&(?=#?\w+;)": "&amp;",
    "<": "&lt;",
    r"(?<!\s)>|>(?!\s)": "&gt;",  # `ours > dip` stays as it is
    r"[`*]": r"\\\g<0>",
    r"(?<!\w)_|_(?!\w)|~(?=~)|\((?<=\]\()": r"\\\g<0>",  # emphasis, struck out text and the address of a link
}


def _escape_prose(text: str) -> str:
    for pattern, escaped in _MARKDOWN.items():
        text = re.sub(pattern, escaped, text)
    return text


def _escape_markdown(text: str) -> str:
    return _escape_prose(text).replace("|", "\\|")


def _escape_start(text: str) -> str:
    """Return a paragraph that is no heading, list, rule or block of code."""
    return re.sub(r"^(\d*)(#|[.)+-](?=\s|$)|-(?=-)|=(?=[=\s]*$))", r"\1\\\2", text.lstrip())


def _justify(text: str, column: int, widths: Sequence[int], labels: int) -> str:
    return text.ljust(widths[column]) if column < labels else text.rjust(widths[column])


_LATEX = {character: f"\\{character}" for character in "_%&#${}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "[": "{[}",  # at the start of a row it would be read as an argument of the \\ before
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    UNKNOWN: "--",
    MINUS: "$-$",
}


def escape_latex(text: str) -> str:
    """Return text as LaTeX prints it."""
    start = "{}" if text.startswith("*") else ""  # at the start of a row it would be a part of the \\\\ before
    return start + "".join(_LATEX.get(character, character) for character in text)


def _latex(sheet: Sheet) -> str:
    sheet = _without_shared(sheet)
    wide = _width(sheet) > _COLUMN
    needs, kind = (" and \\usepackage{graphicx}", "table*") if wide else ("", "table")
    lines = [f"% needs \\usepackage{{booktabs}}{needs}", rf"\begin{{{kind}}}", r"\centering", r"\small"]
    lines += [rf"\caption{{{escape_latex(sheet.caption)}}}", r"\vspace{1ex}"]  # classes expect captions below
    lines += [FITTED] * wide
    lines.append(rf"\begin{{tabular}}{{{'l' * sheet.labels}{'r' * (len(sheet.header) - sheet.labels)}}}")
    lines += [r"\toprule", " & ".join(map(escape_latex, sheet.header)) + r" \\"]
    for index in range(len(sheet.rows)):
        if index in sheet.rules:
            lines.append(r"\midrule")
        lines.append(" & ".join(sheet.marked(index, escape_latex, r"\textbf{{}}", r"\textit{{}}")) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}" + "}" * wide]
    lines += [rf"\par\smallskip\footnotesize {escape_latex(note)}" for note in sheet.notes]
    return "\n".join([*lines, rf"\end{{{kind}}}"]) + "\n"


def _without_shared(sheet: Sheet) -> Sheet:
    """Return a table whose first columns, as far as all rows share what they say, are a sentence of its caption."""
    columns = list(zip(*sheet.rows, strict=True))[: sheet.labels - 1] if len(sheet.rows) > 1 else []
    shared = list(takewhile(lambda column: column[0] and not any(column[1:]), columns))  # a blank says: as above
    said = ", ".join(f"{title}: {column[0]}" for title, column in zip(sheet.header, shared, strict=False))
    gone = len(shared)
    return replace(
        sheet,
        caption=f"{sheet.caption} All rows: {said}." if said else sheet.caption,
        header=sheet.header[gone:],
        labels=sheet.labels - gone,
        rows=[row[gone:] for row in sheet.rows],
        bold={(row, column - gone) for row, column in sheet.bold},
        italic={(row, column - gone) for row, column in sheet.italic},
    )


def _width(sheet: Sheet) -> int:
    """Return the width of a table in characters."""
    columns = zip(sheet.header, *sheet.rows, strict=True)
    return sum(max(map(len, column)) + _GAP for column in columns) - _GAP


def _html(sheet: Sheet) -> str:
    def row(texts: Sequence[str], tag: str) -> str:
        styles = ["" if column < sheet.labels else ' style="text-align: right"' for column in range(len(texts))]
        return f"<tr>{''.join(f'<{tag}{style}>{text}</{tag}>' for style, text in zip(styles, texts, strict=True))}</tr>"

    lines = ["<table>", f"<caption>{html.escape(sheet.caption)}</caption>"]
    lines += ["<thead>", row(list(map(html.escape, sheet.header)), "th"), "</thead>", "<tbody>"]
    lines += [row(sheet.marked(i, html.escape, "<b>{}</b>", "<i>{}</i>"), "td") for i in range(len(sheet.rows))]
    lines += ["</tbody>", "</table>"]
    if sheet.notes:
        lines += ["<ul>", *(f"<li>{html.escape(note)}</li>" for note in sheet.notes), "</ul>"]
    return "\n".join(lines) + "\n"
