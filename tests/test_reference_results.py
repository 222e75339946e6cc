"""Committed results are one: tables are those of their records, and sweep files ask for what these records have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from nidbench.api.exchanging import merge
from nidbench.cli import main
from nidbench.errors import NidbenchError
from nidbench.records import Store
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


def lines(text):
    """Yield the rows of a table, each by the names of its columns."""
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    for row in cells[2:]:
        yield dict(zip(cells[0], row, strict=True))


def rows(text):
    """Return what a table of differences says, by noise and method."""
    found, noise = {}, ""
    for row in lines(text):
        noise = row["noise"] or noise
        found[noise, row["method"]] = [row[name] for name in ("difference", "95 % interval", "won/tied/lost", "images")]
    return found


def means(text):
    """Return PSNR and SSIM of the rows of a table, whatever their methods were called when it was printed."""
    return {(row["PSNR"].strip("*"), row["SSIM"]) for row in lines(text) if row["method"] != "input"}


def shown(*words):
    printed = CliRunner().invoke(main, list(map(str, words)))
    assert printed.exit_code == 0, printed.output
    return printed.output


#: References by today's presets, whose differences are those of their records and, where it has the anchor, of another.
DIFFERENCES = {
    "draws": (),
    "field": (),
    "loss": (),
    "newer-whole": ("whole",),
    "ranked": ("whole",),
    "whole": (),
}


@pytest.mark.parametrize(("name", "others"), DIFFERENCES.items())
def test_published_differences_are_those_of_the_committed_records(tmp_path, name, others):
    for each in (name, *others):
        merge(ROOT / "results" / "reference" / each / "records.jsonl", output=tmp_path)
    published = (ROOT / "results" / "reference" / name / "differences.md").read_text()
    against = re.match(r"Mean difference in PSNR \(dB\) to (.+?), paired", published)[1]
    sweep, store = "+".join((name, *others)), Store(tmp_path, create=False)
    own, labels = ({planned.label for planned in store.sweep(each).cells} for each in (name, sweep))
    anchor = against if against in labels else f"{against}@fast"
    again = rows(shown("differences", sweep, "--against", anchor, "--output", tmp_path))
    named = {(noise, word if word in own else f"{word}@fast"): row for (noise, word), row in rows(published).items()}
    mine = {key: row for key, row in named.items() if key[1] in own}  # of others their own folder has more
    assert mine
    assert {key: again[key] for key in mine} == mine


#: References whose table is of all of their records and of no others, and the protocol that it is under.
TABLES = {
    **dict.fromkeys(("adaptive", "curves", "deepinv", "draws", "field", "iterations", "loss"), "half-kernel"),
    **dict.fromkeys(("stop", "supervised", "untrained", "whole"), "half-kernel"),
    "blind": "shift-aligned",
}


@pytest.mark.parametrize(("name", "protocol"), TABLES.items())
def test_published_means_are_those_of_the_committed_records(tmp_path, name, protocol):
    folder = ROOT / "results" / "reference" / name
    merge(folder / "records.jsonl", output=tmp_path)
    again = means(shown("table", name, "--protocol", protocol, "--output", tmp_path))
    assert means((folder / "table.md").read_text()) - again == set()
