"""What a worker keeps between cells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nidbench.physics.measure import measure
from nidbench.workers.handed import Measured
from nidbench.workers.host import Place


def test_cases_of_one_measurement_that_methods_know_otherwise_are_two(tmp_path: Path):
    sharp = np.random.Generator(np.random.Philox(1)).random((1, 40, 40))
    known = measure(sharp, np.ones((3, 3)) / 9, "gaussian:0.05", key="a")
    doubted = replace(known, kernel=np.ones((3, 3)) / 9 + np.diag([0.1, 0, -0.1]))
    place = Place(tmp_path, None)
    handed = [Measured((name,), problem, (), "") for name, problem in (("known", known), ("other", doubted))]
    first = place.case(handed[0])
    assert first.problem is known
    assert place.case(handed[0]) is first
    assert place.case(handed[1]).problem is doubted
