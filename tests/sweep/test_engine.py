"""The engine that computes one cell after the other, and makes the next measurement beside the writing of a cell."""

import threading
from dataclasses import replace

import pytest
from silent_events import Silent

from nidbench.compute.messages import Task
from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError
from nidbench.records import Store
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import Plan, make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.runner import Runner

ASK = Ask((Experiment("wiener", "sample", images="camera", crop=48, noise_seeds="0-3"),), precision="float32")


class Noted:
    """A case that notes when its measurement is made, and can fail to."""

    def __init__(self, case, notes, error=None):
        self._case, self._notes, self._error = case, notes, error

    def __getattr__(self, name):
        return getattr(self._case, name)

    def problem(self):
        self._notes.append(("begins", threading.current_thread() is threading.main_thread()))
        if self._error is not None:
            raise self._error
        problem = self._case.problem()
        self._notes.append(("made", None))
        return problem


class Attentive(SameProcess):
    """Computes, and notes when a cell's method begins and ends."""

    def __init__(self, notes):
        super().__init__()
        self._notes = notes

    def ask(self, request, listener, seconds=None):
        if not isinstance(request, Task):
            return super().ask(request, listener, seconds)
        self._notes.append(("computes", None))
        answer = super().ask(request, listener, seconds)
        self._notes.append(("computed", None))
        return answer


def run(tmp_path, notes, errors=None):
    plan = make_plan(ASK, SameProcess())
    errors = errors or {}
    jobs = [replace(job, case=Noted(job.case, notes, errors.get(place))) for place, job in enumerate(plan.jobs)]
    store = Store(tmp_path / "out")
    with store.lock():
        summary = Runner(store, Serial(Attentive(notes), RunOptions()), Silent()).run(Plan(plan.sweep, jobs), jobs)
    return store, summary


def test_nothing_is_made_while_a_method_computes(tmp_path):
    """Its time is measured."""
    notes = []
    _, summary = run(tmp_path, notes)
    assert summary.complete
    assert [word for word, _ in notes] == ["begins", "made", "computes", "computed"] * 4
    assert not any(is_main for word, is_main in notes if word == "begins")


def test_a_measurement_that_cannot_be_made_ends_the_run_at_its_turn(tmp_path):
    """The cell before it, beside which it was to be made, is kept."""
    with pytest.raises(InputError, match="gone"):
        run(tmp_path, notes := [], {2: InputError("gone")})
    assert [word for word, _ in notes].count("computed") == 2
    assert len(list((tmp_path / "out" / "cells").glob("*/record.json"))) == 2
    assert not [thread for thread in threading.enumerate() if "next measurement" in thread.name]
