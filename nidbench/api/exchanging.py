"""Results on their way from one lab to another, from Python: `pack` and `merge`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nidbench.exchange import Arrays, Merged, Packed


def pack(
    sweep: str = "",
    file: str | Path = "",
    *,
    arrays: Arrays = "restorations",
    overwrite: bool = False,
    output: str | Path = "results",
) -> Packed:
    """Pack a sweep into one file that another lab can merge: the same results make the same bytes.

    A file that is called `*.jsonl` gets the records alone, one a line, whatever `arrays` says.

    Args:
        sweep: its name, or `first+second` for several; empty for the latest.
        file: the file to write; empty for `<sweep>.zip` in the current folder.
        arrays: which go along: `none`, `restorations` with their variances, or `all` that was kept besides.
        overwrite: whether a file that is there is replaced.
        output: the results folder, which is only read.

    Raises:
        InputError: where the file is there already, or for another word for arrays.
        ResultsError: where there is no such sweep, it has no computed cell yet, or the file cannot be written.
    """
    from nidbench.exchange import pack as pack_sweep
    from nidbench.records import Store

    store = Store(Path(output), create=False)
    name = sweep or store.latest()
    return pack_sweep(store, name, Path(file or f"{name}.zip"), arrays, overwrite=overwrite)


def merge(
    given: str | Path,
    *,
    most: str = "20G",
    name: str = "",
    keep_mine: bool = False,
    output: str | Path = "results",
) -> Merged:
    """Bring the results in a packed file, a file of records or another results folder into a results folder.

    All of it is checked before anything is written, nothing in it is executed, and no result that is there is replaced.

    Args:
        given: the packed file, a file with one record a line (`*.jsonl`) or the folder of a published result, which
            has one, or the other results folder.
        most: how much may be taken, unpacked.
        name: of the sweep that a file of records becomes; empty for the file's name, or its folder's where the file is
            `records.jsonl`.
        keep_mine: whether cells that have another result here stay, and the rest comes.
        output: the results folder; created where it does not exist.

    Raises:
        InputError: where what is given is damaged, made up, too large or of a newer format.
        ResultsError: where cells have another result here, a sweep of the same name asks for something else, the folder
            cannot be written, or another run is in it.
    """
    from nidbench.exchange import merge as merge_results
    from nidbench.system.sizes import read_size

    return merge_results(Path(given), Path(output), read_size("most", most), name=name, keep_mine=keep_mine)
