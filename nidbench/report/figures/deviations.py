"""The paper's Fig. 11: the standard deviation of the output beside its error."""

from __future__ import annotations

import math

import numpy as np

from nidbench.errors import InputError
from nidbench.report.contact_sheet import picture
from nidbench.report.levels import LEVELS, channel_mean
from nidbench.scoring.calibration import coverage, error_variance_correlation
from nidbench.scoring.protocols import DEFAULT
from nidbench.scoring.scorer import Compared

from .canvas import Canvas, one_line
from .view import Drawn, View


def deviations(view: View) -> Drawn:
    """Draw what each method believes of its error beside its error."""
    compared = {label: view.compared(label) for label in view.records}
    known = {label: pair for label, pair in compared.items() if pair.variance is not None}
    if not known:
        raise InputError(
            f"{', '.join(compared)} returned no variance of the output: choose a method that samples, such as ours"
        )
    canvas = Canvas(len(known), 4, view.reference.shape, f"{view.key}   ({DEFAULT.name})", size=2.3, bars=True)
    lines = []
    for row, (label, pair) in enumerate(known.items()):
        lines.append(f"{label}: {_show_deviation(canvas, row, pair)}")
        canvas.show(row, 0, picture(view.blurred), f"blurred\n{view.input_psnr}")
        canvas.show(row, 1, picture(pair.image), f"{one_line(label)}\n{view.psnr(label)}")
    return Drawn(canvas.figure, view.key, lines)


def _show_deviation(canvas: Canvas, row: int, pair: Compared) -> str:
    """Show what a method believes of its error and the error, and return what the two have in common."""
    variance = np.asarray(pair.variance)
    correlation = error_variance_correlation(pair.image, variance, pair.truth)
    covered = coverage(pair.image, variance, pair.truth)
    nominal = "/".join(f"{100 * level:.0f}" for level in covered)
    actual = "/".join(f"{100 * share:.0f}" for share in covered.values())
    deviation, error = np.sqrt(channel_mean(variance)), np.sqrt(channel_mean(pair.error**2))
    canvas.levels(row, 2, deviation, f"standard deviation\nrank correlation with |error| {correlation:.2f}")
    canvas.levels(row, 3, error, f"|error|; {nominal} % intervals\ncover {actual} %")
    sizes = [LEVELS * math.sqrt(squares.mean()) for squares in (deviation**2, error**2)]
    return (
        f"rank correlation of error and variance {correlation:.3f}; intervals of {nominal} % cover {actual} %; "
        f"root mean square deviation {sizes[0]:.2f}, error {sizes[1]:.2f} levels of 255"
    )
