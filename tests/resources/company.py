"""A method that restores several problems side by side, and does to the others what a test tells it."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nidbench.contract import MethodInfo, Problem, Restored, Run


@dataclass(frozen=True)
class Company:
    info: ClassVar[MethodInfo] = MethodInfo("Company")
    mode: str = (
        "work"  #: beside others: `work`, `raise` of every second, `exit`, `hang`, `raise all`, `too few` or `nan`
    )
    iterations: int = 40

    def restore(self, problem: Problem, run: Run) -> Restored:
        return self._restored([problem], [run])[0]

    def restore_many(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored | Exception]:
        if self.mode == "exit":
            os._exit(3)
        if self.mode == "hang":
            signal.pause()
        if self.mode == "raise all":
            raise RuntimeError("told to fail")
        restored = self._restored(problems, runs)
        if self.mode == "raise":
            return [RuntimeError("told to fail") if place % 2 else each for place, each in enumerate(restored)]
        if self.mode == "nan":
            return [Restored(restored[0].image * np.nan), *restored[1:]]
        return restored[1:] if self.mode == "too few" else restored

    def _restored(self, problems: Sequence[Problem], runs: Sequence[Run]) -> list[Restored]:
        saved = [run.load() for run in runs]
        done = [0 if state is None else state[0] for state in saved]  # a signal may come between two of one iteration
        images = [np.zeros((p.blurred.shape[0], *p.frame), np.float32) for p in problems]
        for place, state in enumerate(saved):
            if state is not None:
                images[place] = np.frombuffer(state[1:], np.float32).reshape(images[place].shape)
        for iteration in range(min(done) + 1, self.iterations + 1):
            for place, run in enumerate(runs):
                if iteration <= done[place]:
                    continue
                noise = run.generator(f"step {iteration}").normal(0, 0.01, images[place].shape)
                images[place] = images[place] + noise.astype(np.float32)
                run.progress(iteration, self.iterations)
                if run.due(iteration):
                    run.observe(iteration, lambda x=images[place]: x)
                if run.checkpoint_due():
                    run.save(bytes([iteration]) + images[place].tobytes())
        return [Restored(x, iterations=self.iterations, details={"first": min(done)}) for x in images]
