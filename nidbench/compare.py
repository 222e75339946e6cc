"""The paper's tables beside ours: each published number with what was measured here, and whether that reproduces it.

    verdict           of a method under one condition of a table
    reproduced        the measured mean is within `WITHIN` dB of the published one
    differs           it is not
    not comparable    something else was measured than in the paper; `why` says what
    quoted            published only: the system cannot be run here
    not run           published only: it can be run here, and the sweep has none of it
    not in the paper  measured only

Published means are over images x kernels; ours are over images of their means, the same where the sweep has the whole
grid. The interval is Student's t over images, as in `statistics`: it tells how far a mean over other such images could
lie, not how far another run on the same ones would. Each condition is scored under the protocol nearest to what the
paper says of it, unless another is asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from . import metrics
from .differences import render_differences
from .errors import InputError
from .experiments import Condition, Table, base_label, find_table, read_label, table
from .metrics import DEFAULT
from .papertable import Row, paper_layout
from .published import tables as numbers
from .records import FROM_FILES, Store, Sweep
from .statistics import FEWEST, GROUP, group_starts, interval
from .tables import cells_frame, lacking_lines, source_lines
from .typeset import UNKNOWN, Sheet, check_format, interval_text, number, write

#: Difference of means, in dB, up to which a published number counts as reproduced.
WITHIN = 0.2

#: Presets that do what the paper or its authors' code does; methods without presets have `default`.
FAITHFUL = ("paper", "released", "default")

#: What the noise is called where each kernel brings its own.
OF_KERNELS = "of the kernels"

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("table", *GROUP, "category", "paper_method", "method", "preset", "declared", "verdict"), "str"),
    "protocol": "str",
    **dict.fromkeys(("published", "measured", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("published_ssim", "measured_ssim"), "float64"),
    **dict.fromkeys(("images", "measurements", "paper_images", "paper_measurements"), "int64"),
    "why": "str",
}


def scored_cells(store: Store, sweep: Sweep, name: str, protocol: str = "") -> pd.DataFrame:
    """Return `tables.cells_frame` of a sweep with `protocol`, under which the cells are scored.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        name: `table2` to `table9`.
        protocol: for all cells; by default that of each condition of the table, half-kernel outside of it.

    Raises:
        UnknownNameError: for another table or protocol.
    """

    def under(protocol: str) -> pd.DataFrame:
        return cells_frame(store, sweep, protocol).assign(protocol=metrics.protocol(protocol).name)

    if protocol:
        return under(protocol)
    cells, found = under(DEFAULT.name), table(name)
    rows = {group: found.row_of(*group) for group in cells[GROUP].drop_duplicates().itertuples(index=False, name=None)}
    of_group = {group: DEFAULT.name if row is None else row.protocol for group, row in rows.items()}
    wanted = pd.Series(
        [of_group[group] for group in cells[GROUP].itertuples(index=False, name=None)], cells.index, dtype="str"
    )
    others = [each for each in wanted.unique() if each != DEFAULT.name]
    parts: list[pd.DataFrame] = [cells[wanted == DEFAULT.name]]
    parts += [under(each)[wanted == each] for each in others]
    return pd.concat(parts).sort_index()


def unscored_lines(cells: pd.DataFrame, sweep: Sweep) -> list[str]:
    """Return how to score those of `scored_cells` that have no score under their protocol; nothing without."""
    parts = cells.groupby("protocol", sort=False)
    return [line for own, part in parts for line in lacking_lines(part, sweep, str(own))]


def compare_frame(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table of the paper beside a sweep, a row for each method and condition that the sweep has cells of.

    `paper_method` and `category` are the paper's, empty for methods that it has not; `method` is the sweep's label, for
    what it did not run the name here, and empty for what cannot be run. `published` and `measured` are PSNR in dB,
    `difference` is measured minus published, `low` and `high` are the 95 % interval of the measured mean. `images` and
    `measurements` (pairs of image and kernel) have a score, the paper's are `paper_images` and `paper_measurements`.

    Args:
        cells: from `scored_cells`.
        name: `table2` to `table9`.

    Raises:
        UnknownNameError: for another table.
        InputError: where the sweep has nothing of it.
    """
    found, rows = table(name), []
    for condition in found.conditions:
        for (dataset, kernel_set), part in cells_of(cells, found, condition).groupby(
            ["dataset", "kernel_set"], sort=False
        ):
            noise = condition.noise or OF_KERNELS
            about = dict(zip(("table", *GROUP), (name, dataset, kernel_set, noise), strict=True))
            rows += [about | row for row in _rows(found, condition, part)]
    if not rows:
        there = sorted({" ".join(filter(None, (each.dataset, each.kernels, each.noise))) for each in found.conditions})
        raise InputError(f"the sweep has nothing of {name}, which has {'; '.join(there)}: nidbench reproduce {name}")
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def cells_of(cells: pd.DataFrame, found: Table, condition: Condition) -> pd.DataFrame:
    """Return the cells of a condition of a table."""
    groups = cells[GROUP].drop_duplicates()
    fitting = {group for group in groups.itertuples(index=False, name=None) if found.row_of(*group) == condition}
    return cells[pd.MultiIndex.from_frame(cells[GROUP]).isin(list(fitting))] if fitting else cells[:0]


