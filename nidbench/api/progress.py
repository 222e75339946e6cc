"""The runner's events on a terminal: a live display for a person, one line a cell for a log."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Set
from importlib.util import find_spec
from types import TracebackType

from rich.console import Console
from rich.control import strip_control_codes
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.segment import Segment, Segments

from nidbench.records import Point, Record
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.cost import CostEstimate
from nidbench.sweep.plan import Job, Plan
from nidbench.system.counts import count_of
from nidbench.system.durations import duration as duration
from nidbench.system.durations import duration_range as duration_range


class Display:
    """Shows a sweep as it runs. Use as a context manager.

    Args:
        warns: whether warnings are given as Python's, for a console that shows nothing.
        console: where to; live bars where it is a terminal, or a notebook that has widgets.
    """

    def __init__(self, console: Console, *, warns: bool = False) -> None:
        self._console = console
        self._warns = warns
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[last]}"),
            console=console,
            disable=not _is_live(console),
            speed_estimate_period=math.inf,  # cells take minutes: the pace is that of all so far
        )
        # each line would be an output of its own in a notebook
        self._bar_suffices = console.is_jupyter and _is_live(console)
        self._cells = self._progress.add_task("cells", total=None, last="")
        self._bars: dict[str, _CellBar] = {}
        self._unused: list[_CellBar] = []
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
            self._console.print(f"{count_of(done, 'cell is', 'cells are')} there already, {pending} to compute")

    def started(self, job: Job) -> _CellBar:
        """A cell begins; it has a bar as long as it is under way."""
        key = job.case.key
        bar = self._bars.pop(job.planned.id, None)  # of an attempt whose worker left
        if bar is None:
            bar = self._unused.pop() if self._unused else _CellBar(self._progress, self.warned)
        bar.begin(escape(f"{job.planned.label} · {key.image} · {key.kernel} · {key.noise}"))
        self._bars[job.planned.id] = bar
        return bar

    def ended(self, job: Job, record: Record) -> None:
        """A cell ended: one line."""
        self._ended += 1
        if (bar := self._bars.pop(job.planned.id, None)) is not None:
            bar.hide()
            self._unused.append(bar)
        key = job.case.key
        score = record.scores.get(DEFAULT.name)
        if record.status == "done":
            result = f"{score.psnr:.2f} dB" if score else "done"
        else:
            result = f"[bold red]{record.status}[/]: {escape(record.error)}"
        where = f"{key.dataset}/{key.image} {key.kernel} {key.noise} seed {job.planned.seed}"
        seconds = "" if record.seconds is None else f" in {record.seconds:.1f} s"
        self._progress.update(self._cells, completed=self._ended)
        if record.status != "done" or not self._bar_suffices:
            self._console.print(
                f"[{self._ended}/{self._count}] {escape(job.planned.label)}  {escape(where)}  {result}{seconds}"
                f"{self._left()}",
                highlight=False,
                soft_wrap=True,
            )

    def _left(self) -> str:
        """Return how long the rest takes at the pace so far, for a log, which has no bar that shows it."""
        seconds = self._progress.tasks[self._cells].time_remaining
        return "" if _is_live(self._console) or not seconds or seconds < 60 else f", about {duration(seconds)} left"

    def say(self, text: str) -> None:
        """Print a text as it is: no markup, no colours of numbers, no breaks."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def notes(self, plan: Plan) -> None:
        """Print what is to be known of the methods and datasets of a plan, once each."""
        notes = [(job.planned.label, job.method.note) for job in plan.jobs]
        notes += [(job.case.key.dataset, job.case.notice) for job in plan.jobs]
        for name, note in dict.fromkeys(notes):
            if note:
                self.noted(f"{name}: {note}")

    def estimated(self, plan: Plan, pending: int, estimate: CostEstimate) -> None:
        """Print how many cells are to be computed and what they will cost."""
        about = f"about {duration(estimate.seconds)} ({duration_range(estimate.low, estimate.high)})"
        about += " and more" if estimate.unknown else ""
        about += f", less where {', '.join(estimate.most)} stops by itself" if estimate.most else ""
        how = f"{plan.jobs[0].device}, {plan.sweep.choices}, " if plan.sweep.choices else f"{plan.jobs[0].device}, "
        self.say(f"{plan.sweep.name}: {count_of(pending, 'cell')} to compute on {how}{about}")
        if estimate.unknown:
            self.warned(f"the run time of {', '.join(estimate.unknown)} is unknown: their pilots gave no result")

    def cells(self, plan: Plan, pending: Set[str]) -> None:
        """Print each cell of a plan and whether it is still to be computed."""
        lines = [
            f"{planned.id}  {planned.label} ({planned.preset})  {planned.case}  seed {planned.seed}  "
            f"{'to compute' if planned.id in pending else 'there'}"
            for planned in plan.sweep.cells
        ]
        # as they are: of a text, rich would look at every line for where to break it
        text = strip_control_codes("".join(f"{line}\n" for line in lines))
        self._console.print(Segments([Segment(text)]), soft_wrap=True, end="")

    def noted(self, message: str) -> None:
        """What a person should know of a method or a dataset, such as its terms or what it was tuned on."""
        self._console.print(f"[cyan]note[/] {escape(message)}", highlight=False, soft_wrap=True)

    def warned(self, message: str) -> None:
        """Something a person should know."""
        if self._warns:
            warnings.warn(message, stacklevel=2)
        self._console.print(f"[yellow]warning[/] {escape(message)}", highlight=False, soft_wrap=True)


class _CellBar:
    """The bar of a cell under way.

    Args:
        bars: of all cells.
        warned: receives warnings.
    """

    def __init__(self, bars: Progress, warned: Callable[[str], None]) -> None:
        self._bars, self.warned = bars, warned
        self._task = bars.add_task("", total=None, last="", visible=False)

    def begin(self, text: str) -> None:
        """Show the bar for another cell."""
        self._bars.reset(self._task, total=None, description=text, last="", visible=True)

    def hide(self) -> None:
        """Hide the bar: its cell ended."""
        self._bars.update(self._task, visible=False)

    def progress(self, done: int, planned: int) -> None:
        """The cell advances."""
        self._bars.update(self._task, completed=done, total=planned)

    def observed(self, point: Point) -> None:
        """The cell's estimate was scored."""
        self._bars.update(self._task, last=f"{point.psnr:.2f} dB")


def _is_live(console: Console) -> bool:
    """Return whether bars can be redrawn: in a terminal, and in a notebook that has widgets."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
