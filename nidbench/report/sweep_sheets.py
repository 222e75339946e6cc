"""The contact sheets of a sweep: one for each measurement, drawn again when what it shows has changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from nidbench.physics.arrays import Image
from nidbench.physics.case_key import CaseKey
from nidbench.records import Planned, Record, Store, Sweep
from nidbench.rescoring.measurements import Measurements
from nidbench.scoring.protocols import DEFAULT, encoded
from nidbench.scoring.scorer import closest, extended, looked_at

from .contact_sheet import LAYOUT, contact_sheet
from .shown_cells import choose, restorations


def sheets(store: Store, sweep: Sweep, measurements: Measurements, folder: Path) -> list[Path]:
    """Write a contact sheet for each measurement of a sweep that has done cells, and return their paths.

    Of each method's cells `choose` takes one. A method without a restoration is named in the heading. A sheet made from
    the same cells before is left as it is. What was computed from other files than today's is not shown beside them.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        measurements: makes them again, with their sharp images.
        folder: where the pictures go.

    Raises:
        ResultsError: where the folder cannot be written.
    """
    paths = [_sheet_of_case(store, key, cells, measurements, folder) for key, cells in sweep.by_case().items()]
    return [path for path in paths if path is not None]


#: Names of data set, image, kernel, noise and draw that no others look like in a file's name.
_USUAL = (r"[\w.=@-]+(:[\w.=@-]+)?", r"[\w.=@-]+", r"[\w.=@-]+(/[\w.=@-]+)?", r"[\w.=-]+(:[\w.=]+)?", r"\d+")


def sheet_name(key: CaseKey) -> str:
    """Return the file name of a measurement's contact sheet; no other measurement has it."""
    names = (key.dataset, key.image, key.kernel, key.noise, str(key.noise_seed))
    parts = [re.sub(r"[^\w.=@-]+", "-", name) for name in names]
    if not all(map(re.fullmatch, _USUAL, names)):  # others may look the same
        parts.append(hashlib.sha256(repr(names).encode()).hexdigest()[:8])
    return "__".join(parts) + ".png"


def _sheet_of_case(
    store: Store,
    key: CaseKey,
    cells: Sequence[Planned],
    measurements: Measurements,
    folder: Path,
) -> Path | None:
    chosen, lacking = choose(store, cells, measurements.today)
    path = _free(folder / sheet_name(key))
    case = measurements.named(key) if chosen else None
    if case is None:
        return None
    state = [LAYOUT, lacking, case.truth_hash(), *(_state(label, record) for label, record in chosen.items())]
    made_from = hashlib.sha256(repr(state).encode()).hexdigest()
    if _made_from(path) == made_from:
        return path
    problem = case.problem()
    truth = closest(problem, case.truths())
    place = looked_at(problem, truth)
    arrays = restorations(store, chosen, lacking)

    def scored(image: Image) -> Image:
        return DEFAULT.crop(image, problem, place)

    shown = {label: scored(encoded(restored["image"], problem, place)).clip(0, 1) for label, restored in arrays.items()}
    variances = {label: scored(restored["variance"]) for label, restored in arrays.items() if "variance" in restored}
    heading = f"{key}   ({DEFAULT.name})" + (f", without a result: {', '.join(lacking)}" if lacking else "")
    reference = None if truth is None else DEFAULT.reference(problem, truth).clip(0, 1)
    blurred = scored(extended(problem)).clip(0, 1)
    scores, metadata = _scores(chosen), {"nidbench": made_from}
    return contact_sheet(path, reference, blurred, shown, variances, scores, problem.kernel, heading, metadata)


def _state(label: str, record: Record) -> tuple[Any, ...]:
    return label, record.id, record.finished, record.scores.get(DEFAULT.name), record.input_scores.get(DEFAULT.name)


def is_sheet(path: Path) -> bool:
    """Return whether a file is a contact sheet."""
    return _made_from(path) is not None


def _free(path: Path) -> Path:
    """Return a path that a sheet may be written to: another one where a person has a picture there."""
    try:
        with Pillow.open(path) as picture:
            is_taken = "nidbench" not in picture.info
    except OSError:  # there is none, or it is damaged
        return path
    return path.with_stem(f"{path.stem}__nidbench") if is_taken else path


def _made_from(path: Path) -> str | None:
    """Return what a sheet says it was made from; None for none and for a damaged one."""
    try:
        with Pillow.open(path) as picture:
            return picture.info.get("nidbench")
    except OSError:
        return None


def _scores(chosen: Mapping[str, Record]) -> dict[str, str]:
    scores = {label: record.scores.get(DEFAULT.name) for label, record in chosen.items()}
    scores["input"] = next(iter(chosen.values())).input_scores.get(DEFAULT.name)
    return {label: f"{s.psnr:.2f} dB   {s.ssim:.3f}" for label, s in scores.items() if s is not None}
