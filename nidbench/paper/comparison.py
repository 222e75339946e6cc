"""The paper's numbers beside those measured here, and whether the measured ones reproduce them.

    verdict           of a method under one condition of a table
    reproduced, differs, undecided, not comparable    what was measured beside what is published, see `verdicts`
    quoted            published only: the system cannot be run here
    not run           published only: it can be run here, and the sweep has none of it
    not in the paper  measured only

Each condition is scored under the protocol nearest to what the paper says of it, unless another is asked for.
`comparison_table` makes the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.groups import GROUP
from nidbench.errors import InputError
from nidbench.records import Sweep
from nidbench.report.results_table import lacking_lines
from nidbench.scoring import protocols
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.counts import count_of

from .conditions import Condition, Table
from .labels import base_label, is_blind, read_label
from .published import QUOTED, numbers
from .tables import find_table, table
from .verdicts import Verdict, columns, judge, measured

#: Presets that do what the paper or its authors' code does; methods without presets have `default`.
FAITHFUL = ("paper", "released", "default")

#: What the noise is called where each kernel brings its own.
OF_KERNELS = "of the kernels"

_TYPES: dict[str, Any] = {
    **dict.fromkeys(("table", *GROUP, "category", "paper_method", "method", "preset", "declared"), "str"),
    **dict.fromkeys(("verdict", "by", "protocol"), "str"),
    **dict.fromkeys(("published", "measured", "difference", "low", "high"), "float64"),
    **dict.fromkeys(("published_ssim", "measured_ssim", "difference_ssim", "low_ssim", "high_ssim"), "float64"),
    **dict.fromkeys(("images", "measurements", "paper_images", "paper_measurements"), "int64"),
    "why": "str",
}


def scored_cells(sweep_cells: SweepCells, name: str, protocol: str = "") -> pd.DataFrame:
    """Return the frame of a sweep's cells with `protocol`, under which the cells are scored.

    Args:
        sweep_cells: the sweep, read.
        name: `table2` to `table9`.
        protocol: for all cells; by default that of each condition of the table, half-kernel outside of it.

    Raises:
        UnknownNameError: for another table or protocol.
    """
    if protocol:
        return _scored_under(sweep_cells, protocol)
    cells = _scored_under(sweep_cells, DEFAULT.name)
    wanted = _protocols_of(cells, table(name))
    others = [other for other in wanted.unique() if other != DEFAULT.name]
    frames = [cells[wanted == DEFAULT.name], *(_scored_under(sweep_cells, other)[wanted == other] for other in others)]
    joined: pd.DataFrame = pd.concat(frames)
    return joined.sort_index()


def _scored_under(sweep_cells: SweepCells, protocol: str) -> pd.DataFrame:
    return sweep_cells.frame(protocol).assign(protocol=protocols.protocol(protocol).name)


def _protocols_of(cells: pd.DataFrame, paper_table: Table) -> pd.Series[str]:
    """Return the name of the protocol of each cell's condition in a table; half-kernel for those that it has not."""
    groups = list(cells[[*GROUP, "label"]].itertuples(index=False, name=None))
    of_group = {
        (*group, label): paper_table.protocol_of(*group, blind=is_blind(label))
        for *group, label in dict.fromkeys(groups)
    }
    return pd.Series([of_group[group] for group in groups], cells.index, dtype="str")


def unscored_lines(cells: pd.DataFrame, sweep: Sweep) -> list[str]:
    """Return how to score those of `scored_cells` that have no score under their protocol; no line for none."""
    by_protocol = cells.groupby("protocol", sort=False)
    return [line for protocol, group in by_protocol for line in lacking_lines(group, sweep, str(protocol))]


