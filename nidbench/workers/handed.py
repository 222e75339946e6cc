"""What travels between the coordinating process and a worker: plain data, pickled, as each trusts the other."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.compute.messages import MethodFacts
from nidbench.contract.truth import StoredTruth, Truth
from nidbench.errors import DataError
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.sweep.cell import CellRequest, ScoredCase
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import Job

#: Bytes of arrays up to which a case travels; a larger one is made on the worker.
LARGE = 16 << 20

_CELL = "cell-"


@dataclass(frozen=True, eq=False)
class Measured:
    """A case that travels.

    Attributes:
        identity: what tells it from others: one measurement may be handed with several kernels and noise levels.
        problem: the problem.
        truths: what restorations are scored against.
        truth_hash: SHA-256 of the truths and their places.
    """

    identity: tuple[object, ...]
    problem: Problem
    truths: Sequence[Truth]
    truth_hash: str

    def scored(self) -> ScoredCase:
        """Return the case, ready to score."""
        return ScoredCase(self.problem, self.truths, self.truth_hash)


@dataclass(frozen=True)
class Named:
    """A case that a worker makes from its own data, of which it downloads what it lacks.

    Attributes:
        identity: as of `Measured`.
        request: asks for it, and maybe for a few others of the same image.
        key: its names.
        hashes: SHA-256 of its image and its kernel, and of its truths.
    """

    identity: tuple[object, ...]
    request: CaseRequest
    key: CaseKey
    hashes: tuple[str, str, str]

    def scored(self) -> ScoredCase:
        """Return the case, ready to score.

        Raises:
            DataError: where the worker's data are others than the coordinator's.
        """
        for case in cases(self.request):
            if case.key == self.key:
                truth_hash = case.truth_hash()
                if (case.image_hash, case.kernel_hash, truth_hash) != self.hashes:
                    raise DataError(f"the data of {self.key} are others here than where the sweep was planned")
                return ScoredCase(case.problem(), case.truths(), truth_hash)
        raise DataError(f"{self.request.dataset} has no {self.key} here")


def attempt_at(cell_id: str) -> str:
    """Return a new name for an attempt at a cell, which dask's task has, too."""
    return f"{_CELL}{cell_id}-{secrets.token_hex(4)}"


def is_cell(task: str) -> bool:
    """Return whether a task of dask's is an attempt at a cell."""
    return task.startswith(_CELL)


def case_of(job: Job) -> Measured | Named:
    """Return the case of a job as it travels: as arrays where they are small, else by name."""
    case = job.case
    identity = case.key, case.image_hash, case.kernel_hash, case.declared
    problem, truths, truth_hash = case.problem(), case.truths(), case.truth_hash()
    stored = any(isinstance(truth, StoredTruth) for truth in truths)  # of which there are hundreds
    size = problem.blurred.nbytes + (0 if stored else sum(truth.image.nbytes for truth in truths))
    if stored or size > LARGE:
        return Named(identity, job.source, case.key, (case.image_hash, case.kernel_hash, truth_hash))
    return Measured(identity, problem, truths, truth_hash)


@dataclass(frozen=True, eq=False)
class Handed:
    """A cell on its way to a worker.

    Attributes:
        attempt: names it and the attempt at it, in reports.
        topic: of the reports.
        request: what is to be computed.
        case: its case.
        options: time limits, checkpoints and observation.
        place: which of the worker's places it takes.
        memory: bytes that it may take; None for what the worker's machine has.
        home: names the results folder, for a worker that does not see it.
    """

    attempt: str
    topic: str
    request: CellRequest
    case: Measured | Named
    options: RunOptions
    place: int
    memory: int | None
    home: str


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a worker must be able to do to be of use for a sweep.

    Attributes:
        topic: names the sweep, whose places on a worker are its own.
        methods: the methods, as they are where the sweep was planned.
        device: torch device.
        precision: that must be native there.
        threads: of a computing process.
        memory: bytes that a cell may take; None for what the worker's machine has.
    """

    topic: str
    methods: Sequence[MethodFacts]
    device: str
    precision: str
    threads: int
    memory: int | None


#: Software -> its version: workers of another one would compute other results, or misread what is handed to them.
Software = Mapping[str, object]
