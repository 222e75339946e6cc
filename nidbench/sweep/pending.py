"""Which cells of a plan are still to be computed."""

from __future__ import annotations

from nidbench import versions
from nidbench.errors import DamagedError
from nidbench.records import Record, Store

from .events import Events
from .options import RunOptions
from .plan import Job, Plan


def pending_jobs(
    plan: Plan, store: Store, options: RunOptions, events: Events, *, only_damage: bool = False
) -> list[Job]:
    """Return the jobs to compute, each cell once.

    Those without a record; those that are done but did not keep what `options.keep` asks for; with `retry`, those
    that failed, and with `renew` those that are old.

    Args:
        plan: the cells.
        store: their records; damaged ones are set aside.
        options: what is asked for.
        events: whom to tell of damaged records, and how many cells lack something, are old or of an edited file.
        only_damage: to leave the numbers to another call, with the plan that is computed in the end.
    """
    pending: dict[str, Job] = {}
    lacking = old = edited = 0
    for job in plan.jobs:
        if job.planned.id in pending:
            continue
        try:
            record = store.read(job.planned.id)
        except DamagedError as error:
            kept = store.set_aside(job.planned.id)
            events.warned(f"{error}; kept as {kept.name}, computed again")
            record = None
        bare = record is not None and record.status == "done" and not store.holds(record, options.keep)
        lacking += bare
        again = record is not None and (_is_old(record) if record.status == "done" else options.retry)
        old += again and not options.renew and record is not None and record.status == "done"
        edited += record is not None and _was_edited(record, job)
        if record is None or bare or (again and (options.renew or record.status != "done")):
            pending[job.planned.id] = job
    if only_damage:
        return list(pending.values())
    if lacking:
        told = (
            "1 cell is done without {}: it is" if lacking == 1 else f"{lacking} cells are done without {{}}: they are"
        )
        events.warned(f"{told.format(' and '.join(options.keep))} computed again")
    if old:
        events.warned(
            f"{old} cells rest on an older version of the engine or the measurement: --renew computes them again"
        )
    if edited:
        events.warned(
            f"{edited} cells were computed before their method's file was edited, and stay: raise version in its "
            "MethodInfo to compute them again"
        )
    return list(pending.values())


def _is_old(record: Record) -> bool:
    """Return whether a result rests on an older version of what computes; scores are made anew without computing."""
    return bool({"engine", "measurement", "noise level"} & set(versions.outdated(record.versions)))


def _was_edited(record: Record, job: Job) -> bool:
    """Return whether a done cell's method is a plain file, which has no golden results, and reads otherwise now."""
    file = job.method.file
    plain = file is not None and file.stem == job.method.spec.name
    return plain and record.status == "done" and record.source not in ("", job.method.fingerprint)
