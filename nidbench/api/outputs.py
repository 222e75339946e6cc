"""What a sweep leaves for people: tables, contact sheets, figures; made from records and made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from nidbench.errors import InputError
from nidbench.records import Store, Sweep
from nidbench.rescoring.measurements import Measurements
from nidbench.system.whole_files import results_errors, write_whole

if TYPE_CHECKING:
    from nidbench.analysis.cells import SweepCells
    from nidbench.report.figures import Choice

#: Contact sheets drawn at the end of a run; `nidbench sheets --most` draws more.
SHEETS = 24

#: Table formats and the endings of their files.
ENDINGS = {"md": "md", "csv": "csv", "latex": "tex", "html": "html"}


def write_tables(store: Store, sweep_cells: SweepCells, protocol: str) -> dict[str, Path]:
    """Write a sweep's table in every format and return the files by format."""
    from nidbench.report.results_table import renderings

    texts = renderings(sweep_cells, list(ENDINGS), protocol)
    return {form: _write_table(store, sweep_cells.sweep.name, form, text) for form, text in texts.items()}


def write_comparison(store: Store, sweep_cells: SweepCells, name: str, protocol: str) -> dict[str, Path]:
    """Write a table of the paper beside a sweep in every format and return the files by format.

    Arguments and errors are those of `paper.comparison_table.render_comparison`.
    """
    from nidbench.paper.comparison_table import render_comparison

    texts = {form: render_comparison(sweep_cells, name, form, protocol) for form in ENDINGS}
    stem = f"{sweep_cells.sweep.name}-compared"
    return {form: _write_table(store, stem, form, text) for form, text in texts.items()}


def _write_table(store: Store, stem: str, form: str, text: str) -> Path:
    path = store.root / "tables" / f"{stem}.{ENDINGS[form]}"
    with results_errors(store.root):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    return path


def sheet_folder(store: Store, sweep: Sweep) -> Path:
    """Return where a sweep's contact sheets are."""
    return store.root / "sheets" / sweep.name


def existing_sheets(store: Store, sweep: Sweep) -> list[Path]:
    """Return the contact sheets that were drawn; a person's pictures beside them are none."""
    from nidbench.report.sweep_sheets import is_sheet

    return [path for path in sorted(sheet_folder(store, sweep).glob("*.png")) if is_sheet(path)]


def write_sheets(store: Store, sweep: Sweep, most: int) -> tuple[list[Path], int]:
    """Write one contact sheet for each case, at most so many; return them and the number of cases."""
    from nidbench.report.sweep_sheets import sheets

    folder = sheet_folder(store, sweep)
    cases = sweep.by_case()
    shown = set(islice(cases, most))
    few = Sweep(sweep.name, sweep.asked, [planned for planned in sweep.cells if planned.case in shown])
    with results_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        written = sheets(store, few, Measurements(few), folder)
    return written, len(cases)


def track(
    store: Store,
    sweep_cells: SweepCells,
    say: Callable[[str], None],
    sheets: Sequence[Path] = (),
    tables: Mapping[str, Path] | None = None,
    report: Path | None = None,
) -> bool:
    """Write a sweep to MLflow and say where it is, or why it is not; return whether it is.

    Args:
        store: the results folder.
        sweep_cells: the sweep, read.
        say: takes a line.
        sheets: contact sheets to show there.
        tables: tables to show there, by format.
        report: the page to show there.
    """
    from nidbench.report.tracking import TrackingError, default_uri, sync

    texts = {path.name: path.read_text(encoding="utf-8") for path in (tables or {}).values()}
    begins = partial(say, "mlflow    importing MLflow and writing, which takes some seconds")
    try:
        tracked = sync(store, sweep_cells, sheets=sheets, tables=texts, report=report, begins=begins)
    except TrackingError as error:
        say(f"warning: {error}; the records are complete, nidbench sync tries again")
        return False
    uri = default_uri(store)
    if uri.startswith(("http://", "https://")):
        say(f"mlflow    {uri.rstrip('/')}{tracked.page}")
    else:
        say(f"mlflow    http://127.0.0.1:5000{tracked.page}, once nidbench ui serves {uri}")
    return True


def write_figure(
    store: Store, sweep: Sweep, name: str, choice: Choice, file: Path | None = None
) -> tuple[Path, Sequence[str]]:
    """Draw one of `figures.FIGURES` and return its file and the lines of its numbers.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        name: such as `fig3`.
        choice: which part of the sweep.
        file: where to, in the form of its ending; None for a PNG in the results folder.

    Raises:
        NidbenchError: what `figures.draw` raises, for an ending of no known form, and where there is a file that is no
            figure of nidbench.
    """
    from nidbench.report.figures import draw, is_figure, saved
    from nidbench.report.sweep_sheets import sheet_name

    drawn = draw(name, store, sweep, choice, Measurements(sweep))
    stem = name + ("" if drawn.key is None else f"-{sheet_name(drawn.key).removesuffix('.png')}")
    path = file or store.root / "figures" / sweep.name / f"{stem}.png"
    form, known = path.suffix.removeprefix("."), drawn.figure.canvas.get_supported_filetypes()
    if form not in known:
        raise InputError(
            f"cannot draw {path}: let its name end in one of {', '.join(f'.{ending}' for ending in known)}"
        )
    content = saved(drawn.figure, form)
    with results_errors(path.parent, "another --file"):
        if path.exists() and not (path.is_file() and is_figure(path)):
            raise InputError(f"{path} is no figure of nidbench, as far as it says, and stays: give another --file")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path, drawn.lines
