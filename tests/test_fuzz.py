"""A small part of `tests/stress/fuzz.py`, so that it runs, and finds what is there to be found."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fuzz():
    spec = spec_from_file_location("fuzz", Path(__file__).parent / "stress" / "fuzz.py")
    module = module_from_spec(spec)
    # dataclasses look their module up there
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "fuzz", module)
        spec.loader.exec_module(module)
        yield module


def test_damaged_files_and_hostile_arguments_are_taken_or_refused(fuzz, tmp_path):
    tally = fuzz.fuzz(60, 1, tmp_path)
    assert tally.faults == []
    assert sum(tally.ends.values()) == 60
    assert len(tally.ends) > 10


def test_a_fault_is_found(fuzz, tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "READERS", (({}.__getitem__, str),))
    tally = fuzz.fuzz(2, 0, tmp_path)
    assert len(tally.faults) == 1
    assert "KeyError" in tally.faults[0]
