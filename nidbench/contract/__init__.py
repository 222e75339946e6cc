"""The contract between methods, datasets and the harness: plain data that they exchange, NumPy only.

A *method* is a frozen dataclass: its fields are its settings, `info` says who wrote it and which presets it has,
`restore` does the work. This is a complete method:

>>> from dataclasses import dataclass
>>> from typing import ClassVar
>>> import torch
>>> from nidbench.contract import MethodInfo, Problem, Restored, Run
>>>
>>> @dataclass(frozen=True)
... class Landweber:
...     info: ClassVar[MethodInfo] = MethodInfo("Landweber iteration", year=1951)
...     iterations: int = 20  #: gradient steps
...
...     def restore(self, problem: Problem, run: Run) -> Restored:
...         operator = problem.operator(run.device)
...         x = operator.tapered
...         for _ in range(self.iterations):
...             x = x + operator.adjoint(operator.blurred - operator.blur(x))
...         return Restored(x.cpu().numpy(), iterations=self.iterations)

The harness gives it a problem, then checks, scores and stores the result:

>>> import numpy as np
>>> from nidbench.physics.measure import measure
>>> sharp = np.pad(np.ones((1, 24, 24)), ((0, 0), (12, 12), (12, 12)))
>>> problem = measure(sharp, np.full((5, 3), 1 / 15), "gaussian:0.01", key="doctest")
>>> problem.blurred.shape, problem.frame
((1, 44, 46), (48, 48))
>>> restored = check_restored(Landweber().restore(problem, Run(seed=0)), problem)
>>> start = problem.operator("cpu").tapered.numpy()
>>> bool(abs(restored.image - sharp).mean() < abs(start - sharp).mean())
True
"""

from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.physics.kernel import check_kernel, normalised
from nidbench.physics.noise import Noise
from nidbench.physics.problem import Problem
from nidbench.physics.response import IDENTITY, Response

from .dataset import Dataset, DatasetInfo, FilesByHand, KnownTruths, Labelled, MeasuredDataset, Noticed
from .kernel_set import UNKNOWN, KernelError, KernelSet, KernelSetInfo
from .method import BatchMethod, Method, MethodInfo, NeedsFiles, Setting, Settings, StopsItself
from .restored import Restored, check_restored
from .run import KERNEL, NEVER, Clock, Run
from .truth import StoredTruth, Truth

__all__ = [
    "IDENTITY",
    "KERNEL",
    "MEASURED",
    "NEVER",
    "UNKNOWN",
    "BatchMethod",
    "CaseKey",
    "Clock",
    "Dataset",
    "DatasetInfo",
    "FilesByHand",
    "Image",
    "Kernel",
    "KernelError",
    "KernelSet",
    "KernelSetInfo",
    "KnownTruths",
    "Labelled",
    "MeasuredDataset",
    "Method",
    "MethodInfo",
    "NeedsFiles",
    "Noise",
    "Noticed",
    "Problem",
    "Response",
    "Restored",
    "Run",
    "Setting",
    "Settings",
    "StopsItself",
    "StoredTruth",
    "Truth",
    "check_kernel",
    "check_restored",
    "normalised",
]
