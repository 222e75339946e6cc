"""The report of a sweep as files: one page, or a page with its pictures beside it; whole or not there."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nidbench.errors import InputError
from nidbench.records import Store, Sweep
from nidbench.system.sizes import size_text
from nidbench.system.whole_files import results_errors, settle, write_unsettled, write_whole

if TYPE_CHECKING:
    from nidbench.analysis.cells import SweepCells

#: Cells up to which their pictures fit into one page.
CELLS = 50

#: Bytes up to which pictures fit into one page: browsers take seconds to read more.
BYTES = 150 * 1024**2

#: Names of a report's pictures: another file beside them is a person's.
_PICTURE = re.compile(r"[0-9a-f]{20}\.png")

#: The page in a folder.
INDEX = "index.html"


#: What to give where a page cannot be written to its place.
_OTHER = "another file with --file, or another --folder"


def write_report(
    store: Store,
    sweep_cells: SweepCells,
    protocol: str,
    *,
    against: str = "",
    file: Path | None = None,
    folder: Path | None = None,
    pictures: bool = True,
    anew: bool = True,
) -> Path:
    """Write the report of a sweep and return its page.

    Args:
        store: the results folder.
        sweep_cells: the sweep, read.
        protocol: the metric protocol of its numbers.
        against: the method that others are compared with at first; empty for `ours` where it is there, else the first.
        file: where to; None for `reports/<sweep>.html` in the results folder.
        folder: for a page with its pictures as files beside it, which a browser reads when they are looked at.
        pictures: False to leave them out.
        anew: False to leave a file that was made from the same records, by the same version, as it is; for callers that
            know the records to be of today's data, which pictures are made from.

    Raises:
        InputError: for pictures that are too many for one page, both a file and a folder, or a place that holds
            something that is no report.
        UnknownNameError: no such protocol or method.
        ResultsError: where nothing can be written.
    """
    from nidbench.analysis.groups import named, reference
    from nidbench.report.html.made_from import is_made_from, made_from, signed

    sweep, cells = sweep_cells.sweep, sweep_cells.frame(protocol)
    reference(list(named(cells)["method"].unique()), against)  # what is wrong is said before anything is made
    if folder is not None and file is not None:
        raise InputError(f"both the file {file} and the folder {folder} were given: give one of them")
    if folder is None and pictures and len(cells) > CELLS:
        raise InputError(_too_much(sweep, f"{len(cells)} cells", f"{CELLS} at most"))
    target = _target(store, sweep, file, folder)
    made = made_from(store, sweep_cells, protocol, against, pictures=pictures)
    if not anew and folder is None and is_made_from(target, made):
        return target
    from nidbench.report.html import cases  # here and not at the top, because of the libraries that draw
    from nidbench.report.html.numbers import text_of
    from nidbench.report.html.page import page

    with results_errors(target.parent, _OTHER):
        (target.parent if folder is None or not pictures else folder / "pictures").mkdir(parents=True, exist_ok=True)
        place = cases.inline if folder is None else cases.in_folder(folder, write_unsettled)
        pictured, used, size = [], set(), 0
        keys = cases.order(cells) if pictures else []
        for case in cases.pictured(store, sweep, keys, protocol, place, text_of(cells)):
            pictured.append(case)
            used |= set(cases.addresses(case))
            size += 0 if folder else sum(map(len, cases.addresses(case)))
            if size > BYTES:
                raise InputError(_too_much(sweep, f"pictures of more than {size_text(BYTES)}", "that at most"))
        if folder is not None:
            settle([folder / address for address in used])  # before the page that names them
        text = page(store, sweep_cells, pictured if pictures else None, protocol, against)
        write_whole(target, signed(text.encode("utf-8", "replace"), made))
        if folder is not None:
            _forget(folder, used)
    return target


def _too_much(sweep: Sweep, what: str, most: str) -> str:
    return (
        f"the sweep {sweep.name} has {what}, and one page takes {most}: give --folder DIR for a page with its pictures "
        "as files beside it, or --no-pictures"
    )


def _target(store: Store, sweep: Sweep, file: Path | None, folder: Path | None) -> Path:
    """Return the page to write.

    Raises:
        InputError: where there is something else in its place.
    """
    target = folder / INDEX if folder else file or store.root / "reports" / f"{sweep.name}.html"
    with results_errors(target.parent, _OTHER):
        if target.is_dir():
            raise InputError(f"{target} is a folder: give the name of a file, or --folder for a page with its pictures")
        if target.exists() and not (target.is_file() and _is_report(target)):
            raise InputError(f"{target} is no report of nidbench, and stays as it is: give another name")
        if folder and folder.is_dir() and not target.exists() and not _was_cut_off(folder):
            raise InputError(f"the folder {folder} holds other files: give an empty one, or one with a report")
    return target


def _was_cut_off(folder: Path) -> bool:
    """Return whether a folder holds nothing but pictures of a report that has no page yet."""
    pictures = folder / "pictures"
    others = {each.name for each in folder.iterdir()} - {"pictures"}
    return not others and (not pictures.is_dir() or all(_PICTURE.fullmatch(each.name) for each in pictures.iterdir()))


def _is_report(path: Path) -> bool:
    from nidbench.report.html.made_from import MARK

    with path.open("rb") as file:
        return MARK in file.read(1024)


def _forget(folder: Path, used: set[str]) -> None:
    """Remove the pictures of an earlier report that this one does not show."""
    for path in (folder / "pictures").glob("*.png"):
        if _PICTURE.fullmatch(path.name) and f"pictures/{path.name}" not in used:
            with suppress(OSError):  # it is in nobody's way
                path.unlink()
