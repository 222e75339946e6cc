"""A cell is computed with the settings that it was planned with, or not at all."""

import re
from contextlib import closing

import numpy as np
import pytest

from nidbench.compute.messages import Refusal, Task
from nidbench.compute.same_process import SameProcess
from nidbench.contract import Noise, Problem
from nidbench.registry.method_spec import MethodSpec


def outcome(settings):
    problem = Problem(np.full((1, 12, 12), 0.5, np.float32), np.ones((1, 1)), Noise("gaussian", 0.1))
    task = Task(
        spec=MethodSpec("wiener"),
        preset=None,
        file=None,
        problem=problem,
        seed=0,
        device="cpu",
        precision="float32",
        threads=1,
        settings=settings,
    )
    with closing(SameProcess()) as computer:
        return computer.ask(task, lambda _: None, None)


@pytest.fixture(scope="module")
def weight():
    from nidbench.methods.wiener import Wiener

    return Wiener().weight


def test_settings_as_planned_are_computed_and_so_are_those_that_nobody_asks_for(weight):
    assert outcome({"weight": weight}).status == "done"
    assert outcome(None).status == "done"


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        ({"weight": -1.0}, r"weight was -1.0 and is \d"),
        ({}, "weight was None and is"),
        ({"weight": None, "sha256": "1f"}, "sha256 was '1f' and is None, weight was None"),
    ],
)
def test_other_settings_than_planned_fail_in_words(planned, said):
    found = outcome(planned)
    assert isinstance(found, Refusal)
    assert "start the sweep anew" in found.message
    assert re.search(said, found.message)
