"""How much sooner one setting of a method gets to a PSNR than another, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from nidbench.analysis.groups import PAIRED
from nidbench.analysis.speedup import PAIR, TARGETS, UNITS, Group, factors_frame

from .typeset import number

#: So many cells have a line of their own, for each pair of lines and target.
SHOWN = 6


def speedup_lines(cell_factors: pd.DataFrame) -> list[str]:
    """Return the factors as lines of text: for each pair and group the targets, single cells, and the whole runs.

    Args:
        cell_factors: from `analysis.speedup.cell_factors_frame`.
    """
    lines = []
    about = [*PAIR, *PAIRED]
    for names, rows in factors_frame(cell_factors).groupby(about, sort=False):
        _, label, against, *group = map(str, names)
        of_pair = cell_factors[(cell_factors[about] == list(names)).all(axis=1)]
        by_target = {row["target"]: row for row in rows.to_dict("records")}
        lines.append(f"{label} against its reference {against}, {group_text(group)}, at equal PSNR")
        for target, row in by_target.items():
            lines += [f"  {_summary(row)}", *_cell_lines(of_pair[of_pair["target"] == target])]
        lines.append(f"  {_whole_line(by_target['stop'])}")
    return lines


def group_text(group: Sequence[str]) -> str:
    """Return a group, the values of `groups.PAIRED`, as text, without the declared level where it is the known one."""
    *names, declared = group
    return " ".join(names) + ("" if declared == "known" else f", declared {declared}")


def _summary(row: Mapping[Any, Any]) -> str:
    phrases = [f"to {TARGETS[row['target']]}: reached in {row['reached']} of {row['planned']} cases"]
    if row["reached"]:
        phrases.append(f"factor {_mean_text(row, 'iterations')}")
        phrases.append(f"factor {_mean_text(row, 'seconds')}" if row["timed"] else "no comparable seconds")
    return "; ".join([*phrases, *_cautions(row)])


def _cautions(row: Mapping[Any, Any]) -> Iterator[str]:
    """Yield what has to be known of a row of `factors_frame` to read its factor rightly."""
    if row["reached"] < row["cases"]:
        who = "the reference" if row["target"] == "own" else "it"
        yield f"in {row['cases'] - row['reached']} {who} never gets there, {_decibels(row['short'])} short on average"
    if row["cases"] < row["planned"]:
        yield f"{row['planned'] - row['cases']} without both curves"
    if row["reached"] and row["target"] != "own":
        yield f"it ends {_above(row['end'])} that, on average over all"
    if 0 < row["timed"] < row["reached"]:
        yield f"seconds of {row['timed']} only"
    if row["first"]:
        yield f"{row['first']} by a first observation, so perhaps earlier"
    if row["averaged"]:
        yield f"{row['averaged']} only by the passes averaged at an end, so perhaps earlier"


def _mean_text(row: Mapping[Any, Any], unit: str) -> str:
    mean, low, high = (number(row[name], "seconds") for name in (f"factor_{unit}", f"{unit}_low", f"{unit}_high"))
    return f"{mean} in {unit}" + (f" ({low} to {high})" if row[UNITS[unit]] > 1 else "")


def _whole_line(row: Mapping[Any, Any]) -> str:
    factors = ", ".join(f"{number(row[f'whole_{unit}'], 'seconds')} in {unit}" for unit in UNITS)
    return f"whole runs: factor {factors}, returning {number(row['difference'], '+.2f')} dB on average"


def _cell_lines(rows: pd.DataFrame) -> list[str]:
    known = rows[rows["outcome"] != "lacking"]
    lines = [f"    {_cell_line(row)}" for row in known.head(SHOWN).to_dict("records")]
    more = len(known) - SHOWN
    return lines + (
        [f"    ... and {more} more, which nidbench.analysis.speedup.cell_factors_frame has"] if more > 0 else []
    )


def _cell_line(row: Mapping[Any, Any]) -> str:
    seeds = [f"{name} {row[key]}" for name, key in (("noise seed", "noise_seed"), ("seed", "seed")) if row[key]]
    where = f"{' '.join((row['image'], row['kernel'], *seeds))}, {_decibels(row['psnr'])}"
    if row["outcome"] == "never":
        return f"{where}: never, {_decibels(row['short'])} short"
    spent = [
        f"{row[f'{name}iterations']:.0f} it., {number(row[f'{name}seconds'], 'seconds')} s"
        for name in ("", "reference_")
    ]
    factors = ", ".join(number(row[f"factor_{unit}"], "seconds") for unit in UNITS)
    return f"{where}: {' against '.join(spent)}, factors {factors}"


def _decibels(value: float) -> str:
    return f"{value:.2f} dB"


def _above(value: float) -> str:
    return f"{_decibels(abs(value))} {'below' if value < 0 else 'above'}"


def factor_text(factors: pd.DataFrame, line: str, group: Group, unit: str) -> str:
    """Return a line's mean factor to the stop of its first reference, and of how many cells it is; empty without one.

    Args:
        factors: from `factors_frame`.
        line: its name.
        group: its values of `groups.PAIRED`.
        unit: `iterations` or `seconds`.
    """
    here = (factors["label"] == line) & (factors["target"] == "stop") & (factors[PAIRED] == list(group)).all(axis=1)
    for row in factors[here].head(1).to_dict("records"):
        return f"{_gained(row, unit)} ({row[UNITS[unit]]} of {row['planned']})"
    return ""


def _gained(row: Mapping[Any, Any], unit: str) -> str:
    if row[UNITS[unit]]:
        return f"factor {number(row[f'factor_{unit}'], 'seconds')}"
    if row["reached"]:
        return f"no comparable {unit}"
    return f"never, {_decibels(row['short'])} short" if row["cases"] else "not done"
