"""A restoration's events on a terminal: a bar with the live residual for a person, lines for a log."""

from __future__ import annotations

import math
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class RestorationDisplay:
    """Shows a restoration as it is computed. Use as a context manager.

    Args:
        console: where to; a live bar where it is a terminal.
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
            transient=True,
        )
        self._task = self._progress.add_task("reading", total=None, last="")

    def __enter__(self) -> RestorationDisplay:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def said(self, text: str) -> None:
        """Print a note."""
        self._console.print(f"[cyan]note[/] {escape(text)}", highlight=False, soft_wrap=True)

    def began(self, text: str) -> None:
        """Show the bar for another part of the work."""
        self._progress.reset(self._task, total=None, description=escape(text), last="")
        if not self._console.is_terminal:
            self._console.print(escape(text), highlight=False, soft_wrap=True)

    def progress(self, done: int, planned: int) -> None:
        """The method advances."""
        self._progress.update(self._task, completed=done, total=planned)

    def residual(self, iteration: int, relative: float) -> None:  # noqa: ARG002 - of the interface
        """Show the residual."""
        text = "" if math.isnan(relative) else f"residual {relative:.2f} of the noise"
        self._progress.update(self._task, last=text)
