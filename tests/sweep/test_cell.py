"""One cell as a function: from plain data to a record and its arrays, without a results folder."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from silent_events import Silent

from nidbench.compute.same_process import SameProcess
from nidbench.contract import Clock
from nidbench.records import Store
from nidbench.sweep.cell import CellRequest, ScoredCase, compute_cell
from nidbench.sweep.engine import Serial
from nidbench.sweep.options import RunOptions
from nidbench.sweep.plan import make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.runner import Runner

OPTIONS = RunOptions(clock=Clock(2), checkpoint_seconds=0)
ASK = Ask((Experiment("dip[iterations=6],wiener", "sample", images="camera", crop=48),), precision="float32")


@pytest.fixture(scope="module")
def jobs():
    return make_plan(ASK, SameProcess()).jobs


def request(job, work, **changes):
    wanted = CellRequest(
        cell=job.cell, method=job.method, device=job.device, threads=job.threads, keep=(), work=work, basis=""
    )
    return replace(wanted, **changes)


def case_of(job):
    return ScoredCase(job.case.problem(), job.case.truths(), job.case.truth_hash())


def settled(record):
    """A record without what no two runs share."""
    curve = tuple(replace(point, seconds=0) for point in record.log.curve)
    return replace(record, seconds=0, peak_memory=0, finished="").with_log(replace(record.log, curve=curve))


def test_a_cell_computed_alone_is_that_of_a_sweep(tmp_path, jobs):
    store = Store(tmp_path / "out")
    Runner(store, Serial(SameProcess(), OPTIONS), Silent()).run(make_plan(ASK, SameProcess()), jobs)
    for job in reversed(jobs):
        events = Silent()
        alone = compute_cell(request(job, tmp_path / "work"), case_of(job), SameProcess(), OPTIONS, events)
        stored = store.whole(job.cell.id)
        assert settled(alone.record) == settled(stored)
        assert events.points == list(alone.record.log.curve)
        for name, image in store.arrays(job.cell.id).items():
            assert alone.arrays[name].tobytes() == image.tobytes()


def test_what_asks_for_a_cell_crosses_processes(tmp_path, jobs):
    """A worker gets it pickled, with the measurement and the truths."""
    (job, *_) = jobs
    wanted, problem, truths = pickle.loads(
        pickle.dumps((request(job, tmp_path), job.case.problem(), list(job.case.truths())))
    )
    case = ScoredCase(problem, truths, job.case.truth_hash())
    there = compute_cell(wanted, case, SameProcess(), OPTIONS, Silent())
    here = compute_cell(request(job, tmp_path / "b"), case_of(job), SameProcess(), OPTIONS, Silent())
    assert settled(there.record) == settled(here.record)
    assert there.arrays["image"].tobytes() == here.arrays["image"].tobytes()


def test_no_truth_no_scores(tmp_path, jobs):
    job = jobs[-1]
    computed = compute_cell(
        request(job, tmp_path), ScoredCase(job.case.problem(), [], ""), SameProcess(), OPTIONS, Silent()
    )
    assert computed.record.status == "done"
    assert (computed.record.scores, computed.record.input_scores) == ({}, {})
    assert set(computed.record.measures) == {"chi_squared", "whiteness"}
    assert np.isfinite(computed.arrays["image"]).all()
