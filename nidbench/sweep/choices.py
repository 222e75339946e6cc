"""Chooses the precision and the threads of a sweep: once, so that neither load nor another measurement changes a cell.

What was chosen is kept in the sweep's file. The same sweep, and one that has cells of it, go on with that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import ComparePrecisions, CompareThreads, Hello, MethodFacts, Ratios
from nidbench.errors import InputError, NewerError, ResultsError
from nidbench.records import Choices, Names, Precision, Store, Sweep
from nidbench.system.counts import count_of

#: bf16, which rounds more, must take at most this part of float32's time.
CLEARLY_FASTER = 0.95

#: Several threads must take at most this part of one thread's time: they wait for each other many times an iteration,
#: so that each of them waits where another program comes to use one of their cores.
WORTH_IT = 2 / 3

#: Seconds that a comparison may take; on an idle machine it takes about half a second.
_PATIENCE = 30.0

#: Number of cells whose records are looked at for what the file of a sweep of before does not say.
_LOOKED_AT = 20


@dataclass(frozen=True, kw_only=True)
class Question:
    """The sweep for which something is to be chosen.

    Attributes:
        name: of the sweep.
        precision: as asked: `auto`, `float32` or `bf16`.
        device: torch device, `cpu` or `cuda:N`.
        methods: its methods.
        cells: its cells.
    """

    name: str
    precision: str
    device: str
    methods: Collection[MethodFacts]
    cells: frozenset[Names]

    @property
    def kind(self) -> str:
        """The kind of device, `cpu` or `cuda`."""
        return self.device.partition(":")[0]


@dataclass(frozen=True)
class Chosen:
    """What was chosen for a sweep.

    Attributes:
        choices: what its file keeps.
        kept: ids of an earlier sweep's cells: a cell that has one of these in either precision keeps that precision.
    """

    choices: Choices
    kept: frozenset[str] = frozenset()

    @property
    def precision(self) -> Precision:
        """The precision of cells that are in no earlier sweep."""
        return self.choices.precision or "float32"


class Chooser:
    """Chooses the precision and the threads of one sweep.

    Args:
        store: its sweeps keep what was chosen for them; None for no earlier sweeps.
        threads: as asked; None to choose.
        free: returns the number of cores that other programs leave free.
        say: receives a line on what was measured, or differs from what an earlier sweep has.
    """

    def __init__(
        self,
        store: Store | None = None,
        threads: int | None = 1,
        free: Callable[[], int] = lambda: 1,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store, self._asked, self._free, self._say = store, threads, free, say
        self._free_cores: int | None = None
        self._chosen: Chosen | None = None

    def first_threads(self, name: str) -> int:
        """Return the threads to plan a sweep with; those of its cells are others only where `choose` finds them."""
        if self._asked is not None:
            return self._asked
        earlier = self._read(name)
        return self._available() if earlier is None else earlier.choices.threads

    def choose(self, question: Question, computer: Computer) -> Chosen:
        """Return what is chosen for a sweep; for a part of the same sweep, later, it is the same.

        Args:
            question: the sweep.
            computer: compares precisions where no earlier sweep says which.

        Raises:
            InputError: for another precision than there are, or one that the device lacks.
            NewerError: where a newer nidbench wrote one of the earlier sweeps.
        """
        check_precision(question.precision, question.device, computer.hello())
        if self._chosen is None:
            earlier = self._earlier(question)
            threads = self._threads(earlier)
            computer.use_threads(threads)
            precision = self._precision(question, earlier, threads, computer)
            if self._asked is None and earlier is None and question.kind == "cpu" and precision is not None:
                threads = self._worth_it(precision, threads, computer)
                computer.use_threads(threads)
            kept = earlier.sweep.cells if earlier is not None and question.precision == "auto" else ()
            choices = Choices(question.kind, precision, threads)
            self._chosen = Chosen(choices, frozenset(planned.id for planned in kept))
        return self._chosen

    def _threads(self, earlier: _Earlier | None) -> int:
        if self._asked is None:
            return self._available() if earlier is None else earlier.choices.threads
        if earlier is not None and earlier.choices.threads != self._asked:
            self._say(
                f"threads {self._asked}, where {earlier.sweep.name} has {earlier.choices.threads}: what is finished "
                "stays; seconds differ between the two, and so do the last digits in bf16"
            )
        return self._asked

    def _precision(
        self, question: Question, earlier: _Earlier | None, threads: int, computer: Computer
    ) -> Precision | None:
        before = None if earlier is None else earlier.choices.precision
        same = earlier is not None and earlier.sweep.name == question.name
        if question.precision != "auto":
            asked: Precision = "bf16" if question.precision == "bf16" else "float32"
            if same and before not in (None, asked):
                self._say(
                    f"{question.name} was in {before}, whose cells stay in the folder: in {asked} they are others"
                )
            return asked
        if before == "bf16" and question.device not in computer.hello().bf16:
            if same:
                raise InputError(
                    f"{question.name} is in bf16, which {question.device} does not have: go on where it began, or "
                    "give --precision float32 (in Python precision='float32'), which asks for other cells"
                )
            before = None
        if before is not None or not any(map(_may_use_bf16, question.methods)):
            return before
        return self._faster(question.device, threads, computer)

    def _faster(self, device: str, threads: int, computer: Computer) -> Precision:
        """Return the precision in which a device convolves faster; float32 where there is little between them."""
        if device not in computer.hello().bf16:
            return "float32"
        try:
            answer: Ratios = computer.ask(ComparePrecisions(device, threads), lambda _: None, _PATIENCE)
        except (DeadlineError, WorkerDiedError) as error:
            self._say(f"float32, as bf16 could not be timed: {error}")
            return "float32"
        ratio = median(answer.ratios)
        faster: Precision = "bf16" if ratio <= CLEARLY_FASTER else "float32"
        self._say(f"{faster}, as a convolution in bf16 takes {ratio:.2f} of its time in float32")
        return faster

    def _worth_it(self, precision: Precision, available: int, computer: Computer) -> int:
        """Return how many threads fit networks: those there are where they are worth it, else one."""
        if available == 1:
            return 1
        try:
            answer: Ratios = computer.ask(CompareThreads(precision, available), lambda _: None, _PATIENCE)
        except (DeadlineError, WorkerDiedError) as error:
            self._say(f"1 thread, as {available} could not be timed: {error}")
            return 1
        ratio = median(answer.ratios)
        threads = available if ratio <= WORTH_IT else 1
        self._say(
            f"{count_of(threads, 'thread')}, as a convolution on {available} takes {ratio:.2f} of its time on one"
        )
        return threads

    def _available(self) -> int:
        if self._free_cores is None:
            self._free_cores = self._free()
        return self._free_cores

    def _earlier(self, question: Question) -> _Earlier | None:
        """Return the sweep to go on with: that of the same name, else the latest that has one of the cells."""
        others = [] if self._store is None else self._store.sweep_names()
        for name in dict.fromkeys([question.name, *others]):
            found = self._read(name)
            if found is None or found.choices.device != question.kind:
                continue
            if name == question.name or not question.cells.isdisjoint(planned.names for planned in found.sweep.cells):
                return found
        return None

    def _read(self, name: str) -> _Earlier | None:
        """Return a sweep and what was chosen for it; None where there is none, or it cannot be told.

        Raises:
            NewerError: where a newer nidbench wrote it, whose choices would not be kept.
        """
        if self._store is None:
            return None
        try:
            sweep = self._store.sweep(name)
        except NewerError:
            raise
        except ResultsError:  # it is not there, or damaged, and will be written anew
            return None
        choices = sweep.choices or _choices_of_records(sweep, self._store)
        return None if choices is None else _Earlier(sweep, choices)


@dataclass(frozen=True)
class _Earlier:
    sweep: Sweep
    choices: Choices


def _choices_of_records(sweep: Sweep, store: Store) -> Choices | None:
    """Return what the cells of a sweep were computed with, whose file does not say it; None where none is finished."""
    for planned in sweep.cells[:_LOOKED_AT]:
        with suppress(ResultsError):
            record = store.read(planned.id)
            if record is not None and record.threads is not None and record.cell.precision in ("float32", "bf16"):
                precision: Precision = "bf16" if record.cell.precision == "bf16" else "float32"
                return Choices(record.cell.device, precision, record.threads)
    return None


def _may_use_bf16(method: MethodFacts) -> bool:
    """Return whether a method may compute in bf16: the engine's can, and of a file that somebody gave nothing is known.

    The engine's methods are known by that they restore several problems side by side.
    """
    return method.batch or (method.file is not None and method.file.stem == method.spec.name)


def check_precision(precision: str, device: str, hello: Hello) -> None:
    """Refuse an unknown precision, and one that the device lacks.

    Args:
        precision: as asked.
        device: torch device.
        hello: what the devices have.

    Raises:
        InputError: for another word than `auto`, `float32` and `bf16`, or bf16 on a device that lacks it.
    """
    if precision not in ("auto", "float32", "bf16"):
        raise InputError(f"precision {precision!r}: use auto, float32 or bf16")
    if precision == "bf16" and device not in hello.bf16:
        raise InputError(f"precision bf16: {device} has no instructions for it; use auto or float32")
