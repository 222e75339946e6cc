"""What is shown side by side of a case: one done cell of each method, and what it restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import ResultsError
from nidbench.records import Planned, Record, Store


def choose(
    store: Store, cells: Sequence[Planned], today: Callable[[Record], tuple[Record | None, str]] | None = None
) -> tuple[dict[str, Record], list[str]]:
    """Return the first done record of each method label, and the labels that have none, or not all, with the reason.

    A label that was planned with several presets, declared levels or seeds says which it is of: `ours (seed 0)`; one
    that is `input` or `truth`, as what is shown beside it, says that it is a method.

    Args:
        store: the results folder.
        cells: of one case.
        today: returns what of a record still agrees with today's files, None for nothing, and why it is not all of it;
            None to take records as they are.
    """
    chosen: dict[str, tuple[Planned, Record]] = {}
    reasons: dict[str, str] = {}
    partly: dict[str, str] = {}
    for planned in cells:
        label = planned.label
        if label in chosen:
            continue
        record, status = _read(store, planned)
        if record is None:
            reasons.setdefault(label, status)
            continue
        holding, reason = (record, "") if today is None else today(record)
        if holding is not None:
            chosen[label] = planned, holding
        if reason:
            partly[label] = reason
    lacking = [f"{label} ({reason})" for label, reason in reasons.items() if label not in chosen]
    lacking += [f"{label} ({reason})" for label, reason in partly.items()]
    return {_name(planned, cells): record for planned, record in chosen.values()}, lacking


def restorations(
    store: Store, chosen: Mapping[str, Record], lacking: list[str]
) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Return the arrays of each method's restoration; one that cannot be read costs no other.

    Args:
        store: the results folder.
        chosen: name -> record, from `choose`.
        lacking: from `choose`; those that cannot be read are added to it.

    Returns:
        name -> `image` and, where the method has one, `variance`, Shape (C, H, W) in the frame of x.
    """
    arrays = {}
    for name, record in chosen.items():
        try:
            arrays[name] = store.arrays(record.id)
        except ResultsError:
            lacking.append(f"{name} (its restoration cannot be read)")
    return arrays


def _read(store: Store, planned: Planned) -> tuple[Record | None, str]:
    """Return a cell's record if the cell is done, and its status."""
    try:
        record = store.read(planned.id)
    except ResultsError:
        return None, "corrupt"
    if record is None:
        return None, "missing"
    return (record if record.status == "done" else None), record.status


def _name(shown: Planned, cells: Sequence[Planned]) -> str:
    alike = [cell for cell in cells if cell.label == shown.label]
    particulars = [
        f"{what} {getattr(shown, what)}"
        for what in ("preset", "declared", "seed")
        if len({getattr(cell, what) for cell in alike}) > 1
    ]
    particulars += ["method"] if shown.label in ("input", "truth") else []
    return shown.label + (f" ({', '.join(particulars)})" if particulars else "")
