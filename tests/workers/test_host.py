"""What a worker keeps between cells."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dask import config

from nidbench.compute.same_process import SameProcess
from nidbench.errors import DataError
from nidbench.physics.measure import measure
from nidbench.sweep.plan import Job, make_plan
from nidbench.sweep.request import Ask, Experiment
from nidbench.workers import handed
from nidbench.workers.cluster import ENVIRONMENT, TRIM
from nidbench.workers.handed import Measured, Named, case_of
from nidbench.workers.host import Place


@pytest.mark.parametrize(("given", "stays"), [(None, False), ("1000", True)])
def test_what_dask_does_with_freed_memory_does_not_reach_computing_processes(
    given: str | None, stays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(TRIM, given or str(config.get(ENVIRONMENT)[TRIM]))
    Place(tmp_path, None)
    assert (TRIM in os.environ) == stays


def test_cases_of_one_measurement_that_methods_know_otherwise_are_two(tmp_path: Path):
    sharp = np.random.Generator(np.random.Philox(1)).random((1, 40, 40))
    known = measure(sharp, np.ones((3, 3)) / 9, "gaussian:0.05", key="a")
    doubted = replace(known, kernel=np.ones((3, 3)) / 9 + np.diag([0.1, 0, -0.1]))
    place = Place(tmp_path, None)
    cases = [Measured((name,), problem, (), "") for name, problem in (("known", known), ("other", doubted))]
    first = place.case(cases[0])
    assert first.problem is known
    assert place.case(cases[0]) is first
    assert place.case(cases[1]).problem is doubted


def first_job() -> Job:
    plan = make_plan(Ask((Experiment("wiener", "sample", noise_seeds="0-1"),)), SameProcess())
    return plan.jobs[-1]


def test_what_is_too_large_to_travel_is_made_on_the_worker_to_the_same_bytes(monkeypatch):
    job = first_job()
    travels = case_of(job)
    monkeypatch.setattr(handed, "LARGE", 0)
    named = pickle.loads(pickle.dumps(case_of(job)))
    assert (type(travels), type(named)) == (Measured, Named)
    one, other = travels.scored(), named.scored()
    assert other.problem.blurred.tobytes() == one.problem.blurred.tobytes()
    assert other.problem.kernel.tobytes() == one.problem.kernel.tobytes()
    assert (other.measurement_hash, other.truth_hash) == (one.measurement_hash, one.truth_hash)
    assert other.scorer.input_scores == one.scorer.input_scores


def test_other_data_on_the_worker_are_refused(monkeypatch):
    monkeypatch.setattr(handed, "LARGE", 0)
    named = case_of(first_job())
    assert isinstance(named, Named)
    for place in range(3):
        hashes = tuple("other" if n == place else each for n, each in enumerate(named.hashes))
        with pytest.raises(DataError, match="are others here than where the sweep was planned"):
            replace(named, hashes=hashes).scored()
