"""A results folder as the place that results come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from nidbench.errors import DamagedError, PackError
from nidbench.records import ARRAYS, Store

from .names import is_id, shown, sweep_of
from .source import Source


class Folder(Source):
    """A results folder, or a part of it.

    Another run may be at work in it: what is replaced while it is read is noticed.

    Args:
        store: the folder.
        most: bytes that all files may have together.
        sweeps: names of its sweeps; None for all.
        cell_ids: ids of its cells; None for all.

    Raises:
        PackError: where a cell or a sweep, such as a copy made by hand, has a name that none can have.
        ResultsError: where a record cannot be read, or is of a newer format.
    """

    remedy = "run its sweep again there, or set the folder of the cell aside, then run the same command again"
    sweep_remedy = (
        "give the file the name of its sweep, run the sweep again there, or set the file aside, which takes no cell "
        "away; then run the same command again"
    )

    def __init__(
        self,
        store: Store,
        most: int,
        sweeps: Iterable[str] | None = None,
        cell_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(store.root, most)
        #: Ids of cells whose records cannot be read.
        self.damaged: list[str] = []
        #: Ids of cells without a record.
        self.missing: list[str] = []
        self._names = [_sweep_file(store, name) for name in (store.sweep_names() if sweeps is None else sweeps)]
        for cell_id in store.cell_ids() if cell_ids is None else cell_ids:
            self._names += self._files(store, cell_id)
        self._known = set(self._names)

    def _files(self, store: Store, cell_id: str) -> list[str]:
        if not is_id(cell_id):
            raise PackError(f"{store.root} holds a cell {shown(cell_id)!r}, which can be none: set it aside")
        try:
            record = store.read(cell_id)
        except DamagedError:
            self.damaged.append(cell_id)
            return []
        if record is None:
            self.missing.append(cell_id)
            return []
        beside = [path.name for name in ("log.json", *ARRAYS) if (path := store.file(record, name)) is not None]
        return [f"cells/{cell_id}/{name}" for name in ("record.json", *beside)]

    @property
    def names(self) -> Collection[str]:
        """The names of all files."""
        return self._known

    def _content(self, name: str, most: int) -> bytes:
        path = self.place / name
        try:
            with path.open("rb") as file:
                content = file.read(most + 1)
        except FileNotFoundError:
            raise PackError(f"{path} was replaced while it was read: run the same command again") from None
        except OSError as error:
            raise PackError(f"{path} cannot be read: {error.strerror or error}") from error
        if len(content) > most:
            raise PackError(f"{path} has more than {most} bytes: {self.remedy}")
        return content


def _sweep_file(store: Store, name: str) -> str:
    """Return the file of a sweep, of a name that whoever merges it would take."""
    file = f"sweeps/{name}.json"
    if sweep_of(file) is None:
        raise PackError(f"{store.root} holds a sweep {shown(name)!r}, a name that none can have: set {file} aside")
    return file
