"""How much sooner one setting of a method gets to the PSNR of another, from the curves in a sweep's records.

A *line* is a method as asked for, such as `dip@fast`. The lines of a method are compared with its reference: the line
of the preset `paper` or `released` without variants or changed settings, or the first line where there is none. On
each measurement, declared level and seed that both have, three PSNRs are targets of a factor (see `curves`):

    stop     what the reference returns, by its own stopping rule
    oracle   the best of the reference's curve, which only the truth can tell
    own      what the other returns

There are three because curves rise and fall. A network that overfits ends below its best; it passed that PSNR early,
so reaching it again means little, which the oracle shows. And a line that gives up a little PSNR never reaches what its
reference returns, but the reference reaches what the line returns. A target is one point of a curve, so the factor of
the whole runs, with the difference of what they return, stands beside the three.

Two things limit what a factor says:

- A method that averages passes observes fewer of them on the way than it returns: its curve lies below what stopping
  there would have returned, without the seconds of those passes. Where only the passes at the end carry it over the
  target, it may have been earlier: `averaged` marks it.
- Seconds of other machines, devices, numbers of threads or batches are not compared, nor are 0 s: the factor is NaN,
  and means in seconds may be over fewer cells than those in iterations: `timed` counts them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from nidbench.errors import ResultsError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Log, Planned, Record, Store

from .curves import Curve, Factor, best, curve_of, factor, ratio
from .groups import CASE, PAIRED

#: The presets that lines of other presets are compared with.
REFERENCES = ("paper", "released")

#: Target -> what it is, in words.
TARGETS = {"stop": "what the reference returns", "oracle": "the reference's best", "own": "what it returns itself"}
PAIR = ["method", "label", "against"]
_CELL_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIR, "preset", "against_preset"), "str"),
    **dict.fromkeys((*PAIRED, "image", "kernel"), "str"),
    **dict.fromkeys(("noise_seed", "seed"), "int64"),
    **dict.fromkeys(("target", "outcome"), "str"),
    **dict.fromkeys(("psnr", "iterations", "seconds", "reference_iterations", "reference_seconds"), "float64"),
    **dict.fromkeys(("factor_iterations", "factor_seconds", "short", "end"), "float64"),
    **dict.fromkeys(("whole_iterations", "whole_seconds", "difference"), "float64"),
    **dict.fromkeys(("first", "averaged", "comparable"), "bool"),
}
_FACTOR_TYPES: dict[str, Any] = {
    **dict.fromkeys((*PAIR, "preset", "against_preset", *PAIRED, "target"), "str"),
    **dict.fromkeys(("planned", "cases", "reached", "timed", "first", "averaged"), "int64"),
    **dict.fromkeys(("factor_iterations", "iterations_low", "iterations_high"), "float64"),
    **dict.fromkeys(("factor_seconds", "seconds_low", "seconds_high"), "float64"),
    **dict.fromkeys(("short", "end", "whole_iterations", "whole_seconds", "difference"), "float64"),
}

#: Values of `groups.PAIRED`.
Group: TypeAlias = tuple[str, str, str, str]


class Matched(NamedTuple):
    """What the cells of two lines are matched by; their methods and settings differ.

    Attributes:
        case: the names of the measurement.
        declared: what methods are told of the noise level.
        seed: the seed of the method.
    """

    case: CaseKey
    declared: str
    seed: int

    @property
    def group(self) -> Group:
        """The values of `groups.PAIRED` for it."""
        return self.case.dataset, self.case.kernel_set, self.case.noise, self.declared


@dataclass(frozen=True, eq=False)
class Line:
    """One method as asked for.

    Attributes:
        name: the label, and the preset where one label has several.
        method: the registered name.
        preset: the preset in force.
        plain: whether it has neither variants nor changed settings.
        records: the record, with its log, of each cell that was planned; None where there is none to compare.
    """

    name: str
    method: str
    preset: str
    plain: bool
    records: Mapping[Matched, Record | None]

    def curves(self, group: Group) -> list[Curve]:
        """Return the curves that it has in a group."""
        return list(self._curves(group).values())

    def weights(self, group: Group) -> list[float]:
        """Return the weight of each of `curves` in a mean over images, of which one counts as much as another.

        An image's weight is divided among its measurements, and theirs among their seeds, as in means of tables.
        """
        cells = [(matched.case, matched.declared) for matched in self._curves(group)]
        of_measurement = Counter(cells)
        of_image = Counter(case.image for case, _ in of_measurement)
        return [1 / (of_image[cell[0].image] * of_measurement[cell]) for cell in cells]

    def _curves(self, group: Group) -> dict[Matched, Curve]:
        of_group = {matched: record for matched, record in self.records.items() if matched.group == group}
        return {matched: curve for matched, record in of_group.items() if (curve := curve_of(record))}


def read_lines(store: Store, cells: Iterable[Planned]) -> list[Line]:
    """Return the lines of planned cells, in their order; a damaged record counts as none."""
    return lines_of([(planned, _read_whole(store, planned.id)) for planned in cells])


def lines_of(read: Sequence[tuple[Planned, Record | None]]) -> list[Line]:
    """Return the lines of planned cells, each with its record and that with its log, or None, in their order.

    Records of a measurement's name that are of different bytes, kernels or sharp images count as none, and so do
    several of one line, measurement and seed, such as of two precisions.
    """
    bases: dict[CaseKey, set[tuple[str, ...]]] = {}
    for planned, record in read:
        if record is not None:
            bases.setdefault(planned.case, set()).add(_basis(record))
    by_line: dict[tuple[str, str, str], dict[Matched, list[Record]]] = {}
    for planned, record in read:
        found = by_line.setdefault((planned.label, planned.preset, planned.method), {})
        alike = len(bases.get(planned.case, ())) < 2
        known = [record] if alike and record is not None else []
        found.setdefault(Matched(planned.case, planned.declared, planned.seed), []).extend(known)
    labels = [label for label, _, _ in by_line]
    return [
        Line(
            f"{label} ({preset})" if labels.count(label) > 1 else label,
            method,
            preset,
            label in (method, f"{method}@{preset}"),
            {matched: _one(records) for matched, records in found.items()},
        )
        for (label, preset, method), found in by_line.items()
    ]


def _one(records: Sequence[Record]) -> Record | None:
    """Return what came of one seed: the done record, or a failed one; None where several are done."""
    done = [record for record in records if record.status == "done"]
    return None if len(done) > 1 else next(iter(done or records), None)


def _read_whole(store: Store, cell_id: str) -> Record | None:
    try:
        return store.whole(cell_id)
    except ResultsError:
        return None


def _basis(record: Record) -> tuple[str, ...]:
    """Return what a record's scores are computed from, as hashes."""
    cell = record.cell
    return record.measurement_hash, record.truth_hash, cell.kernel_hash, cell.image_hash


