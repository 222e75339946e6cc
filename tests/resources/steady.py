"""A method that works at a steady pace and saves its state where that is due, for tests that stop it in the middle."""

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nidbench.contract import MethodInfo, Problem, Restored, Run


@dataclass(frozen=True)
class Steady:
    info: ClassVar[MethodInfo] = MethodInfo("Steady", presets={"paper": {}, "smoke": {"iterations": 3}})
    iterations: int = 150
    pace: float = 0.01  #: seconds that an iteration takes at least
    deaf: bool = False  #: never saves

    def restore(self, problem: Problem, run: Run) -> Restored:
        rows, columns = problem.valid
        x = np.zeros((problem.blurred.shape[0], *problem.frame), np.float32)
        x[:, rows, columns] = problem.blurred
        first, saved = 0, run.load()
        if saved is not None:
            first, x = int.from_bytes(saved[:4], "big"), np.frombuffer(saved[4:], np.float32).reshape(x.shape).copy()
        for iteration in range(first + 1, self.iterations + 1):
            time.sleep(self.pace)
            x = x + run.generator(f"step {iteration}").normal(0, 0.001, x.shape).astype(np.float32)
            run.progress(iteration, self.iterations)
            if run.due(iteration):
                run.observe(iteration, lambda x=x: x)
            if run.checkpoint_due() and not self.deaf:
                run.save(iteration.to_bytes(4, "big") + x.tobytes())
        return Restored(x, iterations=self.iterations, details={"first": first})
