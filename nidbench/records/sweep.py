"""Cells asked for together, and how they were asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from nidbench.physics.case_key import CaseKey
from nidbench.system.counts import count_of

from .record import as_json, refuse_newer

#: What tables say of cells whose restorations are files. It is for people: programs look at `Planned.source`.
FROM_FILES = "restored elsewhere, scored from files"

#: Where a restoration comes from: `computed` by a method here, or `files` that somebody made elsewhere.
Source: TypeAlias = Literal["computed", "files"]

Names: TypeAlias = tuple[str, CaseKey, str, int]
"""A cell by its names: the method's label, the measurement, the declared noise level and the method's seed."""

#: What `Sweep.asked` says of a sweep that has cells of another folder's sweep of its name.
MERGED = "merged"

#: What `Sweep.asked` says of a sweep that was made of records alone, which do not tell how they were asked for.
OF_RECORDS = "of_records"


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A cell as a sweep asks for it.

    Attributes:
        id: the id of the cell.
        label: the method as tables name it, such as `ours:no-sa`.
        preset: the preset in force.
        note: what tables should say, such as that the preset asked for does not exist.
        case: the names of the measurement.
        declared: what the method is told of the noise level.
        seed: the seed of the method.
        method: the registered name, or the label of restorations that somebody submitted.
        source: where the restoration comes from.
    """

    id: str
    label: str
    preset: str
    note: str
    case: CaseKey
    declared: str
    seed: int
    method: str
    source: Source = "computed"

    @property
    def names(self) -> Names:
        """What tables tell it by; a cell of another version or precision is told by the same."""
        return self.label, self.case, self.declared, self.seed


#: A precision that methods compute in.
Precision: TypeAlias = Literal["float32", "bf16"]


@dataclass(frozen=True)
class Choices:
    """What was chosen once for all cells of a sweep.

    Attributes:
        device: the kind of device, `cpu` or `cuda`.
        precision: None where no method can use bf16 and nobody asked for one: its cells then say `float32`.
        threads: CPU threads of a computing process.
    """

    device: str
    precision: Precision | None
    threads: Annotated[int, msgspec.Meta(ge=1, lt=2**31)]

    def __str__(self) -> str:
        threads = count_of(self.threads, "thread")
        return threads if self.precision is None else f"{self.precision}, {threads}"


@dataclass(frozen=True)
class Sweep:
    """A list of cells and how they were asked for.

    Attributes:
        name: the name of its file.
        asked: the options of the command, as text or lists of text.
        cells: its cells, in the order of computation.
        choices: what was chosen for all of them; None in files of before there were any, and for what was not computed
            here.
    """

    name: str
    asked: Mapping[str, Any]
    cells: Sequence[Planned]
    choices: Choices | None = None

    def by_case(self) -> dict[CaseKey, list[Planned]]:
        """Return the cells of each measurement, both in the order of computation."""
        found: dict[CaseKey, list[Planned]] = {}
        for planned in self.cells:
            found.setdefault(planned.case, []).append(planned)
        return found

    def to_json(self) -> str:
        """Return the sweep as JSON text."""
        return as_json(self)

    @classmethod
    def from_json(cls, text: str, place: object = "the sweep") -> Sweep:
        """Read `to_json`'s text, also that of a version whose cells told their source by their note alone.

        Args:
            text: the text.
            place: where it is from, for messages.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: where it is not a whole sweep.
            NewerError: where a newer nidbench wrote it.
        """
        content = json.loads(text)
        refuse_newer(content.pop("format"), place)
        for cell in content["cells"]:
            cell.setdefault("source", "files" if cell["note"].startswith(FROM_FILES) else "computed")
        return msgspec.convert(content, cls)


def joined(sweeps: Sequence[Sweep]) -> Sweep:
    """Return several sweeps of one folder as one, with each cell once.

    `asked` is that of the first sweep, with the experiments of all, so that all measurements can be made again.
    """
    first = sweeps[0]
    experiments = [asked for sweep in sweeps for asked in sweep.asked["experiments"]]
    files = [file for sweep in sweeps if (file := sweep.asked.get("method_file"))]
    asked = {**first.asked, "experiments": experiments, "method_file": files[0] if files else ""}
    if any(sweep.asked.get(OF_RECORDS) for sweep in sweeps):
        asked[OF_RECORDS] = True
    cells = {(cell.id, cell.label): cell for sweep in sweeps for cell in sweep.cells}
    return Sweep("+".join(sweep.name for sweep in sweeps), asked, list(cells.values()))
