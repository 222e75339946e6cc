"""What sweeps ask for: whether one from elsewhere is whole, and whether two of one name can be one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import msgspec

from nidbench.errors import ConflictError
from nidbench.records import MERGED, Planned, Sweep
from nidbench.sweep.request import Experiment

from .names import is_id, listed, shown


def check_sweep(sweep: Sweep, name: str) -> None:
    """Refuse a sweep that commands could not work with.

    Args:
        sweep: the sweep, read from a file.
        name: the name of its file.

    Raises:
        ValueError: where it has another name, cells that no folder can have, or asks for what is not known here.
    """
    if sweep.name != name:
        raise ValueError(f"it says that its name is {sweep.name!r}")
    for planned in sweep.cells:
        if not is_id(planned.id):
            raise ValueError(f"it has a cell {planned.id!r}")
    experiments = sweep.asked.get("experiments")
    if not isinstance(experiments, list) or not all(isinstance(each, dict) for each in experiments):
        raise ValueError("it does not say what was asked for")
    known = {field.name for field in fields(Experiment)}
    unknown = {option for each in experiments for option in each} - known
    if unknown:
        raise ValueError(f"it asks for {', '.join(sorted(unknown))}, unknown to this nidbench: upgrade it")
    for each in experiments:
        msgspec.convert({"methods": "", "dataset": "", **each}, Experiment)  # a ValueError for words of another type
    if not isinstance(sweep.asked.get("method_file", ""), str):
        raise ValueError("its method file is no path")


def united(ours: Sweep, theirs: Sweep) -> Sweep:
    """Return two sweeps of one name as one that asks for the cells of both; ours where they do not differ.

    Raises:
        ConflictError: where they do not belong in one table, because one name stands for two things.
    """
    faults = sorted(_disagreements(ours, theirs))
    if faults:
        raise ConflictError(
            f"sweep {shown(ours.name)} is there already and asks for something else:{listed(faults)}\n"
            "nothing was written: give another --output, whose sweeps can be computed and shown beside these"
        )
    cells = {(planned.id, planned.label): planned for planned in (*theirs.cells, *ours.cells)}
    order = dict.fromkeys((planned.id, planned.label) for planned in (*ours.cells, *theirs.cells))
    asked, choices = _asked(ours, theirs), ours.choices or theirs.choices
    if len(order) > len(ours.cells):
        asked = {**asked, MERGED: True}
    return replace(ours, asked=asked, cells=[cells[key] for key in order], choices=choices)


def _asked(ours: Sweep, theirs: Sweep) -> Mapping[str, Any]:
    """Return what both asked for, so that all measurements can be made again."""
    mine = ours.asked.get("experiments", [])
    further = [each for each in theirs.asked["experiments"] if each not in mine]
    file = ours.asked.get("method_file") or theirs.asked.get("method_file")
    asked = {**theirs.asked, **ours.asked, "experiments": [*mine, *further]}
    if MERGED not in ours.asked:  # that theirs has cells of others says nothing of ours
        asked.pop(MERGED, None)
    return {**asked, "method_file": file} if file else asked


def _disagreements(ours: Sweep, theirs: Sweep) -> Iterator[str]:
    """Yield what one table could not show under one name."""
    if ours.choices and theirs.choices:
        for what in ("device", "precision"):
            here, there = getattr(ours.choices, what), getattr(theirs.choices, what)
            if here and there and here != there:
                yield f"its {what} is {here} here and {shown(there)} there"
    kinds = _kinds(ours), _kinds(theirs)
    for label in kinds[0].keys() & kinds[1].keys():
        here, there = ("; ".join(sorted(kind[label])) for kind in kinds)
        if here != there:
            yield f"{shown(label)} is {shown(here)} here and {shown(there)} there"
    ids = {_names(planned): planned.id for planned in ours.cells}
    for planned in theirs.cells:
        if ids.get(_names(planned), planned.id) != planned.id:
            where = f"{shown(planned.label)} on {shown(str(planned.case))}, seed {planned.seed}"
            yield f"{where} is cell {ids[_names(planned)]} here and {planned.id} there"


def _kinds(sweep: Sweep) -> dict[str, set[str]]:
    """Return what the labels of a sweep stand for."""
    kinds: dict[str, set[str]] = {}
    for planned in sweep.cells:
        kind = f"{planned.method} with preset {planned.preset or 'none'}, {planned.source}"
        kinds.setdefault(planned.label, set()).add(kind)
    return kinds


def _names(planned: Planned) -> tuple[object, ...]:
    return planned.label, planned.preset, planned.case, planned.declared, planned.seed
