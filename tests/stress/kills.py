"""Sweeps that are killed, or asked to stop, at random moments, and finished by the same command all the same.

    python tests/stress/kills.py --kills 100 --terms 20 --seed 0 [--workers 2]

Each run of the command is cut off when its results folder has changed a random number of times, so that moments are
those of the program's own progress. Sweeps are finished first plainly, then with --keep, which computes done cells
again. A fault is a record lost, altered or computed again, a restoration that is not that of an undisturbed run to the
byte, a wrong exit code, a traceback, and a `.partial` file, unfinished work or a process left at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from nidbench.records import Store
from nidbench.system.signals import STOPPING

#: Cheap cells, and a fit that saves its state at every iteration.
CELLS = ("--methods", "wiener,fid,dip[iterations=15]", "--dataset", "sample", "--crop", "40")
PHASES = ((), ("--keep", "draws"))
#: Marks the processes of a sweep.
MARK = "NIDBENCH_STRESS"


def run_command(out: Path, cells: tuple[str, ...], *more: str) -> list[str]:
    """Return the command, with the output where the cells go."""
    options = ("--tracking", "none", "--no-pictures", "--checkpoint-every", "0", "--observe", "5", "--threads", "1")
    own = ("--yes", "--device", "cpu", "--precision", "float32", "--output", str(out))
    return [sys.executable, "-P", "-m", "nidbench", "run", *cells, *options, *own, *more]


def restorations(out: Path) -> dict[str, bytes]:
    """Return the restorations of the cells that are done, by their ids."""
    store, found = Store(out), {}
    for folder in (out / "cells").glob("*"):
        record = store.read(folder.name)
        if record is not None and record.status == "done":
            found[folder.name] = store.arrays(folder.name)["image"].tobytes()
    return found


def records(out: Path) -> dict[str, bytes]:
    """Return the bytes of the records, by the ids of their cells."""
    return {path.parent.name: path.read_bytes() for path in out.glob("cells/*/record.json")}


def state(out: Path) -> frozenset[tuple[str, int, int]]:
    """Return what is in a folder: names, sizes and times of change."""
    found = set()
    for folder, _, names in os.walk(out):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.add((str(path), status.st_size, status.st_mtime_ns))
    return frozenset(found)


def changes(process: subprocess.Popen[str], out: Path) -> Iterator[int]:
    """Count the changes of a folder while a process runs."""
    before, count = state(out), 0
    while process.poll() is None:
        now = state(out)
        if now != before:
            before, count = now, count + 1
            yield count
        else:
            time.sleep(0.002)  # leave the processor to what is watched


def is_worker(process: psutil.Process) -> bool:
    """Return whether a process is a worker, whose children compute."""
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.Error:
        return False


def marked(mark: str) -> list[psutil.Process]:
    """Return the live processes of a sweep, and what they started.

    Python's tracker of shared resources, which only keeps books, is none: killed, it is started anew and complains.
    """
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE
            if ours and not any("resource_tracker" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@dataclass
class Tally:
    """What was done, and the faults that were found."""

    done: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as a line."""
        done = ", ".join(f"{count} {name}" for name, count in sorted(self.done.items()))
        return f"kills: {done}; {len(self.faults)} faults"


