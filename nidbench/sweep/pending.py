"""Chooses the cells of a plan that are still to be computed."""

from __future__ import annotations

from collections import Counter

from nidbench import versions
from nidbench.errors import DamagedError
from nidbench.records import Record, Store
from nidbench.system.counts import count_of

from .events import Events
from .options import RunOptions
from .plan import Job, Plan


def pending_jobs(
    plan: Plan, store: Store, options: RunOptions, events: Events, *, only_damage: bool = False
) -> list[Job]:
    """Return the jobs that are to be computed, every cell once.

    They are those without a record and those that lack arrays of `options.keep`; with `options.retry` also those that
    failed, and with `options.renew` those that are old or whose method's file was edited since.

    Args:
        plan: the cells.
        store: their records; damaged ones are set aside.
        options: `keep`, `retry` and `renew`.
        events: receives warnings of damaged records, and of cells that failed, lack arrays, are old, or have an edited
            method, and of a method file that no method is of.
        only_damage: True to warn of damaged records only, where a later call gives the other warnings.
    """
    pending: dict[str, Job] = {}
    counts: Counter[str] = Counter()
    for job in plan.jobs:
        if job.planned.id in pending:
            continue
        record = _readable_record(job, store, events)
        if record is None or (record.status != "done" and options.retry):
            pending[job.planned.id] = job
        elif record.status != "done":
            counts[_FAILED] += 1
        else:
            faults = _faults(record, job, store, options)
            counts.update(faults)
            if _LACKING in faults or (options.renew and {_OLD, _EDITED} & set(faults)):
                pending[job.planned.id] = job
    if not only_damage:
        _warn_of_unused_file(plan, events)
        _warn(counts, options, events)
    return list(pending.values())


def _readable_record(job: Job, store: Store, events: Events) -> Record | None:
    """Return the record of a job; None where there is none, or where it is damaged, after setting it aside."""
    try:
        return store.read(job.planned.id)
    except DamagedError as error:
        kept = store.set_aside(job.planned.id)
        events.warned(f"{error}; kept as {kept.name}, computed again")
        return None


#: Cells that ended without a restoration, and stay.
_FAILED = "failed"
#: Faults of done cells: arrays of `--keep` are missing, the result is old, the method's file was edited since.
_LACKING, _OLD, _EDITED = "lacking", "old", "edited"


def _faults(record: Record, job: Job, store: Store, options: RunOptions) -> list[str]:
    """Return the faults of a done cell."""
    faults = {
        _LACKING: not store.holds(record, options.keep),
        _OLD: _is_old(record),
        _EDITED: _was_edited(record, job),
    }
    return [name for name, present in faults.items() if present]


def _warn_of_unused_file(plan: Plan, events: Events) -> None:
    """Say where a Python file was given and none of the methods is its own."""
    files = {job.method.file for job in plan.jobs if job.method.file is not None}
    for file in files - {job.method.file for job in plan.jobs if _is_of_file(job)}:
        events.warned(
            f"method file {file} is not used, as no method of the sweep has its name: add {file.stem} to --methods, or "
            "leave out --method-file"
        )


def _warn(counts: Counter[str], options: RunOptions, events: Events) -> None:
    if failed := counts[_FAILED]:
        cells = count_of(failed, "cell failed before and stays", "cells failed before and stay")
        events.warned(f"{cells}: --retry computes {_them(failed)} again (in Python retry=True)")
    if lacking := counts[_LACKING]:
        arrays = " and ".join(options.keep)
        cells, are = count_of(lacking, "cell is", "cells are"), "it is" if lacking == 1 else "they are"
        events.warned(f"{cells} done without {arrays}: {are} computed again")
    if (old := counts[_OLD]) and not options.renew:
        cells = count_of(old, "cell rests", "cells rest")
        events.warned(
            f"{cells} on an older version of the engine or the measurement: --renew computes {_them(old)} again"
        )
    if (edited := counts[_EDITED]) and not options.renew:
        cells = count_of(edited, "cell was computed before its", "cells were computed before their")
        events.warned(
            f"{cells} method's file was edited, and {'stays' if edited == 1 else 'stay'}: --renew computes "
            f"{_them(edited)} again, or raise version in its MethodInfo to have both"
        )


def _them(count: int) -> str:
    return "it" if count == 1 else "them"


def _is_old(record: Record) -> bool:
    """Return whether a result depends on another version of what computes; other scores need no new computation."""
    return bool({"engine", "measurement", "noise level"} & set(versions.outdated(record.versions)))


def _was_edited(record: Record, job: Job) -> bool:
    """Return whether the method of a done cell is a Python file, without golden results, that was edited since."""
    return _is_of_file(job) and record.status == "done" and record.source not in ("", job.method.fingerprint)


def _is_of_file(job: Job) -> bool:
    """Return whether the method of a job is that of the Python file that was given."""
    file = job.method.file
    return file is not None and file.stem == job.method.spec.name
