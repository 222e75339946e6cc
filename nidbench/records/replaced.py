"""What tables lose where a sweep takes the place of an earlier one of its name."""

from __future__ import annotations

from nidbench.errors import InputError, NewerError, ResultsError
from nidbench.system.counts import count_of

from .store import Store
from .sweep import MERGED, Planned, Sweep


def left_out(store: Store, sweep: Sweep) -> str:
    """Return a remark on the cells of the earlier sweep of this name that a later one does not ask for; empty for none.

    A cell of another version or precision than before is asked for all the same: tables tell it by the same names.

    Args:
        store: the results folder.
        sweep: the later one, which is not written yet.

    Raises:
        InputError: where the earlier sweep was merged: who gives the command of one part again would lose the others.
        NewerError: where a newer nidbench wrote the earlier sweep.
    """
    asked = {planned.names for planned in sweep.cells}
    earlier = _earlier(store, sweep.name)
    if earlier is None:
        return ""
    lost = [planned for planned in earlier.cells if planned.names not in asked]
    if not lost:
        return ""
    if earlier.asked.get(MERGED):
        raise InputError(
            f"sweep {sweep.name} was merged with another folder's, and its tables would lose {_cells(lost)}: give "
            "another --name (in Python name='...'); what both sweeps have is computed once, and tables show both as "
            f"one under their names with + between, such as {sweep.name}+further"
        )
    return (
        f"the tables of {sweep.name} no longer show {_cells(lost)}; what was computed stays in the folder, and another "
        "--name keeps both"
    )


def _earlier(store: Store, name: str) -> Sweep | None:
    try:
        return store.sweep(name)
    except NewerError:
        raise
    except ResultsError:  # there is none, or it is damaged and tells nothing
        return None


def _cells(lost: list[Planned]) -> str:
    """Return how many cells are lost, and the first of them."""
    count = count_of(len(lost), "cell that is", "cells that are")
    further = ", ..." if len(lost) > 1 else ""
    return f"{count} not asked for now ({lost[0].label} on {lost[0].case}, seed {lost[0].seed}{further})"
