"""What commands take that read a sweep of 10,000 records with curves, as whole processes: at most 10 s and 1 GB each.

Printed are wall time, CPU time, which other work on the machine changes less, and the largest resident size.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from nidbench.contract import CaseKey
from nidbench.records import Cell, Log, Planned, Point, Record, Store, Sweep
from nidbench.scoring.metrics import Score

SECONDS, MEGABYTES, RECORDS, POINTS = 10.0, 1000.0, 10_000, 200

#: Command -> what it says of these records.
COMMANDS = {
    ("table",): "10000 cells: 10000 done",
    ("compare",): "Table 2 of Chen et al.",
    ("rescore", "--protocol", "shift-aligned", "--dry-run"): "10000 cells to score",
}


class Cost(NamedTuple):
    """Of a process: seconds of wall time, seconds of CPU time, largest resident size in 10^6 bytes."""

    wall: float
    cpu: float
    megabytes: float


def record(index: int) -> Record:
    """Return one of a method's records, in the order of Table 2 with 80 images and as many more as are needed."""
    names = ("ours", "dip", "dikp", "fid", "fdn")
    rest, method = divmod(index, len(names))
    rest, noise = divmod(rest, 3)
    image, kernel = divmod(rest, 8)
    case = CaseKey("sun", f"{image:02}", f"levin/{kernel + 1}", f"gaussian:0.0{2 * noise + 1}")
    cell = Cell(
        method=names[method],
        version=1,
        settings={"lr": 1e-4},
        case=case,
        image_hash="i",
        kernel_hash="k",
        declared="known",
        response="identity",
        seed=0,
        precision="float32",
        device="cpu",
    )
    curve = tuple(Point(25 * step, step / 10, 25.0, 0.7) for step in range(POINTS))
    scores = {"half-kernel": Score(27.0, 0.7)}
    return Record(cell.id, cell, "done", scores, scores, truth_hash="i").with_log(
        Log(curve, environment={"torch": "2"})
    )


def write(store: Store) -> None:
    """Write the records, without the care that `Store.write` takes, and their sweep."""
    cells = []
    for each in map(record, range(RECORDS)):
        folder = store.root / "cells" / each.id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(each.to_json())
        (folder / "log.json").write_text((each.log or Log()).to_json())
        (folder / "arrays.npz").touch()  # a dry run opens none
        cells.append(
            Planned(
                id=each.id,
                label=each.cell.method,
                preset="paper",
                note="",
                case=each.cell.case,
                declared="known",
                seed=0,
                method=each.cell.method,
            )
        )
    store.write_sweep(Sweep("many", {"experiments": []}, cells))


def run(arguments: tuple[str, ...], output: Path) -> tuple[Cost, str]:
    """Return what a command cost and what it printed."""
    command = [sys.executable, "-P", "-m", "nidbench", *arguments, "--output", str(output)]
    with tempfile.TemporaryFile("w+") as printed:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=printed)
        _, status, used = os.wait4(process.pid, 0)  # tells the memory of this child alone
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
        printed.seek(0)
        text = printed.read()
    megabytes = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    return Cost(wall, used.ru_utime + used.ru_stime, megabytes), text


def main() -> None:
    """Print a line a command and fail where one is too slow, too large or says something else."""
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        write(Store(Path(folder)))
        for arguments, expected in COMMANDS.items():
            cost, text = run(arguments, Path(folder))
            told = f"{cost.wall:.1f} s, CPU {cost.cpu:.1f} s, {cost.megabytes:.0f} MB"
            limits = f"(limits {SECONDS:.0f} s, {MEGABYTES:.0f} MB)"
            sys.stdout.write(f"records: nidbench {' '.join(arguments)} of {RECORDS} records: {told} {limits}\n")
            if cost.wall > SECONDS or cost.megabytes > MEGABYTES or expected not in text:
                failed.append(arguments[0])
    if failed:
        raise SystemExit(f"too slow, too large or wrong: {', '.join(failed)}")


if __name__ == "__main__":
    main()
