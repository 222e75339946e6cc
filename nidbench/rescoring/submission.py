"""Restorations that were computed elsewhere, as files, and what is stated about them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nidbench.cases.case import Case
from nidbench.images import UNSTATED, Units
from nidbench.records import Cell, Planned
from nidbench.sweep.request import Experiment

from .file_names import PATTERN


@dataclass(frozen=True)
class Submission:
    """A folder of restorations, and the measurements that they restore.

    Attributes:
        folder: the folder of the files.
        experiment: the measurements; its `methods` is the label of the restorations in tables.
        pattern: pattern of the names of files in the folder, see `file_name`.
        encoded: whether the files have x after the camera's response; None where this is not stated.
        name: name of the sweep; empty to make one from the other values.
        units: what is stated about the values of the files.
    """

    folder: Path
    experiment: Experiment
    pattern: str = PATTERN
    encoded: bool | None = None
    name: str = ""
    units: Units = UNSTATED

    @property
    def label(self) -> str:
        """The label of the restorations, in the place of a method's name."""
        return self.experiment.methods

    @property
    def sweep_name(self) -> str:
        """The name of its sweep: as given, else one made from what was submitted."""
        if self.name:
            return self.name
        digest = hashlib.sha256(repr(self.experiment).encode()).hexdigest()[:6]
        dataset = re.sub(r"[^\w.-]+", "-", self.experiment.dataset)
        return f"{self.label}-{dataset}-{digest}"

    def asked(self) -> dict[str, Any]:
        """Return what its sweep says of how it was asked for."""
        return {"experiments": [asdict(self.experiment)], "files": str(self.folder), "pattern": self.pattern}

    def cell(self, case: Case) -> Cell:
        """Return the cell of its file of a case."""
        return Cell(
            method=self.label,
            version=1,
            settings={"scored": "from files"},
            case=case.key,
            image_hash=case.image_hash,
            kernel_hash=case.kernel_hash,
            declared=case.declared,
            response=str(case.response),
            seed=0,
            precision="",
            device="",
        )

    def planned(self, cell: Cell, note: str) -> Planned:
        """Return a cell of it as its sweep has it, with what tables should say."""
        return Planned(
            id=cell.id,
            label=self.label,
            preset="",
            note=note,
            case=cell.case,
            declared=cell.declared,
            seed=cell.seed,
            method=self.label,
            source="files",
        )

    def details(self, path: Path) -> dict[str, Any]:
        """Return what the score of a file rests on besides its cell: the file, and what is stated about it."""
        return {
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "encoded": bool(self.encoded),
            "units": self.units.stated(),
        }
