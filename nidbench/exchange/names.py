"""The names that files of a packed sweep may have, and how cells and values from elsewhere are named in messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from nidbench.errors import InputError, PackError
from nidbench.records import Cell, checked_name

#: Digits of a cell's id.
_ID = r"[0-9a-f]{20}"

_CELL_FILE = re.compile(
    rf"cells/({_ID})/(?:record\.json|log(?:\.[0-9]{{1,9}})?\.json|(?:arrays|kept)(?:\.[0-9]{{1,9}})?\.npz)"
)
_SWEEP_FILE = re.compile(r"sweeps/([^/]+)\.json")

#: Things that a message names one by one.
_NAMED = 10

#: Characters of a name in a message.
_LONGEST = 100


def is_id(text: str) -> bool:
    """Return whether a text can be the id of a cell, and so the name of its folder."""
    return re.fullmatch(_ID, text) is not None


def cell_of(name: str) -> str | None:
    """Return the id of the cell that a file is of; None for one that is of no cell."""
    match = _CELL_FILE.fullmatch(name)
    return None if match is None else match[1]


def sweep_of(name: str) -> str | None:
    """Return the name of the sweep that a file is of; None for one that is of no sweep."""
    match = _SWEEP_FILE.fullmatch(name)
    if match is None:
        return None
    try:
        return checked_name("sweep name", match[1])
    except InputError:
        return None


def check_name(place: object, name: str) -> None:
    """Refuse a file that no packed sweep has: what is not named here is never written anywhere.

    Args:
        place: the packed file, for the message.
        name: the file in it.

    Raises:
        PackError: where it is neither of a cell nor of a sweep.
    """
    if cell_of(name) is None and sweep_of(name) is None:
        raise PackError(
            f"{place} holds {shown(name)!r}, which is no file of a sweep or a cell: it is another archive, or "
            "cut off; nothing of it is taken, ask for the file as nidbench pack wrote it"
        )


def shown(text: str) -> str:
    """Return a text from elsewhere as a message can have it: printable, and not too long."""
    printable = "".join(character if character.isprintable() else " " for character in text[:_LONGEST])
    return printable if len(text) <= _LONGEST else f"{printable}..."


def cell_name(cell: Cell) -> str:
    """Return a cell as a message names it."""
    return f"{cell.id} ({shown(cell.method)} on {shown(str(cell.case))}, seed {cell.seed})"


def first_of(things: Sequence[str]) -> str:
    """Return the first of things, with dots where there are more."""
    return things[0] if len(things) == 1 else f"{things[0]}, ..."


def listed(things: Iterable[str]) -> str:
    """Return things as lines below a message: the first of them, and how many more there are."""
    lines = list(things)
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    return "".join(f"\n  {line}" for line in [*lines[:_NAMED], *more])
