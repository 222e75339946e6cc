"""Figures from a sweep's records: the paper's (Figs. 1, 3, 5, 11 and 12), curves, cost and differences.

Each comes with the lines of numbers that it shows. Where the paper has one method over its iterations (Fig. 1), these
have the methods of a sweep side by side, because records keep the scores of a curve and not its images.
"""

from __future__ import annotations

from dataclasses import replace

from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.records import Store, Sweep
from nidbench.rescoring.measurements import Measurements

from .averaging import averaging
from .canvas import is_figure, saved
from .convergence import convergence
from .deviations import deviations
from .draws import draws
from .forest import forest
from .layers import layers
from .null_band import null_band
from .pareto import pareto
from .view import Choice, Drawn, View, cases_of

__all__ = ["FIGURES", "Choice", "Drawn", "draw", "is_figure", "saved"]

#: The paper's numbers of the figures, or names of those that are not the paper's, and what they show.
FIGURES = {
    "fig1": "error inside and outside the kernel's near-null band",
    "fig3": "posterior draws, their mean and the truth in the draws' PCA plane; PSNR against averaged passes",
    "fig5": "variance maps of what enters the network's layers, and of the channels of one",
    "fig11": "standard deviation of the output beside its error",
    "fig12": "PSNR against averaged passes, mean over the sweep",
    "curves": "PSNR against iterations and seconds, and the factor that a preset gains over another at equal PSNR",
    "pareto": "mean PSNR over mean seconds of each method",
    "differences": "paired differences to one method, with 95 % intervals",
}


def draw(name: str, store: Store, sweep: Sweep, choice: Choice, measurements: Measurements) -> Drawn:
    """Return one of `FIGURES`, drawn from the done cells of a sweep.

    Args:
        name: its key.
        store: the results folder.
        sweep: which of its sweeps.
        choice: which part of it.
        measurements: makes the sweep's measurements and their sharp images again.

    Raises:
        UnknownNameError: no such figure, method, image or kernel.
        InputError: where the cells lack what the figure needs, with the command that makes it.
        ResultsError: where stored arrays cannot be read.
    """
    if name not in FIGURES:
        raise UnknownNameError(unknown("figure", name, list(FIGURES)))
    labels = list(dict.fromkeys(planned.label for planned in sweep.cells))
    for label in choice.methods:
        if label not in labels:
            raise UnknownNameError(unknown(f"method of the sweep {sweep.name}", label, labels))
    keys = cases_of(sweep, choice)
    whole = {"fig12": averaging, "curves": convergence, "pareto": pareto, "differences": forest}
    if name in whole:
        return whole[name](store, sweep, keys, choice)
    if not 1 <= choice.case <= len(keys):
        raise InputError(f"case {choice.case}: give 1 to {len(keys)}, such as 1 for {keys[0]}")
    makers = {"fig1": null_band, "fig3": draws, "fig5": layers, "fig11": deviations}
    view = View.of(store, sweep, keys[choice.case - 1], choice, measurements)
    drawn = makers[name](view)
    return replace(drawn, lines=[*drawn.lines, *(f"without a result: {each}" for each in view.lacking)])