def _rows(found: Table, condition: Condition, cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    frame = numbers()
    dataset, kernels, noise = condition.key
    there = (frame["dataset"] == dataset) & (frame["kernels"] == kernels) & (frame["noise"] == noise)
    quoted = frame[(frame["table"] == found.name) & there]
    bases = cells["label"].map({label: base_label(label) for label in cells["label"].unique()})
    # files of anyone's system may be called as the paper calls it; a method here has a name of its own
    plain = cells["label"].where(cells["note"] == FROM_FILES, "").map(_plain)
    for row in quoted.to_dict("records"):
        quote = {"paper_method": row["method"], "category": row["category"], "method": row["label"]}
        quote |= {"published": row["psnr"], "published_ssim": row["ssim"]}
        mine = cells[(bases == row["label"]) | (plain == _plain(row["method"]))]
        if mine.empty:
            yield _unmeasured(condition) | quote | {"verdict": "not run" if row["label"] else "quoted"}
        else:
            yield from (quote | each for each in _measured(condition, mine, row["psnr"]))
    others = cells[~bases.isin(quoted["label"]) & ~plain.isin(quoted["method"].map(_plain))]
    own = {"paper_method": "", "category": "", "published_ssim": math.nan}
    yield from (own | each for each in _measured(condition, others, math.nan))


def _plain(name: str) -> str:
    """Return what is left of a name without case and signs: labels of files allow few."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) or "-"


def _unmeasured(condition: Condition) -> dict[str, Any]:
    numbers_lacking = dict.fromkeys(("measured", "measured_ssim", "difference", "low", "high"), math.nan)
    texts = dict.fromkeys(("preset", "declared", "protocol", "why"), "")
    return numbers_lacking | texts | _sizes(condition, 0, 0)


def _sizes(condition: Condition, images: int, measurements: int) -> dict[str, int]:
    paper = {"paper_images": condition.images, "paper_measurements": condition.cases}
    return {"images": images, "measurements": measurements} | paper


def _measured(condition: Condition, cells: pd.DataFrame, published: float) -> Iterator[dict[str, Any]]:
    for (label, preset, declared), part in cells.groupby(["label", "preset", "declared"], sort=False):
        scored = part[part["psnr"].notna()]
        by_image = scored.groupby("image")[["psnr", "ssim"]].mean()
        low, high = interval(by_image["psnr"].to_numpy(dtype=float))
        measured = float(by_image["psnr"].mean())
        why = list(_reasons(condition, part))
        yield {
            "method": label,
            "preset": preset,
            "declared": declared,
            "protocol": part["protocol"].iloc[0],
            "verdict": "not in the paper" if math.isnan(published) else _verdict(measured - published, why),
            "published": published,
            "measured": measured,
            "difference": measured - published,
            "low": low,
            "high": high,
            "measured_ssim": by_image["ssim"].mean(),
            **_sizes(condition, len(by_image), len(scored.drop_duplicates(["image", "kernel"]))),
            "why": "" if math.isnan(published) else "; ".join(why),
        }


def _verdict(difference: float, why: list[str]) -> str:
    if why:
        return "not comparable"
    # of rounded numbers, as published ones are and as the table shows it
    return "reproduced" if abs(round(difference, 2)) <= WITHIN else "differs"


def _reasons(condition: Condition, cells: pd.DataFrame) -> Iterator[str]:
    """Yield what was measured otherwise than in the paper; `cells` are those of one method."""
    first = cells.iloc[0]
    if condition.lacking:
        yield condition.lacking
    if first["dataset"] != condition.dataset:
        yield f"measured on {first['dataset']}, in the paper on {condition.dataset}"
    else:
        yield from _subset(condition, cells)
    if first["protocol"] != condition.protocol:
        yield f"protocol {first['protocol']}, for the paper's it would be {condition.protocol}"
    if first["note"] != FROM_FILES:
        yield from _otherwise(condition, first)
    noises, bound = cells.drop_duplicates(["kernel", "noise"]), condition.noise_of_kernels
    other = {
        noise
        for kernel, noise in zip(noises["kernel"], noises["noise"], strict=True)
        if bound.get(kernel, noise) != noise
    }
    if other:
        yield f"noise {', '.join(sorted(other))} in place of the kernels' own"
    if cells.groupby(["seed", "noise_seed"]).size().nunique() > 1:
        yield "not every seed has every measurement"
    unscored = int(cells["psnr"].isna().sum())
    if unscored:
        yield f"{unscored} of {len(cells)} cells have no score"


def _otherwise(condition: Condition, first: pd.Series[Any]) -> Iterator[str]:
    """Yield how a method was not run as in the paper, from the first of its cells."""
    base, settings = base_label(first["label"]), read_label(first["label"]).settings
    if first["preset"] not in FAITHFUL:
        yield f"preset {first['preset']}, not paper or released"
    wanted = read_label(base + condition.settings.get(base, "")).settings
    if settings != wanted:
        yield f"settings {_listed(settings)}, in the paper {_listed(wanted)}"
    if first["declared"] != condition.declared:
        yield f"noise level declared as {first['declared']}, in the paper {condition.declared}"
    if base in condition.otherwise:
        yield condition.otherwise[base]


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "of the preset"


def _subset(condition: Condition, cells: pd.DataFrame) -> Iterator[str]:
    cropped = cells["image"].str.extract(r"@(\d+)$")[0].dropna().unique()
    if len(cropped):
        yield f"images cropped to {' and '.join(cropped)} pixels"
    planned, images = len(cells.drop_duplicates(["image", "kernel"])), cells["image"].nunique()
    if planned != condition.cases:
        yield f"{planned} of {condition.cases} measurements, {images} of {condition.images} images"


def default_table(sweep: Sweep) -> str:
    """Return the table that most of a sweep is in.

    Raises:
        InputError: where no table has any of it.
    """
    keys = ((planned.case, planned.label) for planned in sweep.cells)
    return find_table(
        dict.fromkeys((key.dataset, key.kernel.partition("/")[0], key.noise, label) for key, label in keys)
    )


def render_compare(
    store: Store,
    sweep: Sweep,
    name: str = "",
    format: str = "md",  # noqa: A002 - the name of the command line's option
    protocol: str = "",
) -> str:
    """Return a table of the paper beside a sweep: Markdown, HTML, LaTeX in the paper's layout, or the frame as CSV.

    Below it, except in CSV, the paired differences between the sweep's own methods, where there are several.

    Args:
        store: the results folder.
        sweep: which of its sweeps.
        name: `table2` to `table9`; by default the table that most of the sweep is in.
        format: one of `typeset.FORMATS`.
        protocol: as of `scored_cells`.

    Raises:
        InputError: no such format, or what `compare_frame` or `default_table` refuse.
        UnknownNameError: no such table or protocol.
    """
    name = name or default_table(sweep)
    cells = scored_cells(store, sweep, name, protocol)
    compared = render_scored(cells, name, format, [*unscored_lines(cells, sweep), *source_lines(cells)])
    if format == "csv":
        return compared
    parts = cells.groupby("protocol", sort=False)
    several = [(str(own), part) for own, part in parts if part["label"].nunique() > 1]
    return "\n".join([compared, *(render_differences(part, "", format, own) for own, part in several)])


def render_scored(
    cells: pd.DataFrame,
    name: str,
    format: str = "md",  # noqa: A002 - as `render_compare`
    more: Sequence[str] = (),
) -> str:
    """Return a table of the paper beside `scored_cells`, with `more` notes below; the rest as above."""
    check_format(format)
    frame = compare_frame(cells, name)
    if format == "csv":
        return frame.to_csv(index=False)
    caption, notes = _caption(frame, name), [*_notes(frame), *more]
    if format == "latex":
        return paper_layout([_row(row) for row in frame.to_dict("records")], name, caption, notes)
    return write(_sheet(frame, caption, notes), format)


def _row(row: dict[Any, Any]) -> Row:
    condition = tuple(str(row[name]) for name in GROUP)
    published, measured = ((row[kind], row[f"{kind}_ssim"]) for kind in ("published", "measured"))
    method = row["paper_method"] or row["method"]
    return Row(condition, method, row["category"], published, measured, row["verdict"] != "not comparable")


#: Column, made from one or several of `compare_frame` -> title; in the order of display, texts first.
_COLUMNS = {
    "dataset": "dataset",
    "kernel_set": "kernels",
    "noise": "noise",
    "method": "method",
    "preset": "preset",
    "declared": "declared",
    "verdict": "verdict",
    "published": "published",
    "measured": "measured",
    "difference": "difference",
    "interval": "95 % interval",
    "published_ssim": "SSIM published",
    "measured_ssim": "SSIM measured",
    "measurements": "measurements",
}


def _sheet(frame: pd.DataFrame, caption: str, notes: list[str]) -> Sheet:
    several = [name for name in ("preset", "declared") if frame.loc[frame[name] != "", name].nunique() > 1]
    shown = [name for name in _COLUMNS if name not in ("preset", "declared") or name in several]
    begins, rows = group_starts(frame, GROUP), []
    for index, row in enumerate(frame.to_dict("records")):
        texts = _texts(row)
        rows.append(["" if name in GROUP and index not in begins else texts[name] for name in shown])
    header = [_COLUMNS[name] for name in shown]
    return Sheet(caption, header, shown.index("verdict") + 1, rows, set(begins), notes)


def _texts(row: dict[Any, Any]) -> dict[str, str]:
    count = f"{row['measurements']}/{row['paper_measurements']}" if row["measured"] == row["measured"] else UNKNOWN
    return {
        **{name: str(row[name]) for name in (*GROUP, "verdict", "preset", "declared")},
        "method": row["method"] or row["paper_method"],
        **{name: number(row[name], ".2f") for name in ("published", "measured")},
        "difference": number(row["difference"], "+.2f"),
        "interval": interval_text(row["low"], row["high"], ".2f"),
        **{name: number(row[name], ".3f") for name in ("published_ssim", "measured_ssim")},
        "measurements": count,
    }


def _caption(frame: pd.DataFrame, name: str) -> str:
    used = [each for each in frame["protocol"].unique() if each]
    protocols = "; ".join(f"{each}: {metrics.protocol(each).title}" for each in used)
    counts = frame["verdict"].value_counts()
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    return (
        f"{name.replace('table', 'Table ')} of Chen et al., IJCV 2022 (section {table(name).section}), beside what was "
        f"measured here: mean PSNR (dB) and SSIM under the protocol {protocols}. {verdicts}. reproduced: within "
        f"{WITHIN} dB of the published mean; quoted: a system that cannot be run here, with the table's number; not "
        "comparable: something else was measured than in the paper, as told below. 95 % interval of the measured mean: "
        "Student's t over images. measurements: pairs of image and kernel with a score, of those in the paper."
    )


def _notes(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what the table says of itself, then each reason once, with the methods and conditions it is about."""
    name = frame["table"].iloc[0]
    if table(name).note:
        yield table(name).note
    reasons = frame[frame["why"] != ""]
    reasons = reasons.assign(why=reasons["why"].str.split("; ")).explode("why")
    conditions = len(frame.drop_duplicates(GROUP))
    for why, rows in reasons.groupby("why", sort=False):
        where = rows[GROUP].agg(" ".join, axis=1).unique()
        everywhere = len(where) == conditions > 1
        yield f"{', '.join(rows['method'].unique())} ({'everywhere' if everywhere else ', '.join(where)}): {why}"
    if (frame.loc[frame["measured"].notna(), "images"] < FEWEST).any():
        yield f"Fewer than {FEWEST} images give no interval."
