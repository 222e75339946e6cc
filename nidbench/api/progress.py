"""The runner's events on a terminal: a live display for a person, one line a cell for a log."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nidbench.records import Point, Record
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.plan import Job, Plan


class Display:
    """Shows a sweep as it runs. Use as a context manager.

    Args:
        console: where to; live bars only where it is a terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[last]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._cells = self._progress.add_task("cells", total=None, last="")
        self._cell = self._progress.add_task("", total=None, last="", visible=False)
        self._count, self._ended = 0, 0

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def planned(self, plan: Plan, pending: int) -> None:
        """A sweep begins."""
        self._count = pending
        self._progress.update(self._cells, total=pending)
        done = len({job.planned.id for job in plan.jobs}) - pending
        if done:
            self._console.print(f"{done} cells are there already, {pending} to compute")

    def started(self, job: Job) -> None:
        """A cell begins."""
        text = escape(f"{job.planned.label} · {job.case.key.image} · {job.case.key.kernel} · {job.case.key.noise}")
        self._progress.reset(self._cell, total=None, description=text, last="", visible=True)

    def progress(self, done: int, planned: int) -> None:
        """The cell advances."""
        self._progress.update(self._cell, completed=done, total=planned)

    def observed(self, point: Point) -> None:
        """The cell's estimate was scored."""
        self._progress.update(self._cell, last=f"{point.psnr:.2f} dB")

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended: one line."""
        self._ended += 1
        key = job.case.key
        score = record.scores.get(DEFAULT.name)
        if record.status == "done":
            result = f"{score.psnr:.2f} dB" if score else "done"
        else:
            result = f"[bold red]{record.status}[/]: {escape(record.error)}"
        where = f"{key.dataset}/{key.image} {key.kernel} {key.noise} seed {job.planned.seed}"
        seconds = "" if record.seconds is None else f" in {record.seconds:.1f} s"
        self._console.print(
            f"[{self._ended}/{self._count}] {escape(job.planned.label)}  {escape(where)}  {result}{seconds}",
            highlight=False,
            soft_wrap=True,
        )
        self._progress.update(self._cells, completed=self._ended)

    def noted(self, message: str) -> None:
        """What a person should know of a method or a dataset, such as its terms or what it was tuned on."""
        self._console.print(f"[cyan]note[/] {escape(message)}", highlight=False, soft_wrap=True)

    def warned(self, message: str) -> None:
        """Something a person should know."""
        self._console.print(f"[yellow]warning[/] {escape(message)}", highlight=False, soft_wrap=True)
