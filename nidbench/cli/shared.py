"""What commands have in common besides options: the sweep asked for, and ways to say things."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nidbench.system.garbage import collector_paused

if TYPE_CHECKING:
    from rich.console import Console

    from nidbench.analysis.cells import SweepCells
    from nidbench.records import Store, Sweep


def say(console: Console, text: str) -> None:
    """Print a text as it is: no markup, no colours of numbers, no breaks."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_console() -> Console:
    """Return a console, importing rich only now."""
    from rich.console import Console

    return Console()


def open_sweep(output: Path, name: str | None) -> tuple[Store, Sweep]:
    """Return the results in a folder and a sweep of them, by default the latest.

    Raises:
        NidbenchError: where there is none.
    """
    from nidbench.records import Store

    store = Store(output, create=False)
    return store, store.sweep(name or store.latest())


def read_sweep(output: Path, name: str | None) -> SweepCells:
    """Return a sweep of the results in a folder, by default the latest, with its records read.

    Raises:
        NidbenchError: where there is none.
    """
    return read_cells(*open_sweep(output, name))


def read_cells(store: Store, sweep: Sweep) -> SweepCells:
    """Return a sweep with its records read, for a command that makes tables of them and then ends.

    Not for one that draws: figures are full of cycles, and would all stay until its end.
    """
    from nidbench.analysis.cells import SweepCells

    click.get_current_context().with_resource(collector_paused())
    return SweepCells.read(store, sweep)


def tell(lines: Sequence[str]) -> None:
    """Print lines beside what the command prints, on stderr."""
    for line in lines:
        click.echo(line, err=True)
