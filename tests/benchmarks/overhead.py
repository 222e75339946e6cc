"""What the harness costs: 1000 cells of a method that does nothing, tracking on, pictures off; then the same again.

Then MLflow's share of it, from runs with and without tracking in turn: at most 10 %, or the run says what it is doing,
as importing MLflow and making its database take seconds however many cells there are.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = 1000
LIMIT_CELL, LIMIT_START, LIMIT_RERUN, LIMIT_SHARE = 0.010, 3.0, 2.0, 0.1
SAYS = "importing MLflow and writing"

NOTHING = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Nothing:
    info: ClassVar[MethodInfo] = MethodInfo("Nothing")

    def restore(self, problem: Problem, run: Run) -> Restored:
        border = [(0, 0)] + [((k - 1) // 2, k // 2) for k in problem.kernel.shape]
        return Restored(np.pad(problem.blurred, border, mode="edge"))
"""


def seconds(folder: Path, *more: str) -> tuple[float, str]:
    """Return the wall time of the whole command, and what it printed."""
    command = [sys.executable, "-P", "-m", "nidbench", "run", "--methods", "nothing", "--method-file"]
    command += [str(folder / "nothing.py"), "--dataset", "sample", "--noise-seeds", f"0-{CELLS // 2 - 1}"]
    command += ["--output", str(folder / "out"), "--no-pictures", *more]
    start = time.perf_counter()
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return time.perf_counter() - start, printed


def turns(count: int = 2) -> tuple[float, str]:
    """Return the share of tracking of the shortest of some runs with and without it, and what one with it printed."""
    with_tracking, without, printed = [], [], ""
    for _ in range(count):
        for times, more in ((with_tracking, ()), (without, ("--tracking", "none"))):
            with tempfile.TemporaryDirectory() as name:
                Path(name, "nothing.py").write_text(NOTHING)
                taken, said = seconds(Path(name), *more)
            times.append(taken)
            printed = printed if more else said
    return 1 - min(without) / min(with_tracking), printed


def main() -> None:
    """Print the figures and fail where one is too large."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nothing.py").write_text(NOTHING)
        (first, _), (again, _) = seconds(folder), seconds(folder)
    share, printed = turns()
    limit = LIMIT_START + CELLS * LIMIT_CELL
    sys.stdout.write(f"overhead: {CELLS} cells in {first:.1f} s, the start included (limit {limit:.0f} s)\n")
    sys.stdout.write(f"overhead: rerun of the finished sweep {again:.1f} s (limit {LIMIT_RERUN} s)\n")
    is_said = SAYS in printed
    what = "which it says" if is_said else "about which it says nothing"
    sys.stdout.write(f"overhead: MLflow's share {share:.0%} (limit {LIMIT_SHARE:.0%}), {what}\n")
    if first > limit or again > LIMIT_RERUN or (share > LIMIT_SHARE and not is_said):
        raise SystemExit("too slow")


if __name__ == "__main__":
    main()
