"""One row for each method: means over the images of a sweep, and what its cells cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nidbench.scoring.measures import OF_RESIDUAL
from nidbench.system.counts import count_of

from .cells import INCOMPARABLE, counted
from .groups import CASE, GROUP, named
from .intervals import interval
from .pairs import Scores

#: The row of the blurred input in `summary_frame`.
INPUT = "input"
_SUMMARY_TYPES: dict[str, Any] = {
    **dict.fromkeys((*GROUP, "method", "preset", "declared", "cells"), "str"),
    **dict.fromkeys(("done", "planned", "failed", "missing", "old"), "int64"),
    **dict.fromkeys(("psnr", "psnr_low", "psnr_high", "ssim", "seed_std", "image_std"), "float64"),
    **dict.fromkeys(("stop_psnr", "oracle_psnr", "end_psnr"), "float64"),
    **dict.fromkeys(("seconds", "iterations", "peak_memory_mb", "chi_squared", "whiteness"), "float64"),
    **dict.fromkeys(("device", "precision"), "str"),
    **dict.fromkeys(("comparable", "best", "leading"), "bool"),
    "notes": "str",
}

#: What is said of a method as a mean over images.
_QUALITY = ("psnr", "ssim", "stop_psnr", "oracle_psnr", "end_psnr", *OF_RESIDUAL)

#: Blur keeps the mean brightness: a note says so of restorations that are this many times brighter or darker.
_BRIGHTER = 2.0


def summary_frame(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over the images of each method, in groups of one dataset, kernel set and noise.

    Quality is the mean over images of their means, as in intervals and differences: an image counts once, however many
    kernels it was blurred by. Each group begins with the row `input`: the blurred images, each measurement once. Then
    come the methods, a row for each label, preset and `declared` noise level. A cell without a score counts in `cells`
    (as `5/6`), in `failed` or `missing`, and in `notes`; never in a mean. Nor is one that was never observed in
    `oracle_psnr` and `end_psnr`; `notes` count them. `seed_std` is the spread over method seeds
    (pooled within measurements, NaN for one seed), `image_std` the spread over images of their mean PSNR. `psnr_low`
    and `psnr_high` are the 95 % interval of the mean over images like these, by Student's t; methods saw the same
    images, so that two of them can differ for certain where these intervals overlap: `differences_frame` compares them.
    `seconds` and `iterations` are means over done cells, `peak_memory_mb` the largest. Text not known is missing (NaN),
    so that the frame survives a CSV file unchanged.

    `leading` marks the highest mean PSNR, and what is not told apart from it by the 95 % interval of the difference
    paired by image (see `pairs`); `best` marks it where it leads alone. The methods of a group compete that were
    told the same of the noise and are `comparable`: they have a score for every measurement. Below `intervals.FEWEST`
    images none is marked.

    Args:
        cells: from `SweepCells.frame`.
    """
    rows: list[dict[str, Any]] = []
    for names, group in named(cells).groupby(GROUP, sort=False):
        rows += [dict(zip(GROUP, names, strict=True)) | row for row in (_input_row(group), *_method_rows(group))]
    frame = pd.DataFrame(rows, columns=list(_SUMMARY_TYPES)).astype(_SUMMARY_TYPES)
    texts = [name for name, kind in _SUMMARY_TYPES.items() if kind == "str"]
    return frame.assign(**{name: frame[name].mask(frame[name] == "") for name in texts})


