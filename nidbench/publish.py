"""What a finished sweep leaves for people: tables and contact sheets, made from records and made again at any time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import cases
from .contract import Case, CaseKey, Problem, Truth
from .errors import InputError, NidbenchError
from .fingerprint import fingerprint
from .plan import Experiment
from .records import Store, Sweep, results_errors, write_whole
from .registry import methods
from .scoring import closest

if TYPE_CHECKING:
    from .figures import Choice

#: Table formats and the endings of their files.
ENDINGS = {"md": "md", "csv": "csv", "latex": "tex", "html": "html"}


def fingerprints(sweep: Sweep) -> dict[str, str]:
    """Return today's fingerprint of each method of a sweep that is still registered."""
    file = sweep.asked.get("method_file") or None
    try:
        registry = methods(Path(file) if file else None)
    except NidbenchError:  # the file is gone: what it held cannot be called stale
        registry = methods()
    names = {planned.method for planned in sweep.cells}
    return {name: fingerprint(registry.targets[name]) for name in names if name in registry.targets}


def write_tables(store: Store, sweep: Sweep, protocol: str) -> dict[str, Path]:
    """Write a sweep's table in every format and return the files by format."""
    from .tables import render

    marks = fingerprints(sweep)
    written = {}
    for form, ending in ENDINGS.items():
        path = store.root / "tables" / f"{sweep.name}.{ending}"
        with results_errors(store.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, render(store, sweep, form, protocol, marks).encode())
        written[form] = path
    return written


def write_comparison(store: Store, sweep: Sweep, name: str, protocol: str) -> dict[str, Path]:
    """Write a table of the paper beside a sweep in every format and return the files by format.

    Arguments and errors are those of `compare.render_compare`.
    """
    from .compare import render_compare

    written, marks = {}, fingerprints(sweep)
    for form, ending in ENDINGS.items():
        path = store.root / "tables" / f"{sweep.name}-compared.{ending}"
        with results_errors(store.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, render_compare(store, sweep, name, form, protocol, marks).encode())
        written[form] = path
    return written


def sheet_folder(store: Store, sweep: Sweep) -> Path:
    """Return where a sweep's contact sheets are."""
    return store.root / "sheets" / sweep.name


def existing_sheets(store: Store, sweep: Sweep) -> list[Path]:
    """Return the contact sheets that were drawn."""
    return sorted(sheet_folder(store, sweep).glob("*.png"))


def write_sheets(store: Store, sweep: Sweep, most: int) -> tuple[list[Path], int]:
    """Write one contact sheet for each case, at most so many; return them and the number of cases."""
    from .report import sheets

    folder = sheet_folder(store, sweep)
    keys = list(dict.fromkeys(planned.case for planned in sweep.cells))
    shown = set(keys[:most])
    few = Sweep(sweep.name, sweep.asked, [planned for planned in sweep.cells if planned.case in shown])
    with results_errors(store.root):
        folder.mkdir(parents=True, exist_ok=True)
        written = sheets(store, few, _measurements(few), folder)
    return written, len(keys)


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
        NidbenchError: what `figures.draw` raises, and for an ending of no known form.
    """
    from .figures import draw
    from .report import sheet_name

    drawn = draw(name, store, sweep, choice, measurements(sweep))
    own = name + ("" if drawn.key is None else f"-{sheet_name(drawn.key).removesuffix('.png')}")
    path = file or store.root / "figures" / sweep.name / f"{own}.png"
    form, known = path.suffix.removeprefix("."), drawn.figure.canvas.get_supported_filetypes()
    if form not in known:
        raise InputError(f"cannot draw {path}: let its name end in one of {', '.join(f'.{each}' for each in known)}")
    content = BytesIO()
    drawn.figure.savefig(content, format=form, dpi=200)
    with results_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    return path, drawn.lines


def measurements(sweep: Sweep) -> Callable[[CaseKey], tuple[Problem, Truth] | None]:
    """Return a function that makes a sweep's measurements and truths again, as it asked for them; None without truth.

    Of many truths it is the one that the blurred image matches best: the same for all methods.
    """
    made = _measurements(sweep)

    def lookup(key: CaseKey) -> tuple[Problem, Truth] | None:
        problem, truth = made(key) or (None, None)
        return None if problem is None or truth is None else (problem, truth)

    return lookup


def _measurements(sweep: Sweep) -> Callable[[CaseKey], tuple[Problem, Truth | None] | None]:
    wanted = {planned.case for planned in sweep.cells}
    found: dict[CaseKey, Case] | None = None

    def lookup(key: CaseKey) -> tuple[Problem, Truth | None] | None:
        nonlocal found
        if found is None:
            experiments = [Experiment(**asked) for asked in sweep.asked["experiments"]]
            requests = [request for experiment in experiments for request in experiment.requests()]
            found = {case.key: case for request in requests for case in cases(request) if case.key in wanted}
        case = found.get(key)
        if case is None:
            return None
        problem = case.problem()
        return problem, closest(problem, case.truths())

    return lookup
