"""Names of the paper's questions and their files; that budgets are kept and gone on with, test_cli.py shows."""

from dataclasses import replace

import pytest

from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError
from nidbench.paper.reproduction import Reproduction, question, whole
from nidbench.records import Store
from nidbench.sweep.options import RunOptions
from nidbench.sweep.request import Ask, Experiment
from nidbench.sweep.sweep_file import read_ask

GRID = Experiment("wiener", "sample")


def test_each_question_has_a_name_of_its_own_and_the_same_at_every_call():
    ask = whole("table2", [GRID], Ask(()), "")
    others = [
        whole("table4", [GRID], Ask(()), ""),
        whole("table2", [GRID], Ask(()), "30m"),
        whole("table2", [replace(GRID, limit=1)], Ask(()), ""),
        whole("table2", [GRID, GRID], Ask(()), ""),
        whole("table2", [GRID], Ask((), precision="float32"), ""),
    ]
    names = [each.name for each in (ask, *others)]
    assert len(set(names)) == len(names)
    assert ask == whole("table2", [GRID], Ask(()), "")
    assert ask.name.startswith("table2-")
    assert question("table2", ask, "") == ask.name


def test_a_name_that_is_given_stays():
    assert whole("table2", [GRID], Ask((), name="mine"), "30m").name == "mine"


def test_a_budget_that_is_no_time_is_refused_before_anything_is_written(tmp_path):
    ask = whole("table2", [GRID], Ask(()), "soon")
    wanted = Reproduction("table2", "", "", ask, "soon", tmp_path / "sweep.toml")
    with pytest.raises(InputError, match="budget 'soon': give a time"):
        wanted.plan(Store(tmp_path / "out"), SameProcess(), RunOptions(), None, print)
    assert not wanted.file.exists()


@pytest.mark.parametrize("write", [False, True])
def test_the_file_is_what_run_reads(tmp_path, write):
    ask = whole("table2", [GRID], Ask(()), "")
    wanted, said = Reproduction("table2", "", "", ask, "", tmp_path / "new" / "sweep.toml"), []
    plan, rates = wanted.plan(Store(tmp_path / "out"), SameProcess(), RunOptions(), None, said.append, write=write)
    assert (len(plan.jobs), rates) == (2, None)
    assert "2 of 2304 measurements" in said[0]
    assert wanted.file.exists() == write
    if write:
        assert read_ask(wanted.file) == ask