class Sweeps:
    """Cuts off sweeps in one folder after the other.

    Args:
        folder: where to.
        cells: the options of `nidbench run` that say which.
        phases: options of the runs that finish a sweep, one after the other.
        seed: of the moments.
        told: takes a line for each run.
    """

    def __init__(
        self,
        folder: Path,
        cells: tuple[str, ...] = CELLS,
        phases: tuple[tuple[str, ...], ...] = PHASES,
        seed: int = 0,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder, self._cells, self._phases, self._told = folder, cells, phases, told
        self._random = np.random.default_rng(seed)
        self.tally = Tally()
        plain = folder / "undisturbed"
        with self._start(plain) as process:
            self._moments = max(changes(process, plain), default=0)
            told = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"the undisturbed run ended with {process.returncode}:\n{told}")
        self._wanted = restorations(plain)

    def run(self, wanted: Mapping[str, int]) -> None:
        """Cut off runs in the ways wanted, each so many times, and let every sweep finish."""
        left = [way for way, count in wanted.items() for _ in range(count)]
        self._random.shuffle(left)
        number = 0
        while left:
            number += 1
            out = self._folder / f"sweep {number}"
            for more in self._phases:
                finished = False
                while not finished:
                    finished = self._run(out, more, left[-1] if left else "")
                    if self._came:
                        left.pop()
            self._finished(out)
            self.tally.done["sweeps finished"] += 1

    def _start(self, out: Path, *more: str) -> subprocess.Popen[str]:
        def heed() -> None:  # what a shell in the background has them ignore
            for number in STOPPING:
                signal.signal(number, signal.SIG_DFL)

        environment = {**os.environ, MARK: out.name, "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        call = run_command(out, self._cells, *more)
        return subprocess.Popen(call, **pipes, text=True, env=environment, preexec_fn=heed)

    def _run(self, out: Path, more: tuple[str, ...], way: str) -> bool:
        """Start the command once, cut it off, and return whether it finished before that, or after all."""
        before, self._came = records(out), False
        moment = self._moment(len(before), again=bool(more)) if way else sys.maxsize
        with self._start(out, *more) as process:
            for count in changes(process, out):
                if count == moment:
                    self._spin()
                    self._came = self._cut_off(process, way, out.name)
                    break
            told = process.communicate()[0]
        self._told(
            f"{out.name} {' '.join(more)}: {way if self._came else 'undisturbed'}, exit code {process.returncode}"
        )
        self._await_end(out.name)
        self._compare(out, before, again=bool(more))
        self._judge(process.returncode, told, way if self._came else "")
        return process.returncode == 0

    def _fault(self, text: str) -> None:
        self.tally.faults.append(text)
        self._told(text)

    def _moment(self, there: int, *, again: bool) -> int:
        """Return after how many changes a run is cut off, at random among those that are to come."""
        share = 1.0 if again else 1 - there / len(self._wanted)
        return int(self._random.integers(1, 2 + int(share * (self._moments - 1))))

    def _spin(self) -> None:
        end = time.perf_counter() + 0.03 * self._random.random()
        while time.perf_counter() < end:
            pass

    def _cut_off(self, process: subprocess.Popen[str], way: str, mark: str) -> bool:
        """Send what `way` says, and return whether there was something to send it to."""
        if way in signal.Signals.__members__:
            process.send_signal(signal.Signals[way])
        others = [each for each in marked(mark) if each.pid != process.pid]
        workers = [each for each in others if is_worker(each)]
        if (way == "kill child" and not others) or (way == "kill worker" and not workers):
            return False
        one = [workers[self._random.integers(len(workers))]] if workers else []
        ways = {"kill parent": [process], "kill child": others, "kill both": [process, *others], "kill worker": one}
        victims = ways.get(way, ())
        for victim in victims:
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
        self.tally.done[way] += 1
        return True

    def _await_end(self, mark: str) -> None:
        """Find processes that outlive their parent by much."""
        left = marked(mark)
        _, alive = psutil.wait_procs(left, timeout=30)
        for process in alive:
            self._fault(f"left: process {process.pid}")
            process.kill()

    def _compare(self, out: Path, before: Mapping[str, bytes], *, again: bool) -> None:
        after = records(out)
        for cell in before.keys() - after.keys():
            self._fault(f"lost: {out.name} {cell}")
        if not again:
            for cell in (each for each in before.keys() & after.keys() if before[each] != after[each]):
                self._fault(f"altered: {out.name} {cell}")
        for cell, found in restorations(out).items():
            if found != self._wanted[cell]:
                self._fault(f"another restoration: {out.name} {cell}")

    def _judge(self, code: int, told: str, way: str) -> None:
        allowed = {"": {0}, "kill child": {0, 2}, "kill parent": {-9}, "kill both": {-9}, "kill worker": {0}}
        # 0 where what was left to do was done already, the signal itself where it came when all was said, too
        expected = allowed.get(way) or {0, 128 + signal.Signals[way], -signal.Signals[way]}
        if code not in expected:
            self._fault(f"exit code {code} after {way or 'nothing'}:\n{told}")
        if "Traceback (most recent call last)" in told:
            self._fault(f"traceback after {way}:\n{told}")
        if code > 128 and "run the same command again" not in told:
            self._fault(f"no word of what to do after {way}:\n{told}")

    def _finished(self, out: Path) -> None:
        if restorations(out).keys() != self._wanted.keys():
            self._fault(f"not all are done: {out.name}")
        left = list(out.rglob("*.partial")) + [path for path in (out / "work").glob("*") if path.is_dir()]
        for path in left:
            self._fault(f"left: {path}")


def main() -> None:
    """Print what was done and each fault; the exit code is 1 where there was one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs of parent, child or both, in turn")
    parser.add_argument("--terms", type=int, default=20, help="SIGTERMs, SIGHUPs and SIGINTs, in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="cells side by side; a worker is killed, too")
    given = parser.parse_args()
    killed, asked = ["kill parent", "kill child", "kill both"], [each.name for each in STOPPING]
    killed += ["kill worker"] if given.workers else []
    wanted = Counter(killed[index % len(killed)] for index in range(given.kills))
    wanted += Counter(asked[index % 3] for index in range(given.terms))
    with tempfile.TemporaryDirectory() as folder:
        cells = CELLS if given.workers is None else (*CELLS, "--workers", str(given.workers))
        sweeps = Sweeps(Path(folder), cells, seed=given.seed, told=lambda line: print(line, flush=True))  # noqa: T201
        sweeps.run(wanted)
    sys.stdout.write(sweeps.tally.line() + "\n")
    if sweeps.tally.faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
