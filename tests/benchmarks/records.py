"""What commands take that read many records with curves, as whole processes, against limits of an idle machine.

Printed are wall time, CPU time, which other work on the machine changes less, and the largest resident size. Wall time
is judged; CPU time with `--cpu`, for a machine that is not idle. `--quick` has a hundredth of the records.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from nidbench.compute.messages import Hello
from nidbench.compute.same_process import SameProcess
from nidbench.contract import CaseKey
from nidbench.records import Cell, Log, Planned, Point, Record, Store, Sweep
from nidbench.scoring.score import Score
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment

RECORDS, MANY, POINTS = 10_000, 100_000, 200
GIGABYTE = 1000.0

NOTHING = """
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Nothing:
    info: ClassVar[MethodInfo] = MethodInfo("Nothing")
    level: int = 0

    def restore(self, problem: Problem, run: Run) -> Restored:
        return Restored(problem.operator("cpu").tapered.numpy())
"""

LOG = Log(tuple(Point(25 * step, step / 10, 25.0, 0.7) for step in range(POINTS)), environment={"torch": "2"})


class Limit(NamedTuple):
    """A command, what it says of the records, and what it may take: seconds and 10^6 bytes."""

    arguments: tuple[str, ...]
    says: str
    seconds: float
    megabytes: float = GIGABYTE


class Cost(NamedTuple):
    """Of a process: seconds of wall time, seconds of CPU time, largest resident size in 10^6 bytes."""

    wall: float
    cpu: float
    megabytes: float


def record(cell: Cell, index: int) -> Record:
    """Return a record of a cell, done, whose PSNR depends on its place."""
    scores = {"half-kernel": Score(25 + index % 997 / 100, 0.7)}
    common = {"truth_hash": "i", "seconds": 1.0, "threads": 1, "finished": "2026-01-02T03:04:05+00:00"}
    return Record(cell.id, cell, "done", scores, scores, **common).with_log(LOG)  # type: ignore[arg-type]


def of_table(index: int) -> Cell:
    """Return a cell in the order of Table 2 with 80 images and as many more as are needed."""
    names = ("ours", "dip", "dikp", "fid", "fdn")
    rest, method = divmod(index, len(names))
    rest, noise = divmod(rest, 3)
    image, kernel = divmod(rest, 8)
    return Cell(
        method=names[method],
        version=1,
        settings={"lr": 1e-4},
        case=CaseKey("sun", f"{image:02}", f"levin/{kernel + 1}", f"gaussian:0.0{2 * noise + 1}"),
        image_hash="i",
        kernel_hash="k",
        declared="known",
        response="identity",
        seed=0,
        precision="float32",
        device="cpu",
    )


def keep(store: Store, records: list[Record]) -> None:
    """Write records without the care that `Store.write` takes; their logs are few files under many names."""
    for index, each in enumerate(records):
        if index % 10_000 == 0:  # file systems limit the names of a file
            log = store.root / f"log-{index}.json"
            log.write_text(LOG.to_json())
        folder = store.root / "cells" / each.id
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(each.to_json())
        (folder / "log.json").hardlink_to(log)
        (folder / "arrays.npz").touch()  # a dry run opens none


def table_sweep(folder: Path, count: int) -> list[str]:
    """Write records of a table of the paper; return what names them to a command."""
    store = Store(folder)
    records = [record(of_table(index), index) for index in range(count)]
    keep(store, records)
    cells = [
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
        for each in records
    ]
    store.write_sweep(Sweep("many", {"experiments": []}, cells))
    return ["--output", str(folder)]


class OneHello(SameProcess):
    """This process, asked once for what it is."""

    def __init__(self) -> None:
        super().__init__()
        self._hello = super().hello()

    def hello(self) -> Hello:
        return self._hello


def planned_sweep(folder: Path, count: int) -> list[str]:
    """Write records of a sweep that a command asks for, all finished; return the options that ask for it."""
    folder.mkdir()
    file = folder / "nothing.py"
    file.write_text(NOTHING)
    methods, draws = "nothing,nothing[level=1]", count // 4
    noise_seeds = ",".join(f"{first}-{min(first + 9999, draws - 1)}" for first in range(0, draws, 10_000))
    experiment = Experiment(methods, "sample", noise_seeds=noise_seeds)
    plan = make_plan(Ask((experiment,), "cpu", "float32", file.resolve()), OneHello())
    store = Store(folder / "results")
    keep(store, [record(job.cell, index) for index, job in enumerate(plan.jobs)])
    store.write_sweep(plan.sweep)
    asked = ["--methods", methods, "--method-file", str(file), "--dataset", "sample", "--noise-seeds", noise_seeds]
    return [*asked, "--precision", "float32", "--device", "cpu", "--threads", "1", "--output", str(store.root)]


def run(arguments: list[str]) -> tuple[Cost, str]:
    """Return what a command cost and what it printed."""
    command = [sys.executable, "-P", "-m", "nidbench", *arguments]
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


def judged(
    folder: Path, count: int, make: Callable[[Path, int], list[str]], limits: list[Limit], *, by_cpu: bool
) -> list[str]:
    """Print a line a command and return those that are too slow, too large or say something else."""
    with ProcessPoolExecutor(1, get_context("spawn")) as maker:  # what is made here would count as its children's
        options = maker.submit(make, folder / f"{make.__name__}-{count}", count).result()
    output, failed = options[-2:], []
    for limit in limits:
        cost, text = run([*limit.arguments, *(options if limit.arguments[0] == "run" else output)])
        told = f"{cost.wall:.1f} s, CPU {cost.cpu:.1f} s, {cost.megabytes:.0f} MB"
        said = f"{' '.join(limit.arguments)} of {count} records: {told}"
        sys.stdout.write(f"records: nidbench {said} (limits {limit.seconds:.0f} s, {limit.megabytes:.0f} MB)\n")
        sys.stdout.flush()
        seconds = cost.cpu if by_cpu else cost.wall
        if seconds > limit.seconds or cost.megabytes > limit.megabytes or limit.says not in text:
            failed.append(f"{' '.join(limit.arguments)} of {count}")
    return failed


def main() -> None:
    """Print a line a command and fail where one is too slow, too large or says something else."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="judge CPU time in place of wall time")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the records")
    given = parser.parse_args()
    few, many = (count // (100 if given.quick else 1) for count in (RECORDS, MANY))
    with tempfile.TemporaryDirectory() as name:
        of_few = [
            Limit(("table",), f"{few} cells: {few} done", 2),
            Limit(("differences",), "Mean difference in PSNR", 2),
            Limit(("compare",), "Table 2 of Chen et al.", 2),
            Limit(("rescore", "--protocol", "shift-aligned", "--dry-run"), f"{few} cells to score", 10),
            Limit(("sync",), "mlflow", 60),
            Limit(("sync",), "mlflow", 5),
        ]
        of_many = [
            Limit(("table",), f"{many} cells: {many} done", 15, 2 * GIGABYTE),
            Limit(("run", "--dry-run"), "there", 10, 2 * GIGABYTE),
        ]
        failed = judged(Path(name), few, table_sweep, of_few, by_cpu=given.cpu)
        failed += judged(Path(name), many, planned_sweep, of_many, by_cpu=given.cpu)
    if failed:
        raise SystemExit(f"too slow, too large or wrong: {', '.join(failed)}")


if __name__ == "__main__":
    main()
