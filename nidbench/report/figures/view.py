"""What a figure is drawn from: the cells of a sweep that are asked for, and one case of it with its truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nidbench.analysis.groups import CASE
from nidbench.contract.truth import Truth
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.arrays import Image
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.records import Log, Planned, Record, Store, Sweep
from nidbench.report.shown_cells import choose
from nidbench.rescoring.measurements import Measurements
from nidbench.scoring.null_band import THRESHOLD
from nidbench.scoring.protocols import DEFAULT
from nidbench.scoring.score import Score
from nidbench.scoring.scorer import Compared, closest, compare, extended


@dataclass(frozen=True)
class Choice:
    """What of a sweep a figure shows.

    Attributes:
        methods: labels; empty for all that have what it takes.
        image, kernel, noise: names that the cases must have; empty for any. A kernel's set may stand for its kernels.
        case: which of those that are left, from 1, where a figure shows one.
        against: the method that others are compared with; empty for `ours` where it is there, else the first.
        together: whether all methods share one axis, where each would have its own.
        layer: the layer whose channels are shown, from 1; None for the paper's 17th, or the last where there are fewer.
        threshold: of the near-null band, in parts of max |K|.
    """

    methods: tuple[str, ...] = ()
    image: str = ""
    kernel: str = ""
    noise: str = ""
    case: int = 1
    against: str = ""
    together: bool = False
    layer: int | None = None
    threshold: float = THRESHOLD


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure, the case it shows (None for a whole sweep), and its numbers as lines of text."""

    figure: Figure
    key: CaseKey | None
    lines: Sequence[str]


def cases_of(sweep: Sweep, choice: Choice) -> list[CaseKey]:
    """Return the cases of a sweep that a choice leaves, in its order.

    Raises:
        UnknownNameError: no such image, kernel or noise.
    """
    keys = list(sweep.by_case())
    for what, wanted in (("image", choice.image), ("kernel", choice.kernel), ("noise", choice.noise)):
        names = list(dict.fromkeys(getattr(key, what) for key in keys))
        fitting = [name for name in names if wanted in ("", name, name.partition("/")[0])]
        if not fitting:
            raise UnknownNameError(unknown(f"{what} of the sweep {sweep.name}", wanted, names))
        keys = [key for key in keys if getattr(key, what) in fitting]
    return keys


def planned_of(sweep: Sweep, keys: Collection[CaseKey], choice: Choice) -> list[Planned]:
    """Return the cells of some cases and of the methods that a choice leaves, in the sweep's order."""
    return [
        planned
        for planned in sweep.cells
        if planned.case in keys and planned.label in (choice.methods or (planned.label,))
    ]


def chosen_cells(cells: pd.DataFrame, keys: Collection[CaseKey], choice: Choice) -> pd.DataFrame:
    """Return the rows of `SweepCells.frame` of some cases and of the methods that a choice leaves.

    The method that others are compared with stays.
    """
    named = [CaseKey(*key) in keys for key in cells[CASE].itertuples(index=False, name=None)]
    wanted = {*choice.methods, choice.against} if choice.methods else set(cells["label"])
    return cells[pd.Series(named, index=cells.index) & cells["label"].isin(wanted)]


@dataclass(frozen=True, eq=False)
class View:
    """One case of a sweep, with a done cell of each method asked for, by the names of `shown_cells.choose`.

    `lacking` has those that have none, each with its reason.
    """

    store: Store
    sweep: Sweep
    key: CaseKey
    choice: Choice
    problem: Problem
    truth: Truth
    records: Mapping[str, Record]
    lacking: Sequence[str]

    @classmethod
    def of(cls, store: Store, sweep: Sweep, key: CaseKey, choice: Choice, measurements: Measurements) -> View:
        """Return a case's view.

        Raises:
            InputError: where no cell of the case is done, or its sharp image is unknown.
        """
        records, lacking = choose(store, planned_of(sweep, [key], choice), measurements.today)
        if not records:
            raise InputError(f"no cell of {key} is done ({', '.join(lacking)}): run the sweep {sweep.name} to its end")
        case = measurements.case(next(iter(records.values())).cell)
        problem = None if case is None else case.problem()
        truth = None if case is None or problem is None else closest(problem, case.truths())
        if problem is None or truth is None:
            raise InputError(f"no sharp image of {key} is known: choose a case that has one")
        return cls(store, sweep, key, choice, problem, truth, records, lacking)

    def log(self, label: str) -> Log:
        """Return the log of a method's cell."""
        record = self.store.whole(self.records[label].id)
        return Log() if record is None or record.log is None else record.log

    def compared(self, label: str) -> Compared:
        """Return a method's restoration beside the truth."""
        arrays = self.store.arrays(self.records[label].id)
        return compare(arrays["image"], arrays.get("variance"), self.problem, self.truth)

    @property
    def reference(self) -> Image:
        """The truth as restorations are compared with it, cropped, Shape (C, h, w)."""
        return DEFAULT.reference(self.problem, self.truth)

    @property
    def blurred(self) -> Image:
        """The blurred image, cropped likewise; it has the response already."""
        return DEFAULT.crop(extended(self.problem), self.problem, self.truth).clip(0, 1)

    @property
    def input_psnr(self) -> str:
        """The measurement's score as text, empty where it has none."""
        return _psnr_text(next(iter(self.records.values())).input_scores)

    def psnr(self, label: str) -> str:
        """Return a method's score as text, empty where it has none."""
        return _psnr_text(self.records[label].scores)

    def kept(self, what: str, has: Callable[[Iterable[str]], bool]) -> dict[str, dict[str, NDArray[Any]]]:
        """Return label -> kept arrays of the methods whose names of arrays pass `has`.

        Raises:
            InputError: where there are none: what to run, or that these methods have nothing of the kind.
        """
        asked = [label for label, record in self.records.items() if self.store.holds(record, [what])]
        arrays = {label: self.store.kept(self.records[label].id) for label in asked}
        having = {label: named for label, named in arrays.items() if has(named)}
        if not having and len(asked) == len(self.records):
            raise InputError(f"{', '.join(asked)} had no {what} to keep: choose a method that does")
        if not having:
            others = ", ".join(label for label in self.records if label not in asked)
            raise InputError(
                f"no {what} of {others} were kept for {self.key}: give the nidbench run of the sweep {self.sweep.name} "
                f"again with --keep {what}, which computes its cells again and keeps them"
            )
        return having


def _psnr_text(scores: Mapping[str, Score]) -> str:
    score = scores.get(DEFAULT.name)
    return "" if score is None else f"{score.psnr:.2f} dB"