def compared_lines(lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    """Return (line, reference) for all lines that are compared, each with every reference of its method."""
    return [pair for method in dict.fromkeys(line.method for line in lines) for pair in _pairs_of(method, lines)]


def _pairs_of(method: str, lines: Sequence[Line]) -> list[tuple[Line, Line]]:
    of_method = [line for line in lines if line.method == method]
    references = [line for line in of_method if line.plain and line.preset in REFERENCES]
    others = [line for line in of_method if line not in references]
    if not references or not others:
        references, others = of_method[:1], of_method[1:]
    return [(line, reference) for reference in references for line in others]


def cell_factors_frame(lines: Sequence[Line]) -> pd.DataFrame:
    """Return the factors cell by cell: a row for each pair of lines, cell planned for both, and target.

    `outcome` is `reached` by both, `never` by one of them, or `lacking` where one is not done or has no curve. `psnr`
    is the target in dB; `iterations` and `seconds` are what `label` spends until it first reaches it, `reference_*`
    what `against` does, and `factor_*` the second over the first. `short` is how far the one that never gets there is
    below the target, `end` how far `label` ends above it, both in dB. `whole_*` are the factors of the whole runs and
    `difference` is that of what they return, in dB. `first` and `averaged` mark what may have been reached earlier, see
    the module; `comparable` marks seconds taken alike. Numbers not known are NaN.

    Args:
        lines: from `read_lines`.
    """
    rows = [
        {"label": line.name, "against": reference.name, "method": line.method}
        | {"preset": line.preset, "against_preset": reference.preset}
        | row
        for line, reference in compared_lines(lines)
        for matched in line.records
        if matched in reference.records
        for row in _cell_rows(matched, line.records[matched], reference.records[matched])
    ]
    return pd.DataFrame(rows, columns=list(_CELL_TYPES)).astype(_CELL_TYPES)


def _cell_rows(matched: Matched, record: Record | None, reference: Record | None) -> Iterator[dict[str, Any]]:
    row: dict[str, Any] = dict.fromkeys((name for name, kind in _CELL_TYPES.items() if kind == "float64"), math.nan)
    row |= {name: getattr(matched.case, name) for name in CASE} | dict(zip(PAIRED, matched.group, strict=True))
    row |= {"seed": matched.seed, "outcome": "lacking", **dict.fromkeys(("first", "averaged", "comparable"), False)}
    known, theirs = curve_of(record), curve_of(reference)
    if record is None or reference is None or not known or not theirs:
        yield from (row | {"target": target} for target in TARGETS)
        return
    row |= _whole(known, theirs) | {"comparable": _taken_alike(record, reference)}
    passes = _averages(record), _averages(reference)
    for target, psnr in (("stop", theirs[-1].psnr), ("oracle", best(theirs)), ("own", known[-1].psnr)):
        both = row | _factor_columns(factor(known, theirs, psnr), passes) | {"target": target}
        yield both if row["comparable"] else both | {"factor_seconds": math.nan, "whole_seconds": math.nan}


def _factor_columns(gained: Factor, passes: tuple[bool, bool]) -> dict[str, Any]:
    """Return the columns of a factor; `passes` says whether the methods of the curve and of its reference average."""
    spent = {"": gained.cost, "reference_": gained.reference}
    costs = {f"{name}{unit}": getattr(cost, unit) for name, cost in spent.items() if cost for unit in UNITS}
    return costs | {
        "outcome": "reached" if gained.cost and gained.reference else "never",
        "psnr": gained.target,
        "factor_iterations": gained.iterations,
        "factor_seconds": gained.seconds,
        "short": gained.short,
        "end": gained.end,
        "first": any(cost.first for cost in spent.values() if cost),
        "averaged": any(cost.last and many for cost, many in zip(spent.values(), passes, strict=True) if cost),
    }


#: What of an environment tells one machine from another.
_MACHINE = ("cpu", "gpu")

#: Unit -> the column of `factors_frame` that counts the cells with a factor in it.
UNITS = {"iterations": "reached", "seconds": "timed"}


def _whole(curve: Curve, reference: Curve) -> dict[str, float]:
    mine, theirs = curve[-1], reference[-1]
    return {
        "whole_iterations": ratio(theirs.iteration, mine.iteration),
        "whole_seconds": ratio(theirs.seconds, mine.seconds),
        "difference": mine.psnr - theirs.psnr,
    }


def _averages(record: Record) -> bool:
    return record.log is not None and bool(record.log.passes)


def _taken_alike(first: Record, second: Record) -> bool:
    """Return whether the seconds of two records can be compared."""
    return _timing(first) == _timing(second)


def _timing(record: Record) -> tuple[Any, ...]:
    """Return what a record's seconds depend on, beside the method."""
    environment = (record.log or Log()).environment
    return record.cell.device, record.threads, record.batch, *(environment.get(name) for name in _MACHINE)


def factors_frame(cell_factors: pd.DataFrame) -> pd.DataFrame:
    """Return the factors of each pair of lines: a row for each group, `groups.PAIRED`, and target.

    `factor_iterations` and `factor_seconds` are geometric means over the cells in which the target is `reached`, with
    the lowest and the highest; `whole_*` over all that both have. A mean over those that are reached speaks well of a
    line that reaches few, hence the numbers of cells: `planned` for both, `cases` that both have curves of, `reached`,
    and of those `timed`, with comparable seconds, `first` and `averaged`, as marked. `short` is how many dB are lacking
    where the target is never reached, on average; `end` and `difference` are means over `cases`.

    Args:
        cell_factors: from `cell_factors_frame`.
    """
    names = [*PAIR, "preset", "against_preset", *PAIRED, "target"]
    rows = [
        dict(zip(names, values, strict=True)) | _means(group)
        for values, group in cell_factors.groupby(names, sort=False)
    ]
    return pd.DataFrame(rows, columns=list(_FACTOR_TYPES)).astype(_FACTOR_TYPES)


def _means(group: pd.DataFrame) -> dict[str, Any]:
    reached = group[group["outcome"] == "reached"]
    row: dict[str, Any] = {
        "planned": len(group),
        "cases": int((group["outcome"] != "lacking").sum()),
        "reached": len(reached),
        "timed": int(reached["factor_seconds"].notna().sum()),
        "first": int(reached["first"].sum()),
        "averaged": int(reached["averaged"].sum()),
        "short": group.loc[group["outcome"] == "never", "short"].mean(),
        "end": group["end"].mean(),
        "difference": group["difference"].mean(),
    }
    for unit in UNITS:
        factors = reached[f"factor_{unit}"]
        row |= {f"factor_{unit}": geometric_mean(factors), f"whole_{unit}": geometric_mean(group[f"whole_{unit}"])}
        row |= {f"{unit}_low": factors.min(), f"{unit}_high": factors.max()}
    return row


def geometric_mean(values: pd.Series[float]) -> float:
    """Return the geometric mean of positive values, those that are NaN left out; NaN for none."""
    return float(np.exp(np.log(values).mean()))