def with_names(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return a `summary_frame` whose methods have the names that `groups.named` gives them.

    Args:
        frame: from `summary_frame`.
        names: of all methods, as `groups.named` has them.
    """
    with_preset = frame["method"] + " (" + frame["preset"].fillna("") + ")"
    return frame.assign(method=frame["method"].where(~with_preset.isin(names), with_preset))


def input_psnr(frame: pd.DataFrame) -> dict[tuple[str, ...], float]:
    """Return the mean PSNR in dB of the blurred images of each group of a `summary_frame`, by the values of `GROUP`."""
    inputs = frame[frame["method"] == INPUT]
    return {tuple(str(row[name]) for name in GROUP): float(row["psnr"]) for row in inputs.to_dict("records")}


def image_means(cells: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the mean of each image, of which means of quality are taken: an image counts once, whatever its cells.

    Cells of a measurement, by several seeds, are averaged first, then the measurements of an image.

    Args:
        cells: rows of `SweepCells.frame`, with one row a cell or a measurement.
        names: columns of theirs.
    """
    by_measurement = cells.groupby(CASE)[list(names)].mean()
    return by_measurement.groupby(level=["dataset", "image"]).mean()


def input_scores(cells: pd.DataFrame) -> pd.DataFrame:
    """Return PSNR and SSIM of the blurred input of each measurement, whose names are the index."""
    return cells.groupby(CASE, sort=False)[["input_psnr", "input_ssim"]].first()


def _method_rows(group: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a group's methods; those compete that were told the same and have all their scores."""
    measurements = len(group.drop_duplicates(CASE))
    rows: list[dict[str, Any]] = []
    rivals: dict[str, list[tuple[dict[str, Any], pd.DataFrame]]] = {}
    for (_, _, declared), method_cells in group.groupby(["label", "preset", "declared"], sort=False):
        rows.append(_method_row(method_cells, measurements))
        if rows[-1]["comparable"]:
            rivals.setdefault(str(declared), []).append((rows[-1], method_cells))
    for told_alike in rivals.values():
        _mark(told_alike)
    return rows


def _mark(rivals: Sequence[tuple[dict[str, Any], pd.DataFrame]]) -> None:
    """Mark the rows, given with their cells, of the methods that lead."""
    if len(rivals) < 2:
        return
    scores = Scores(pd.concat([method_cells for _, method_cells in rivals]))
    methods = [method_cells["method"].iloc[0] for _, method_cells in rivals]
    leaders = scores.leaders(methods)
    for method, (row, _) in zip(methods, rivals, strict=True):
        row |= {"leading": method in leaders, "best": leaders == [method]}


def _comparable(method_cells: pd.DataFrame, measurements: int) -> bool:
    """Return whether a method has a score for every measurement, so that its mean is over those of its rivals."""
    return bool(method_cells["psnr"].notna().all()) and len(method_cells.drop_duplicates(CASE)) == measurements


def _input_row(group: pd.DataFrame) -> dict[str, Any]:
    inputs = input_scores(group)
    means = image_means(inputs.reset_index(), list(inputs.columns)).mean()
    known = int(inputs["input_psnr"].notna().sum())
    note = [] if known == len(inputs) else [f"mean over {known} of {count_of(len(inputs), 'measurement')}"]
    return {
        "method": INPUT,
        "preset": "",
        "declared": "",
        "cells": f"{known}/{len(inputs)}",
        "done": known,
        "planned": len(inputs),
        "failed": 0,
        "missing": 0,
        "old": 0,
        "psnr": means["input_psnr"],
        "ssim": means["input_ssim"],
        "device": "",
        "precision": "",
        "comparable": known == len(inputs),
        "best": False,
        "leading": False,
        "notes": "; ".join([*note, *_perfect(inputs["input_psnr"])]),
    }


def _method_row(method_cells: pd.DataFrame, measurements: int) -> dict[str, Any]:
    done = method_cells[method_cells["status"] == "done"]
    missing = int((method_cells["status"] == "missing").sum())
    by_image = image_means(done, _QUALITY)
    low, high = interval(by_image["psnr"].dropna().to_numpy(dtype=np.float64))
    row: dict[str, Any] = {
        "method": method_cells["label"].iloc[0],
        "preset": method_cells["preset"].iloc[0],
        "declared": method_cells["declared"].iloc[0],
        "cells": f"{len(done)}/{len(method_cells)}",
        "done": len(done),
        "planned": len(method_cells),
        "failed": len(method_cells) - len(done) - missing,
        "missing": missing,
        "old": int((method_cells["old"] != "").sum()),
        "psnr_low": low,
        "psnr_high": high,
        "seed_std": _seed_std(done),
        "image_std": _image_std(by_image["psnr"]),
        "peak_memory_mb": done["peak_memory_mb"].max(),
        "device": distinct(done["device"]),
        "precision": distinct(done["precision"]),
        "comparable": _comparable(method_cells, measurements),
        "best": False,
        "leading": False,
        "notes": "; ".join(_notes(method_cells, measurements)),
    }
    quality = {name: by_image[name].mean() for name in _QUALITY}
    return row | quality | {name: done[name].mean() for name in ("seconds", "iterations")}


def _image_std(by_image: pd.Series[float]) -> float:
    """Return the standard deviation over images of their mean PSNR; NaN where a restoration is perfect, thus inf."""
    with np.errstate(invalid="ignore"):
        return float(by_image.std())


def _seed_std(done: pd.DataFrame) -> float:
    """Return the standard deviation over method seeds: the root of the mean variance within a measurement."""
    return math.sqrt(done.groupby(CASE)["psnr"].var().mean())


def distinct(values: pd.Series[str]) -> str:
    """Return the different texts among values, in their order, separated by commas."""
    return ", ".join(value for value in values.unique() if value)


def _notes(method_cells: pd.DataFrame, measurements: int) -> Iterator[str]:
    """Yield what has to be known of a method's row to read it rightly."""
    scored = int(method_cells["psnr"].notna().sum())
    yield from (note for note in method_cells["note"].unique() if note)
    if scored < len(method_cells):
        unscored = method_cells[method_cells["psnr"].isna()]["status"].replace({"done": "without a score"})
        yield f"mean over {scored} of {count_of(len(method_cells), 'cell')}, so not comparable: {counted(unscored)}"
    yield from _perfect(method_cells["psnr"])
    yield from _unobserved(method_cells[method_cells["psnr"].notna()])
    sizes = method_cells.groupby("image").size()
    if sizes.nunique() > 1:
        yield f"images have {sizes.min()} to {sizes.max()} cells, and each counts once in means"
    covered = len(method_cells.drop_duplicates(CASE))
    if covered < measurements:
        yield f"planned for {covered} of {count_of(measurements, 'measurement')}, so not comparable"
    yield from _old(method_cells)
    yield from _below_input(method_cells)
    yield from _other_scale(method_cells["brightness"])
    declared = distinct(method_cells["declared"])
    if declared not in ("", "known"):
        yield f"declared noise level: {declared}"
    batches = sorted({int(size) for size in method_cells["batch"].dropna() if size > 1})
    if batches:
        yield f"fitted {' or '.join(map(str, batches))} side by side, seconds divided by that, MB those of all"


def _perfect(psnr: pd.Series[float]) -> Iterator[str]:
    """Yield why a mean PSNR is infinite, and the mean of the finite ones."""
    perfect = np.isinf(psnr)
    if perfect.any():
        rest = psnr[~perfect].mean()
        others = "" if math.isnan(rest) else f", the mean of the others is {rest:.2f} dB"
        yield (
            f"mean PSNR infinite: {int(perfect.sum())} of {count_of(int(psnr.notna().sum()), 'cell')} "
            f"{'equals its truth' if perfect.sum() == 1 else 'equal their truths'}{others}"
        )


def _unobserved(scored: pd.DataFrame) -> Iterator[str]:
    """Yield over how many of the cells with a score the means of the curve are, where those are not all."""
    observed = int(scored["end_psnr"].notna().sum())
    if 0 < observed < len(scored):
        whole = count_of(len(scored), "cell")
        yield f"oracle and end are means over {observed} of {whole}, the others were never observed"


def _below_input(method_cells: pd.DataFrame) -> Iterator[str]:
    """Yield how far restorations are worse than the blurred images themselves, where they are in the mean."""
    gains = (method_cells["psnr"] - method_cells["input_psnr"]).replace([np.inf, -np.inf], np.nan).dropna()
    if len(gains) and gains.mean() < 0:
        yield (
            f"{int((gains < 0).sum())} of {count_of(len(gains), 'restoration is', 'restorations are')} worse than the "
            f"blurred image, by {-gains.mean():.2f} dB in the mean over all"
        )


def _other_scale(brightness: pd.Series[float]) -> Iterator[str]:
    """Yield how much brighter or darker than the blurred images restorations are, where that is another scale."""
    off = brightness[(brightness < 1 / _BRIGHTER) | (brightness > _BRIGHTER)]
    if len(off):
        whole = count_of(len(brightness), "restoration is", "restorations are")
        yield (
            f"{len(off)} of {whole} on another scale than the blurred images, it seems: "
            f"{off.median():.3g} times as bright; methods return x on [0, 1], as y is"
        )


#: What is old -> what to do about it, where that takes no computing.
_RENEWED = {"metric": "nidbench rescore scores them anew"}


def _old(method_cells: pd.DataFrame) -> Iterator[str]:
    """Yield what is old of a method's cells, how many, and what to do."""
    for what, count in method_cells.loc[method_cells["old"] != "", "old"].value_counts().items():
        remedies = [remedy for reason, remedy in INCOMPARABLE.items() if reason in str(what)]
        age = "old, so not comparable" if remedies else "old, of another version than today's"
        remedy = remedies[0] if remedies else _RENEWED.get(str(what), "nidbench run --renew computes them again")
        yield f"{count} of {count_of(len(method_cells), 'cell')} {age} ({what}): {remedy}"


def source_lines(cells: pd.DataFrame) -> list[str]:
    """Return notes, what is old of the methods, and on what they were computed where that differs, as lines.

    Each line comes once, with the methods it is about.
    """
    labels: dict[str, list[str]] = {}
    differing = [how for how in _HOW if len(_known(cells, how)) > 1]
    for label, method_cells in cells.groupby("label", sort=False):
        notes = [note for note in method_cells["note"].unique() if note]
        values = {how: _known(method_cells, how) for how in differing}
        computed = [_HOW[how].format(" and ".join(known)) for how, known in values.items() if known]
        for line in (*notes, *_old(method_cells), *computed):
            labels.setdefault(line, []).append(str(label))
    return [f"{', '.join(names)}: {line}" for line, names in labels.items()]


#: What tables without columns for it say of cells that were computed in different ways.
_HOW = {"precision": "computed in {}", "device": "computed on {}"}


def _known(cells: pd.DataFrame, how: str) -> list[str]:
    """Return the different values of a column among done cells, where they are known."""
    return [value for value in cells.loc[cells["status"] == "done", how].unique() if value]