def comparison_frame(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a table of the paper beside a sweep, a row for each method and condition that the sweep has cells of.

    The columns, beside the names of the condition:

    - `paper_method` and `category` are the paper's; empty for methods that it has not.
    - `method` is the label in the sweep; for a method that the sweep did not run its name here, if any.
    - `published` and `measured` are PSNR in dB, `difference` is measured minus published. `low` and `high` are the 95 %
      interval of the mean over the paper's grid: the measured mean itself where all of it has a score, NaN where the
      interval is not known. `*_ssim` are the same for SSIM.
    - `verdict` is a word of the module's list, `by` has the quantities that it rests on, `why` the reasons: what was
      measured otherwise, or of what is quoted why it cannot be run here.
    - `images` and `measurements` count the images, and the pairs of image and kernel, that have a score;
      `paper_images` and `paper_measurements` those of the paper.

    Args:
        cells: from `scored_cells`.
        name: `table2` to `table9`.

    Raises:
        UnknownNameError: for another table.
        InputError: where the sweep has nothing of it.
    """
    paper_table, rows = table(name), []
    for condition, about, grid_cells in grids_of(cells, paper_table):
        rows += [{"table": name} | about | row for row in _rows(paper_table, condition, grid_cells)]
    if not rows:
        there = sorted({condition.text for condition in paper_table.conditions})
        raise InputError(
            f"the sweep has nothing of {name}, which has {'; '.join(there)}: run nidbench reproduce {name}"
        )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def grids_of(cells: pd.DataFrame, paper_table: Table) -> Iterator[tuple[Condition, dict[str, str], pd.DataFrame]]:
    """Yield each condition of a table that a sweep has cells of, the names of `GROUP` for it, and these cells."""
    for condition in paper_table.conditions:
        condition_cells = cells_of(cells, paper_table, condition)
        for (dataset, kernel_set), grid_cells in condition_cells.groupby(["dataset", "kernel_set"], sort=False):
            names = (str(dataset), str(kernel_set), condition.noise or OF_KERNELS)
            yield condition, dict(zip(GROUP, names, strict=True)), grid_cells


def cells_of(cells: pd.DataFrame, paper_table: Table, condition: Condition) -> pd.DataFrame:
    """Return the cells of a condition of a table; those of blind methods beside each set of estimated kernels."""
    names = [*GROUP, "label"]
    fitting = [
        (*group, label)
        for *group, label in cells[names].drop_duplicates().itertuples(index=False, name=None)
        if paper_table.row_of(*group, blind=is_blind(label)) == condition
    ]
    if not fitting:
        return cells[:0]
    return _beside_estimates(cells[pd.MultiIndex.from_frame(cells[names]).isin(fitting)], condition)


def _beside_estimates(cells: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """Return cells of which those under the true kernels are named as those under estimates of them.

    Only blind methods have such, and the measurements are the same: only what non-blind ones are told is another.
    """
    by_truth = cells["kernel_set"] == condition.blurred_by
    blind, others = cells[by_truth], cells[~by_truth]
    if blind.empty or others.empty:
        return cells
    in_set = blind["kernel"].str.partition("/")[2]
    copies = [
        blind.assign(kernel_set=name, kernel=f"{name}/" + in_set)[~blind["label"].isin(group["label"])]
        for name, group in others.groupby("kernel_set", sort=False)
    ]
    together: pd.DataFrame = pd.concat([*copies, others], ignore_index=True)
    return together


def quoted_rows(paper_table: Table, condition: Condition) -> pd.DataFrame:
    """Return the rows of `published.numbers` under a condition of a table."""
    frame = numbers()
    dataset, kernels, noise = condition.key
    there = (frame["dataset"] == dataset) & (frame["kernels"] == kernels) & (frame["noise"] == noise)
    return frame[(frame["table"] == paper_table.name) & there]


def _rows(paper_table: Table, condition: Condition, cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    quoted = quoted_rows(paper_table, condition)
    methods = paper_methods(cells, quoted)
    for row in quoted.to_dict("records"):
        quote = {"paper_method": row["method"], "category": row["category"], "method": row["label"]}
        quote |= {"published": row["psnr"], "published_ssim": row["ssim"]}
        mine = cells[methods == row["method"]]
        if mine.empty:
            verdict, why = ("not run", "") if row["label"] else ("quoted", QUOTED[row["method"]])
            yield _unmeasured(condition) | quote | {"verdict": verdict, "why": why}
        else:
            yield from (quote | measured_row for measured_row in _measured(condition, mine, row["psnr"], row["ssim"]))
    unquoted = {"paper_method": "", "category": ""}
    others = cells[methods == ""]
    yield from (unquoted | measured_row for measured_row in _measured(condition, others, math.nan, math.nan))


def paper_methods(cells: pd.DataFrame, quoted: pd.DataFrame) -> pd.Series[str]:
    """Return which of the paper's methods each cell is of, whatever its preset and settings; empty for none of them.

    Args:
        cells: of a condition.
        quoted: what the paper has of that condition, from `quoted_rows`.
    """
    by_label = {label: method for label, method in zip(quoted["label"], quoted["method"], strict=True) if label}
    by_name = {_plain(method): method for method in quoted["method"]}
    found = {
        # files of anyone's system may be called as the paper calls it; the methods here have other names
        (label, source): by_label.get(base_label(label)) or (by_name.get(_plain(label)) if source == "files" else None)
        for label, source in cells[["label", "source"]].drop_duplicates().itertuples(index=False, name=None)
    }
    methods = [found[key] or "" for key in zip(cells["label"], cells["source"], strict=True)]
    return pd.Series(methods, cells.index, dtype="str")


def _plain(name: str) -> str:
    """Return what is left of a name without case and signs: labels of files allow few."""
    return re.sub(r"[^a-z0-9]", "", name.lower()) or "-"


def _unmeasured(condition: Condition) -> dict[str, Any]:
    lacking = ("measured", "difference", "low", "high")
    numbers_lacking = dict.fromkeys((*lacking, *(f"{name}_ssim" for name in lacking)), math.nan)
    texts = dict.fromkeys(("preset", "declared", "protocol", "by", "why"), "")
    sizes = {"images": 0, "measurements": 0, "paper_images": condition.images, "paper_measurements": condition.cases}
    return numbers_lacking | texts | sizes


def _measured(condition: Condition, cells: pd.DataFrame, psnr: float, ssim: float) -> Iterator[dict[str, Any]]:
    for (label, preset, declared), method_cells in cells.groupby(["label", "preset", "declared"], sort=False):
        means = measured(condition, method_cells)
        unpublished = math.isnan(psnr)
        verdict = (
            Verdict("not in the paper")
            if unpublished
            else judge(means, psnr, ssim, list(reasons(condition, method_cells)))
        )
        yield {
            "method": label,
            "preset": preset,
            "declared": declared,
            "protocol": method_cells["protocol"].iloc[0],
            **columns(condition, means, verdict, psnr, ssim),
        }


def reasons(condition: Condition, cells: pd.DataFrame) -> Iterator[str]:
    """Yield what was measured otherwise than in the paper; `cells` are those of one method."""
    first = cells.iloc[0]
    if condition.lacking and not is_blind(first["label"]):
        yield condition.lacking
    if first["dataset"] != condition.dataset:
        yield f"measured on {first['dataset']}, in the paper on {condition.dataset}"
    else:
        yield from _cropped(cells)
    if first["protocol"] != condition.protocol:
        yield f"protocol {first['protocol']}, for the paper's it would be {condition.protocol}"
    if first["source"] != "files":
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
    # what is yet to be computed is left to chance; what failed may have failed for being hard
    unscored = int((cells["psnr"].isna() & (cells["status"] != "missing")).sum())
    if unscored:
        yield f"{unscored} of {count_of(len(cells), 'cell has', 'cells have')} no score"


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


def _cropped(cells: pd.DataFrame) -> Iterator[str]:
    sides = cells["image"].str.extract(r"@(\d+)$")[0].dropna().unique()
    if len(sides):
        yield f"images cropped to {' and '.join(sides)} pixels"


def default_table(sweep: Sweep) -> str:
    """Return the table that most of a sweep is in.

    Raises:
        InputError: where no table has any of it.
    """
    keys = ((planned.case, planned.label) for planned in sweep.cells)
    return find_table(dict.fromkeys((key.dataset, key.kernel_set, key.noise, label) for key, label in keys))
