"""What the harness costs: 1000 cells of a method that does nothing, tracking on, pictures off; then the same again."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = 1000
LIMIT_CELL, LIMIT_RERUN = 0.020, 5.0

NOTHING = """
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Nothing:
    info: ClassVar[MethodInfo] = MethodInfo("Nothing")

    def restore(self, problem: Problem, run: Run) -> Restored:
        return Restored(problem.operator("cpu").tapered.numpy())
"""


def seconds(folder: Path) -> float:
    """Return the wall time of the whole command."""
    command = [sys.executable, "-P", "-m", "nidbench", "run", "--methods", "nothing", "--method-file"]
    command += [str(folder / "nothing.py"), "--dataset", "sample", "--noise-seeds", f"0-{CELLS // 2 - 1}"]
    command += ["--output", str(folder / "out"), "--no-pictures"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print both figures and fail where one is too large."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nothing.py").write_text(NOTHING)
        first, again = seconds(folder), seconds(folder)
    cell = first / CELLS
    sys.stdout.write(f"overhead: {CELLS} cells in {first:.1f} s, {1000 * cell:.1f} ms each (limit 20 ms)\n")
    sys.stdout.write(f"overhead: rerun of the finished sweep {again:.1f} s (limit {LIMIT_RERUN} s)\n")
    if cell > LIMIT_CELL or again > LIMIT_RERUN:
        raise SystemExit("too slow")


if __name__ == "__main__":
    main()
