"""A method that samples: draws around a blend of the measurement's neighbours, and made-up maps of two layers."""

import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nidbench.contract import MethodInfo, Problem, Restored, Run


@dataclass(frozen=True)
class Sampler:
    info: ClassVar[MethodInfo] = MethodInfo("Sampler", presets={"paper": {}, "smoke": {"draws": 4}})
    draws: int = 12
    spread: float = 0.1  #: standard deviation of a draw where the image is bright
    mode: str = "work"  #: `kill child`: dies once amid its draws
    layers: int = 2

    def restore(self, problem: Problem, run: Run) -> Restored:
        rows, columns = problem.valid
        height, width = problem.frame
        pad = ((0, 0), (rows.start, height - rows.stop), (columns.start, width - columns.stop))
        x = np.pad(problem.blurred, pad, mode="edge").clip(0, 1)
        resumed = run.load() is not None
        run.save(b"before the draws")
        generator = run.generator("draws")
        deviation = self.spread * x
        drawn = []
        for n in range(self.draws):
            drawn.append((x + deviation * generator.standard_normal(x.shape)).astype(np.float32))
            run.sample(drawn[-1])
            if run.due(n + 1):
                run.observe(n + 1, lambda: np.mean(drawn, axis=0))
            if n == self.draws // 2 and self.mode == "kill child" and not resumed:
                run.keep("layer 09", np.zeros((1, 2, 2)))  # of an attempt that does not count
                os.kill(os.getpid(), signal.SIGKILL)
        if run.keeps("layers"):
            noise = run.generator("layers")
            for n in range(self.layers):
                variance = noise.random((3 + n, height >> n, width >> n)) ** 2 * 10.0 ** -(2 * n)
                run.keep(f"layer {n + 1:02d}", variance)
        draws = np.stack(drawn)
        return Restored(draws.mean(axis=0), draws.var(axis=0), iterations=self.draws)
