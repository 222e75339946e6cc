"""The paper's Fig. 1: the error of each method inside and outside the kernel's near-null band."""

from __future__ import annotations

import numpy as np

from nidbench.physics.arrays import Kernel
from nidbench.report.contact_sheet import picture, wrapped
from nidbench.report.levels import signed_levels
from nidbench.scoring.metrics import decibels
from nidbench.scoring.null_band import Split, near_null, split_error, transfer_magnitude
from nidbench.scoring.protocols import DEFAULT

from .canvas import Canvas
from .view import Drawn, View

_ORANGE = (1.0, 0.62, 0.11)


def null_band(view: View) -> Drawn:
    """Draw each method's error and the part of it that the kernel hides.

    The truth's own part there is the error of a method that leaves the band empty.
    """
    kernel, threshold, reference = view.problem.kernel, view.choice.threshold, view.reference
    images = {"input": view.blurred, **{label: view.compared(label).image for label in view.records}}
    errors = {label: image.astype(np.float64) - reference for label, image in images.items()}
    splits = {label: split_error(error, kernel, threshold) for label, error in errors.items()}
    splits["truth"] = split_error(reference, kernel, threshold)
    canvas = Canvas(3, len(images) + 1, reference.shape, heading=f"{view.key}   ({DEFAULT.name})")
    scores = {"input": view.input_psnr, **{label: view.psnr(label) for label in view.records}}
    for column, (label, image) in enumerate({**images, "truth": reference}.items()):
        title = [*wrapped(label, 24), scores.get(label, "")]
        canvas.show(0, column, picture(image), "\n".join(title).strip())
    names = list(view.records)
    canvas.differences(
        1, [signed_levels(error) for error in errors.values()], [signed_levels(errors[label]) for label in names]
    )
    hidden = {label: signed_levels(split.inside) for label, split in splits.items()}
    canvas.differences(2, list(hidden.values()), [hidden[label] for label in names])
    for column, split in enumerate(splits.values()):
        canvas.axes[2, column].set_xlabel(_decibels_of(split, is_truth=column == len(images)), fontsize=7, labelpad=3)
    canvas.name_rows("image", "error", "in the near-null band")
    _show_band(canvas, 1, len(images), kernel, reference.shape[1:], threshold)
    lines = [f"near-null band: |K| < {threshold:g} max |K|, {splits['truth'].share:.1%} of the frequencies"]
    truth_mse = splits["truth"].inside_mse
    lines += [f"{label}: {_split_text(split, truth_mse)}" for label, split in splits.items() if label != "truth"]
    lines.append(f"truth: mean square in the band {_square(truth_mse)}: the error of leaving it empty")
    return Drawn(canvas.figure, view.key, lines)


def _decibels_of(split: Split, *, is_truth: bool) -> str:
    if is_truth:
        return f"its own: {decibels(split.inside_mse):.1f} dB"
    return f"in {decibels(split.inside_mse):.1f} dB, out {decibels(split.outside_mse):.1f} dB"


def _split_text(split: Split, truth_mse: float) -> str:
    total = split.inside_mse + split.outside_mse
    text = f"mean squared error in the band {_square(split.inside_mse)}, out of it {_square(split.outside_mse)}"
    ratio = f", {split.inside_mse / truth_mse:.2f} times the truth's there" if truth_mse > 0 else ""
    return f"{text}; {split.inside_mse / total if total else 0:.1%} is inside{ratio}"


def _square(mse: float) -> str:
    return f"{mse:.3e} ({decibels(mse):.2f} dB)"


def _show_band(canvas: Canvas, row: int, column: int, kernel: Kernel, shape: tuple[int, ...], threshold: float) -> None:
    """Show log |K| with the band in orange, the constant component in the middle."""
    magnitude = np.fft.fftshift(transfer_magnitude(kernel, shape))
    band = np.fft.fftshift(near_null(kernel, shape, threshold))
    gray = 1 + np.log10(np.maximum(magnitude, 1e-2)) / 2
    shown = np.where(band[..., None], _ORANGE, gray[..., None])
    canvas.show(row, column, shown, f"|K| (log), orange: < {threshold:g} max", interpolation="nearest")
