"""A table of the paper, measured: what command line and Python share of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nidbench.paper.reproduction import Reproduction
from nidbench.paper.tables import paper_protocol
from nidbench.records import Planned, Store
from nidbench.scoring.protocols import DEFAULT
from nidbench.sweep.choices import Chooser

from .progress import Display
from .running import Computing, Ran, run_sweep
from .workplace import workplace

if TYPE_CHECKING:
    from nidbench.compute.computer import Computer
    from nidbench.sweep.cost import CostEstimate, Rates
    from nidbench.sweep.options import RunOptions
    from nidbench.sweep.plan import Plan


@dataclass(frozen=True)
class Reproduced:
    """A table that was measured.

    Attributes:
        ran: its sweep, and how its cells ended.
        protocol: the one under which all of its cells are scored, the default where they differ.
        file: the sweep file.
    """

    ran: Ran
    protocol: str
    file: Path


def write_sweep_file(
    store: Store, wanted: Reproduction, computing: Computing, display: Display, *, write: bool = True
) -> None:
    """Write the sweep file of a table without computing its cells; pilots run where a budget is given.

    Raises:
        NidbenchError: what `Reproduction.plan` raises.
    """
    options = computing.options()
    with store.lock(), workplace(computing, store, display.say) as place:
        chooser = Chooser(store, computing.threads, place.free_cores, display.say)
        wanted.plan(store, place.computer, options, display, display.say, chooser, write=write)


def reproduce_table(
    store: Store,
    wanted: Reproduction,
    protocol: str,
    computing: Computing,
    display: Display,
    *,
    confirm: Callable[[CostEstimate], None] = lambda _estimate: None,
    dry_run: bool = False,
) -> Reproduced | None:
    """Compute and score what is missing of a table; return how it went, or None for a dry run.

    Args:
        store: where records go.
        wanted: the table, or the part of it that fits a budget.
        protocol: for all cells; empty for the one nearest to the paper's.
        computing: how cells are computed.
        display: shows it.
        confirm: as of `run_sweep`.
        dry_run: as of `run_sweep`.

    Raises:
        NidbenchError: what `run_sweep` and `Reproduction.plan` raise.
    """

    def protocol_of(planned: Planned) -> str:
        return protocol or paper_protocol(wanted.table, planned.case, planned.label)

    def planner(computer: Computer, options: RunOptions, chooser: Chooser) -> tuple[Plan, Rates | None]:
        return wanted.plan(store, computer, options, display, display.say, chooser, write=not dry_run)

    ran = run_sweep(store, planner, protocol_of, computing, display, confirm=confirm, dry_run=dry_run)
    if ran is None:
        return None
    used = {protocol_of(planned) for planned in ran.sweep.cells}
    return Reproduced(ran, used.pop() if len(used) == 1 else DEFAULT.name, wanted.file)
