"""Which kernels a table speaks of: those that were used, of how many in their set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from nidbench.cases.kernels import choose_kernels
from nidbench.errors import NidbenchError

from .groups import GROUP, natural

#: So many kernels of a set are named one by one, where not all of it was used.
NAMED = 12


def kernel_scope(cells: pd.DataFrame) -> str:
    """Return a sentence that says under which kernels the cells of a table have scores, for its caption.

    Args:
        cells: from `SweepCells.frame`. Where none has a score, it is the kernels that were asked for.
    """
    scored = cells[cells["psnr"].notna()]
    cells = cells if scored.empty else scored
    groups_by_kernels: dict[str, list[str]] = {}
    for (dataset, kernel_set, noise), group in cells.groupby(GROUP, sort=False):
        groups_by_kernels.setdefault(_used(group), []).append(f"{dataset} {kernel_set} {noise}")
    if len(groups_by_kernels) == 1:
        return f"Under these kernels, and no others: {next(iter(groups_by_kernels))}."
    phrases = [f"{text} ({', '.join(groups)})" for text, groups in groups_by_kernels.items()]
    return f"Under these kernels, and no others: {'; '.join(phrases)}."


def _used(cells: pd.DataFrame) -> str:
    """Return the kernels of a group of cells, and whether each image was under all of them."""
    pairs = cells.drop_duplicates(["image", "kernel"])
    used = natural(pairs["kernel"].unique())
    crossed = len(pairs) == len(used) * pairs["image"].nunique()
    return ", ".join(_of_sets(used)) + ("" if crossed else ", each image under some of them")


def _of_sets(kernels: Iterable[str]) -> Iterator[str]:
    sets: dict[str, list[str]] = {}
    for kernel in kernels:
        sets.setdefault(kernel.partition("/")[0], []).append(kernel)
    for name, used in sets.items():
        there = _size(name)
        listed = ", ".join(used) if len(used) <= NAMED else f"{len(used)} kernels"
        if there is None:
            yield listed
        elif len(used) == there:
            yield f"all {there} of {name}" if there > 1 else used[0]
        else:
            yield f"{listed} of the {there} of {name}"


def _size(name: str) -> int | None:
    """Return how many kernels a set has; None where it is no registered one, as of images that are given."""
    try:
        return len(choose_kernels((name.partition("@")[0],), ""))
    except NidbenchError:
        return None
