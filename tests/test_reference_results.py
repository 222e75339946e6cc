"""Sweep files beside committed records ask for the settings that these records have, whatever presets say by now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nidbench.errors import NidbenchError
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import all_settings, parse_methods, resolve
from nidbench.sweep.sweep_file import read_ask

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "results" / "reference").is_dir())
RECORDS = ROOT.glob("results/reference/*/records.jsonl")
FOLDERS = sorted(path.parent for path in RECORDS if [*path.parent.glob("*.toml")])
#: Records that a README explains and no sweep file asks for.
EXPLAINED = {("plug-and-play", "dmsp")}


def asked(folder):
    """Return the settings that the sweep files of a folder ask for, by method; of methods that can be made here."""
    found = {}
    for file in folder.glob("*.toml"):
        for experiment in read_ask(file).experiments:
            for spec in parse_methods(experiment.methods):
                try:
                    method = resolve(spec, load_method(methods(), spec.name), experiment.preset).method
                except NidbenchError:  # a package or a file of weights is not here
                    found[spec.name] = None
                    continue
                found.setdefault(spec.name, []).append(all_settings(method))
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_sweep_files_ask_for_what_the_records_beside_them_have(folder):
    wanted = asked(folder)
    for line in (folder / "records.jsonl").read_text().splitlines():
        cell = json.loads(line)["cell"]
        name, settings = cell["method"], cell["settings"]
        if (folder.name, name) in EXPLAINED or wanted.get(name, ()) is None:
            continue
        fitting = [each for each in wanted.get(name, ()) if settings.items() <= each.items()]
        assert fitting, f"no sweep file of {folder.name} asks for {name} with {settings}"
