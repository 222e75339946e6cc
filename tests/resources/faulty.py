"""A method that does what a test tells it: works, or fails in one of the ways that methods fail."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil

from nidbench.contract import MethodInfo, Problem, Restored, Run


def _sweeping() -> int:
    """Return the process that runs the sweep: the parent of the one that this one is a copy of."""
    return psutil.Process(os.getppid()).ppid()


@dataclass(frozen=True)
class Faulty:
    info: ClassVar[MethodInfo] = MethodInfo("Faulty", presets={"paper": {}, "smoke": {"iterations": 3}})
    mode: str = "work"
    iterations: int = 6
    at: int = 4  #: iteration at which the fault comes
    log: str = ""  #: file that gets one line for each iteration done

    def restore(self, problem: Problem, run: Run) -> Restored:
        if self.mode == "exit":
            os._exit(3)
        rows, columns = problem.valid
        x = np.zeros((problem.blurred.shape[0], *problem.frame), np.float32)
        x[:, rows, columns] = problem.blurred
        start, saved = 0, run.load()
        if saved is not None:
            start, x = saved[0], np.frombuffer(saved[1:], np.float32).reshape(x.shape).copy()
        for iteration in range(start + 1, self.iterations + 1):
            x = x + run.generator(f"step {iteration}").normal(0, 0.001, x.shape).astype(np.float32)
            pilot = not run.checkpoint_due()  # tests have every iteration saved, a pilot saves none
            if not pilot:
                self._note(f"{os.getpid()} {iteration}\n")
                run.save(bytes([iteration]) + x.tobytes())
            run.progress(iteration, self.iterations)
            if run.due(iteration):
                run.observe(iteration, lambda x=x: x)
            if not pilot and (iteration == self.at or self.mode == "kill every parent"):
                self._fault(start > 0)
        return Restored(np.full_like(x, np.nan) if self.mode == "nan" else x, iterations=self.iterations)

    def _note(self, line: str) -> None:
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(line)

    def _fault(self, resumed: bool) -> None:
        if self.mode == "raise":
            raise RuntimeError("told to fail")
        if self.mode == "memory":
            np.empty(1 << 60, np.uint8)
        if self.mode == "hang":
            signal.pause()
        if self.mode == "kill every parent":
            os.kill(_sweeping(), signal.SIGKILL)
            signal.pause()
        if resumed:
            return
        if self.mode == "kill child":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mode == "kill parent":
            os.kill(_sweeping(), signal.SIGKILL)
            signal.pause()  # the control line's end must stop this process
        if self.mode == "interrupt parent":
            os.kill(_sweeping(), signal.SIGINT)
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                pass  # goes on computing, as a method does
