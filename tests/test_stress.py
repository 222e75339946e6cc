"""A small part of `tests/stress`: what is random there has a fixed seed here."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent


def load(name: str) -> ModuleType:
    spec = spec_from_file_location(f"stress_{name}", HERE / "stress" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_a_sweep_whose_processes_are_killed_is_finished_by_the_same_command(tmp_path):
    own = ("--methods", "wiener,steady[iterations=20]", "--method-file", str(HERE / "resources" / "steady.py"))
    sweeps = load("kills").Sweeps(tmp_path, (*own, "--dataset", "sample", "--images", "camera"), phases=((),))
    sweeps.run({"kill both": 1})
    assert sweeps.tally.faults == []
    # a sweep that was done before its moment came is followed by another
    assert sweeps.tally.done["kill both"] == 1
    assert sweeps.tally.done["sweeps finished"] >= 1


def test_a_damaged_file_costs_no_traceback_and_no_other_row(tmp_path):
    stress = load("damage")
    told: list[str] = []
    damages = stress.Damages(tmp_path, 1, told.append)
    damages.run(8, by_turns=(("ranks",), ("rescore", "--protocol", "shift-aligned"), (*stress.RUN, "--dry-run")))
    assert told == []
    assert damages.calls == 32
