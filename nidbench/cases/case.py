"""A case: a measurement, its identity and its truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nidbench.contract.truth import Truth
from nidbench.physics.case_key import CaseKey
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response


@dataclass(frozen=True, eq=False)
class Case:
    """A measurement with its identity and its truth; neither is made before it is asked for.

    Attributes:
        key: the names of the measurement.
        image_hash: SHA-256 of the sharp x. Where the blurred image is given, it is of that and of what is known of its
            noise.
        kernel_hash: SHA-256 of the kernel, followed by that of the kernel handed to methods where that is another.
        declared: what the method is told of the noise level: `known`, `estimated` or a factor such as `x1.2`.
        response: the camera's response g.
        problem: makes the measurement; it has the same bytes at every call, in every process.
        truths: makes the sharp images; there are none, one or many.
        truth_hash: makes the SHA-256 of the sharp images and their places, which scores are against; empty for none.
        shape: of x, (C, H, W), for estimates of cost.
        notice: what tables should say of the data, such as that there is no truth and how to get it.
    """

    key: CaseKey
    image_hash: str
    kernel_hash: str
    declared: str
    response: Response
    problem: Callable[[], Problem]
    truths: Callable[[], Sequence[Truth]]
    truth_hash: Callable[[], str]
    shape: tuple[int, int, int]
    notice: str = ""
