"""What a sweep found, as pandas tables and as text: every planned cell is in them, however it ended.

>>> from nidbench.records import Store
>>> from nidbench.tables import cells_frame, summary_frame
>>> store = Store("results")  # doctest: +SKIP
>>> cells = cells_frame(store, store.sweep("ours-dip-sample-1f2e3d"))  # doctest: +SKIP
>>> summary_frame(cells)[["method", "cells", "psnr", "ssim"]]  # doctest: +SKIP
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from . import metrics
from .errors import ResultsError
from .metrics import DEFAULT
from .records import FROM_FILES, STATUSES, Planned, Record, Store, Sweep, error_line
from .registry import declared_versions
from .scope import kernel_scope
from .scoring import MEASURES
from .statistics import CASE as CASE
from .statistics import FEWEST, GROUP, Scores, group_starts, named
from .typeset import UNKNOWN, Sheet, check_format, number, write
from .versions import outdated

#: The row of the blurred input in `summary_frame`.
INPUT = "input"

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("label", "preset", "note", "dataset", "image", "kernel_set", "kernel", "noise"), "str"),
    **dict.fromkeys(("noise_seed", "seed"), "int64"),
    "status": "str",
    **dict.fromkeys(("psnr", "ssim", "input_psnr", "input_ssim"), "float64"),
    **dict.fromkeys(("oracle_psnr", "oracle_iteration", "end_psnr", "stop_psnr"), "float64"),
    **dict.fromkeys(MEASURES, "float64"),
    **dict.fromkeys(("seconds", "iterations"), "float64"),
    "stopped": "str",
    **dict.fromkeys(("batch", "peak_memory_mb"), "float64"),
    **dict.fromkeys(("device", "precision"), "str"),
    "threads": "float64",
    **dict.fromkeys(("declared", "response"), "str"),
    "old": "str",
    **dict.fromkeys(("measurement_hash", "truth_hash", "kernel_hash", "image_hash"), "str"),
    **dict.fromkeys(("error", "finished", "id"), "str"),
}

_SUMMARY_TYPES: dict[str, Any] = {
    **dict.fromkeys((*GROUP, "method", "preset", "cells"), "str"),
    **dict.fromkeys(("done", "planned", "failed", "missing", "old"), "int64"),
    **dict.fromkeys(("psnr", "ssim", "seed_std", "image_std", "stop_psnr", "oracle_psnr", "end_psnr"), "float64"),
    **dict.fromkeys(("seconds", "iterations", "peak_memory_mb"), "float64"),
    **dict.fromkeys(("device", "precision"), "str"),
    **dict.fromkeys(("best", "leading"), "bool"),
    "notes": "str",
}


def cells_frame(
    store: Store,
    sweep: Sweep,
    protocol: str = DEFAULT.name,
) -> pd.DataFrame:
    """Return one row for each planned cell of a sweep, whatever became of it.

    `status` is one of `records.STATUSES`, `missing` (no record) or `corrupt` (an unreadable one). `psnr` and `ssim` are
    those of done cells under `protocol`; `oracle_psnr`, `end_psnr` and `stop_psnr` (the best point of the curve, its
    last one, the method's own stop) always under half-kernel, as curves are. `null_mse` and `seen_mse` are the parts of
    the mean squared error at frequencies that the kernel nearly erases (`null_share` of all) and at the others, and
    `null_ratio`, `noisy_share` and `noisy_error` say more of what was hidden, see `nullband`; `variance_correlation`,
    `mean_variance` and `coverage_*` say how far the method's own variance tells its error, see `posterior`;
    `brightness` is the mean of what was restored over that of the blurred image. `seconds` are divided by `batch`,
    `peak_memory_mb` is in 10^6 bytes. Numbers not known are NaN, text not known is empty.

    `old` says what has another version today, see `versions`: `method` or parts of nidbench, separated by commas; empty
    where nothing has. Cells of one measurement's name that were computed from other bytes, told another kernel or noise
    level, or scored against other sharp images, cannot be compared: they have no scores, and `old` says so.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        protocol: the metric protocol's name.

    Raises:
        UnknownNameError: no such protocol.
    """
    protocol = metrics.protocol(protocol).name
    versions = declared_versions({planned.method for planned in sweep.cells}, sweep.asked.get("method_file"))
    rows = [_cell_row(store, planned, versions, protocol) for planned in sweep.cells]
    return _told_apart(pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES))


#: What cells of one measurement must share -> what is said of those that do not, and what to do.
_SHARED = {
    "measurement_hash": ("measured on other bytes", "run the older sweep again"),
    "truth_hash": ("scored against other sharp images", "nidbench rescore scores them anew"),
    "kernel_hash": ("told another kernel", "run the older sweep again"),
    "image_hash": ("told another noise level", "run the older sweep again"),  # of the same bytes
}


def _told_apart(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells without the scores of those that bear one name and are of different bytes."""
    for column, (reason, _) in _SHARED.items():
        same_bytes = cells["old"].str.contains(_SHARED["measurement_hash"][0]).eq(False)  # others have that said
        known = cells[(cells[column] != "") & (same_bytes | (column == "truth_hash"))]
        several = known.groupby(CASE)[column].transform("nunique") > 1
        mixed = several[several].index
        if len(mixed):
            before = cells.loc[mixed, "old"]
            cells.loc[mixed, "old"] = before.where(before == "", before + ", ") + reason
            cells.loc[mixed, list(_SCORES)] = math.nan
    return cells


#: Blur keeps the mean brightness: what is so many times brighter or darker is said.
_BRIGHTER = 2.0

#: Columns of `cells_frame` that compare with a truth.
_SCORES = ("psnr", "ssim", "input_psnr", "input_ssim", "oracle_psnr", "end_psnr", "stop_psnr", *MEASURES)


def _cell_row(store: Store, planned: Planned, versions: Mapping[str, int], protocol: str) -> dict[str, Any]:
    case = planned.case
    row: dict[str, Any] = dict.fromkeys((name for name, kind in _TYPES.items() if kind == "float64"), math.nan)
    row |= dict.fromkeys((name for name, kind in _TYPES.items() if kind == "str"), "")
    row |= {name: getattr(case, name) for name in CASE}
    row |= {name: getattr(planned, name) for name in ("label", "preset", "note", "declared", "seed", "id")}
    row |= {"kernel_set": case.kernel.partition("/")[0], "status": "missing"}
    try:
        record = store.read(planned.id)
    except ResultsError as error:
        return row | {"status": "corrupt", "error": error_line(str(error))}
    if record is None:
        return row
    method = ("method",) if versions.get(planned.method, record.cell.version) != record.cell.version else ()
    return row | _record_columns(record, protocol) | {"old": ", ".join((*method, *outdated(record.versions)))}


def _record_columns(record: Record, protocol: str) -> dict[str, Any]:
    scores = record.scores if record.status == "done" else {}
    score, own_stop = scores.get(protocol), scores.get(DEFAULT.name)
    blurred, oracle, end = record.input_scores.get(protocol), record.oracle, record.end
    return {
        "status": record.status,
        "psnr": math.nan if score is None else score.psnr,
        "ssim": math.nan if score is None else score.ssim,
        "input_psnr": math.nan if blurred is None else blurred.psnr,
        "input_ssim": math.nan if blurred is None else blurred.ssim,
        "oracle_psnr": math.nan if oracle is None else oracle.psnr,
        "oracle_iteration": math.nan if oracle is None else oracle.iteration,
        "end_psnr": math.nan if end is None else end.psnr,
        "stop_psnr": math.nan if own_stop is None else own_stop.psnr,
        **{name: record.measures.get(name, math.nan) for name in MEASURES},
        "seconds": record.seconds,
        "iterations": record.iterations,
        "stopped": record.stopped,
        "batch": record.batch,
        "peak_memory_mb": None if record.peak_memory is None else record.peak_memory / 1e6,
        "device": record.cell.device,
        "precision": record.cell.precision,
        "threads": record.threads,
        "response": record.cell.response,
        "error": record.error,
        "measurement_hash": record.measurement_hash,
        "truth_hash": record.truth_hash,
        "kernel_hash": record.cell.kernel_hash,
        "image_hash": record.cell.image_hash,
        "finished": record.finished,
    }


def summary_frame(cells: pd.DataFrame) -> pd.DataFrame:
    """Return means over the cells of each method, in groups of one dataset, kernel set and noise.

    Each group begins with the row `input`: the blurred images, each measurement once. Then come the methods, a row for
    each label, preset and declared noise level. A cell without a score counts in `cells` (as `5/6`), in `failed` or
    `missing`, and in `notes`; never in a mean. `seed_std` is the spread over method seeds (pooled within measurements,
    NaN for one seed), `image_std` the spread over images of their mean PSNR. `seconds` and `iterations` are means over
    done cells, `peak_memory_mb` the largest. Text not known is missing (NaN), so that the frame survives a CSV file
    unchanged.

    `leading` marks the highest mean PSNR, and what is not told apart from it by the 95 % interval of the difference
    paired by image (see `statistics`); `best` marks it where it leads alone. The methods of a group compete that were
    told the same of the noise and have a score for every measurement. Below `statistics.FEWEST` images none is marked.

    Args:
        cells: from `cells_frame`.
    """
    rows: list[dict[str, Any]] = []
    for names, group in named(cells).groupby(GROUP, sort=False):
        measurements = len(group.drop_duplicates(CASE))
        parts = [part for _, part in group.groupby(["label", "preset", "declared"], sort=False)]
        methods = [_method_row(part, measurements) for part in parts]
        rivals = [(row, part) for row, part in zip(methods, parts, strict=True) if _comparable(part, measurements)]
        for declared in group["declared"].unique():
            _mark([(row, part) for row, part in rivals if part["declared"].iloc[0] == declared])
        rows += [dict(zip(GROUP, names, strict=True)) | row for row in (_input_row(group), *methods)]
    frame = pd.DataFrame(rows, columns=list(_SUMMARY_TYPES)).astype(_SUMMARY_TYPES)
    texts = [name for name, kind in _SUMMARY_TYPES.items() if kind == "str"]
    return frame.assign(**{name: frame[name].mask(frame[name] == "") for name in texts})


def _mark(rivals: Sequence[tuple[dict[str, Any], pd.DataFrame]]) -> None:
    """Mark the rows, given with their cells, of the methods that lead."""
    if len(rivals) < 2:
        return
    scores = Scores(pd.concat([part for _, part in rivals]))
    methods = [part["method"].iloc[0] for _, part in rivals]
    leaders = scores.leaders(methods)
    for method, (row, _) in zip(methods, rivals, strict=True):
        row |= {"leading": method in leaders, "best": leaders == [method]}


def _comparable(part: pd.DataFrame, measurements: int) -> bool:
    """Return whether a method's mean is over the same measurements as its rivals', taken alike."""
    return bool(part["psnr"].notna().all()) and len(part.drop_duplicates(CASE)) == measurements


def _input_row(group: pd.DataFrame) -> dict[str, Any]:
    inputs = group.groupby(CASE, sort=False)[["input_psnr", "input_ssim"]].first()
    known = int(inputs["input_psnr"].notna().sum())
    note = [] if known == len(inputs) else [f"mean over {known} of {len(inputs)} measurements"]
    return {
        "method": INPUT,
        "preset": "",
        "cells": f"{known}/{len(inputs)}",
        "done": known,
        "planned": len(inputs),
        "failed": 0,
        "missing": 0,
        "old": 0,
        "psnr": inputs["input_psnr"].mean(),
        "ssim": inputs["input_ssim"].mean(),
        "device": "",
        "precision": "",
        "best": False,
        "leading": False,
        "notes": "; ".join([*note, *_perfect(inputs["input_psnr"])]),
    }


def _method_row(part: pd.DataFrame, measurements: int) -> dict[str, Any]:
    done = part[part["status"] == "done"]
    missing = int((part["status"] == "missing").sum())
    row: dict[str, Any] = {
        "method": part["label"].iloc[0],
        "preset": part["preset"].iloc[0],
        "cells": f"{len(done)}/{len(part)}",
        "done": len(done),
        "planned": len(part),
        "failed": len(part) - len(done) - missing,
        "missing": missing,
        "old": int((part["old"] != "").sum()),
        "seed_std": _seed_std(done),
        "image_std": _image_std(done),
        "peak_memory_mb": done["peak_memory_mb"].max(),
        "device": _distinct(done["device"]),
        "precision": _distinct(done["precision"]),
        "best": False,
        "leading": False,
        "notes": "; ".join(_notes(part, measurements)),
    }
    means = ("psnr", "ssim", "stop_psnr", "oracle_psnr", "end_psnr", "seconds", "iterations")
    return row | {name: done[name].mean() for name in means}


def _image_std(done: pd.DataFrame) -> float:
    """Return the standard deviation over images of their mean PSNR; NaN where a restoration is perfect, thus inf."""
    with np.errstate(invalid="ignore"):
        return float(done.groupby("image")["psnr"].mean().std())


def _seed_std(done: pd.DataFrame) -> float:
    """Return the standard deviation over method seeds: the root of the mean variance within a measurement."""
    return math.sqrt(done.groupby(CASE)["psnr"].var().mean())


def _distinct(values: pd.Series[str]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _notes(part: pd.DataFrame, measurements: int) -> Iterator[str]:
    """Yield what has to be known of a method's row to read it rightly."""
    scored = int(part["psnr"].notna().sum())
    yield from (note for note in part["note"].unique() if note)
    if scored < len(part):
        unscored = part[part["psnr"].isna()]["status"].replace({"done": "without a score"})
        yield f"mean over {scored} of {len(part)} cells, so not comparable: {_counts(unscored)}"
    yield from _perfect(part["psnr"])
    covered = len(part.drop_duplicates(CASE))
    if covered < measurements:
        yield f"planned for {covered} of {measurements} measurements, so not comparable"
    yield from _old(part)
    yield from _other_scale(part["brightness"])
    told = _distinct(part["declared"])
    if told not in ("", "known"):
        yield f"declared noise level: {told}"
    batches = sorted({int(size) for size in part["batch"].dropna() if size > 1})
    if batches:
        yield f"fitted {' or '.join(map(str, batches))} side by side, seconds divided by that"


def _perfect(psnr: pd.Series[float]) -> Iterator[str]:
    """Yield why a mean is infinite, and that of the rest."""
    perfect = np.isinf(psnr)
    if perfect.any():
        rest = psnr[~perfect].mean()
        others = "" if math.isnan(rest) else f", the mean of the others is {rest:.2f} dB"
        yield (
            f"mean PSNR infinite: {int(perfect.sum())} of {psnr.notna().sum()} cells "
            f"{'equals its truth' if perfect.sum() == 1 else 'equal their truths'}{others}"
        )


def _other_scale(brightness: pd.Series[float]) -> Iterator[str]:
    """Yield how much brighter or darker than the blurred images restorations are, where that is another scale."""
    off = brightness[(brightness < 1 / _BRIGHTER) | (brightness > _BRIGHTER)]
    if len(off):
        yield (
            f"{len(off)} of {len(brightness)} restorations are on another scale than the blurred images, it seems: "
            f"{off.median():.3g} times as bright; methods return x on [0, 1], as y is"
        )


#: What to do about cells that are old by this alone, where it takes no computing.
_RENEWED = {"metric": "nidbench rescore scores them anew"}


def _old(part: pd.DataFrame) -> Iterator[str]:
    """Yield what is old of a method's cells, how many, and what to do."""
    for what, count in part.loc[part["old"] != "", "old"].value_counts().items():
        remedies = [remedy for reason, remedy in _SHARED.values() if reason in str(what)]
        told = "old, so not comparable" if remedies else "old, of another version than today's"
        remedy = remedies[0] if remedies else _RENEWED.get(str(what), "nidbench run --renew computes them again")
        yield f"{count} of {len(part)} cells {told} ({what}): {remedy}"


def incomparable(cells: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows of `cells_frame` have no scores, because others of their names are of something else."""
    return cells["old"].str.contains("|".join(reason for reason, _ in _SHARED.values()))


def source_lines(cells: pd.DataFrame) -> list[str]:
    """Return what has to be known of what computed the methods, notes and old cells, each once with whom it is of."""
    labels: dict[str, list[str]] = {}
    for label, part in cells.groupby("label", sort=False):
        for line in (*(note for note in part["note"].unique() if note), *_old(part)):
            labels.setdefault(line, []).append(str(label))
    return [f"{', '.join(each)}: {line}" for line, each in labels.items()]


def _counts(statuses: pd.Series[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.value_counts().items())


def failure_lines(cells: pd.DataFrame, limit: int = 20) -> list[str]:
    """Return a line for each cell that ended badly: method, case, status and what went wrong.

    Missing cells, which are yet to be computed, share one line, and so do those whose files are yet to be scored.

    Args:
        cells: from `cells_frame`.
        limit: at most so many failures are told one by one.
    """
    failed = cells[~cells["status"].isin(["done", "missing"])]
    lines = [_failure_line(row) for _, row in failed.head(limit).iterrows()]
    if len(failed) > limit:
        lines.append(f"... and {len(failed) - limit} more ({_counts(failed['status'].iloc[limit:])})")
    missing = cells[cells["status"] == "missing"]
    files = missing["note"].str.startswith(FROM_FILES)
    remedies = {"run the sweep again to compute them": ~files, "score their files, once they are there": files}
    for remedy, which in remedies.items():
        if which.any():
            lines.append(f"missing: {_counts(missing['label'][which])} ({remedy})")
    return lines


def _failure_line(row: pd.Series[Any]) -> str:
    seed = f" seed {row['seed']}" if row["seed"] else ""
    case = f"{row['dataset']}/{row['image']} {row['kernel']} {row['noise']} #{row['noise_seed']}"
    return f"{row['label']}{seed} on {case}: {row['status']}" + (f": {row['error']}" if row["error"] else "")


def render(
    store: Store,
    sweep: Sweep,
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = DEFAULT.name,
) -> str:
    """Return a sweep's summary as text: Markdown, LaTeX (booktabs) or HTML, or all of `summary_frame` as CSV.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        format: one of `typeset.FORMATS`.
        protocol: the metric protocol's name; captions name it.

    Raises:
        InputError: no such format.
        UnknownNameError: no such protocol.
    """
    protocol = metrics.protocol(protocol).name
    cells = cells_frame(store, sweep, protocol)
    return render_cells(cells, format, protocol, lacking_lines(cells, sweep, protocol))


def render_cells(
    cells: pd.DataFrame,
    format: str,  # noqa: A002 - as `render`
    protocol: str = DEFAULT.name,
    notes: Sequence[str] = (),
) -> str:
    """Return the summary of `cells_frame`'s rows as text, `notes` first below it; the rest as of `render`."""
    check_format(format)
    summary = summary_frame(cells)
    if format == "csv":
        return summary.to_csv(index=False)
    sheet = _sheet(cells, summary, protocol)
    return write(replace(sheet, notes=[*notes, *sheet.notes]), format)


def lacking_lines(cells: pd.DataFrame, sweep: Sweep, protocol: str) -> list[str]:
    """Return how to score the cells that are done and have a score, but none under the protocol; nothing without."""
    lacking = int((cells["stop_psnr"].notna() & cells["psnr"].isna()).sum())
    if not lacking:
        return []
    command = f"nidbench rescore {sweep.name} --protocol {protocol}"
    return [f"{lacking} cells have no score under {protocol}: {command} adds it, or says why not"]


#: Column of `summary_frame` -> title, format; in the order of display.
_NUMBERS = {
    "psnr": ("PSNR", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "image_std": ("± images", ".2f"),
    "seed_std": ("± seeds", ".2f"),
    "oracle_psnr": ("oracle", ".2f"),
    "end_psnr": ("end", ".2f"),
    "seconds": ("s", "seconds"),
    "iterations": ("it.", ".0f"),
    "peak_memory_mb": ("MB", ".0f"),
}
_LABELS = {"dataset": "dataset", "kernel_set": "kernels", "noise": "noise", "method": "method", "preset": "preset"}
_LABELS |= {"device": "device", "precision": "precision", "cells": "cells"}


def _sheet(cells: pd.DataFrame, summary: pd.DataFrame, protocol: str) -> Sheet:
    methods = summary[summary["method"] != INPUT]
    # What is the same for all methods is said once, in the caption.
    labels = [name for name in _LABELS if name not in ("preset", "device", "precision") or methods[name].nunique() > 1]
    numbers = [name for name in _NUMBERS if _worth_showing(summary, name, protocol)]
    begins = group_starts(summary, GROUP)
    scenarios = _scenarios(cells)
    rows = []
    for index, row in enumerate(summary.to_dict("records")):
        row["kernel_set"] = scenarios.get(tuple(row[name] for name in GROUP), row["kernel_set"])
        texts = [_label(row[name], name in GROUP and index not in begins) for name in labels]
        rows.append(texts + [number(row[name], _NUMBERS[name][1]) for name in numbers])
    psnr = len(labels) + numbers.index("psnr")
    bold, italic = (
        {(index, psnr) for index, marked in enumerate(summary[name]) if marked} for name in ("best", "leading")
    )
    header = [_LABELS[name] for name in labels] + [_NUMBERS[name][0] for name in numbers]
    notes = [*_row_notes(summary), *failure_lines(cells)]
    caption = _caption(cells, summary, numbers, protocol)
    return Sheet(caption, header, len(labels), rows, set(begins), notes, bold, italic)


def _scenarios(cells: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Return the kernel of each group that has one only, where its set has others under other noise: `danielyan/4`."""
    of_group: dict[tuple[str, ...], set[str]] = defaultdict(set)
    of_set: dict[str, set[str]] = defaultdict(set)
    for dataset, kernel_set, noise, kernel in set(cells[[*GROUP, "kernel"]].itertuples(index=False, name=None)):
        of_group[dataset, kernel_set, noise].add(kernel)
        of_set[kernel_set].add(kernel)
    return {group: min(kernels) for group, kernels in of_group.items() if len(kernels) == 1 < len(of_set[group[1]])}


def _worth_showing(summary: pd.DataFrame, name: str, protocol: str) -> bool:
    """Return whether a column has content; curves are left out beside the scores of another protocol than theirs."""
    if name in ("psnr", "ssim"):
        return True
    if name == "image_std":
        return bool(summary["seed_std"].notna().any())  # shown to tell the two spreads apart
    curve = name in ("oracle_psnr", "end_psnr")
    return bool(summary[name].notna().any()) and not (curve and protocol != DEFAULT.name)


def _label(value: Any, repeated: bool) -> str:
    return "" if repeated else UNKNOWN if pd.isna(value) else str(value)


def _row_notes(summary: pd.DataFrame) -> Iterator[str]:
    """Yield each note once, with the methods and groups it is about."""
    noted = summary.dropna(subset=["notes"])
    for text, rows in noted.groupby("notes", sort=False):
        groups = rows[GROUP].agg(" ".join, axis=1).unique()
        everywhere = len(groups) > 1 and len(groups) == len(summary.drop_duplicates(GROUP))
        yield f"{_distinct(rows['method'])} ({'everywhere' if everywhere else ', '.join(groups)}): {text}"


def _caption(cells: pd.DataFrame, summary: pd.DataFrame, numbers: Sequence[str], protocol: str) -> str:
    parts = [f"Mean PSNR (dB) and SSIM under the protocol {protocol}: {metrics.protocol(protocol).title}."]
    known = [status for status in (*STATUSES, "corrupt", "missing") if (cells["status"] == status).any()]
    counts = ", ".join(f"{(cells['status'] == status).sum()} {status}" for status in known)
    old = int((cells["old"] != "").sum())
    parts.append(f"{len(cells)} cells: {counts}" + (f"; {old} old." if old else "."))
    threads = ", ".join(f"{count:.0f}" for count in sorted(cells["threads"].dropna().unique()))
    how = {"Preset": _distinct(cells["preset"]), "device": _distinct(cells["device"])}
    how |= {"precision": _distinct(cells["precision"]), "threads": threads}
    if any(how.values()):
        parts.append(", ".join(f"{name} {value}" for name, value in how.items() if value) + ".")
    parts.append(kernel_scope(cells))
    parts += _mark_lines(cells, summary)
    if "seed_std" in numbers:
        parts.append("± images, ± seeds: standard deviation over images of their mean, and over method seeds.")
    if "oracle_psnr" in numbers:
        parts.append("oracle, end: PSNR at the best and at the last observed iteration.")
    return " ".join(parts)


def _mark_lines(cells: pd.DataFrame, summary: pd.DataFrame) -> Iterator[str]:
    """Yield what the marks of the summary mean, those that it has."""
    if summary["best"].any():
        yield (
            "Bold: ahead of every other method that has all its cells, beyond the 95 % interval of the mean difference "
            "paired by image."
        )
    if (summary["leading"] & ~summary["best"]).any():
        yield "Italics: the highest mean, and what is not told apart from it by the 95 % interval paired by image."
    if cells["label"].nunique() > 1 and cells.groupby(GROUP)["image"].nunique().min() < FEWEST:
        yield f"Nothing is marked on fewer than {FEWEST} images, which give no interval."
