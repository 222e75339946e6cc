"""Files that are complete or absent, whatever happens while they are written."""

import os
from pathlib import Path

import pytest

from nidbench.system.whole_files import write_naming


@pytest.fixture
def steps(monkeypatch):
    """Return what is done, in its order: what is on the disk from then on, and which file is in its place."""
    done = []

    def settled(descriptor, fsync=os.fsync):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        fsync(descriptor)
        done.append(f"{name.split('.')[1]} settled" if name.startswith(".") else f"{name} settled")

    def placed(self, target, replace=Path.replace):
        done.append(f"{target.name} placed")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", settled)
    monkeypatch.setattr(Path, "replace", placed)
    return done


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs a system that names open files")
def test_a_file_that_names_others_is_in_its_place_when_all_are_on_the_disk(tmp_path, steps):
    folder = tmp_path / "cell"
    folder.mkdir()
    others = {folder / "arrays": b"1", folder / "log": b"2"}
    write_naming(folder / "record", b"3", others)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"arrays": b"1", "log": b"2", "record": b"3"}
    assert steps[:2] == ["arrays placed", "log placed"]
    assert sorted(steps[2:6]) == ["arrays settled", "cell settled", "log settled", "record settled"]
    assert steps[6:] == ["record placed", "cell settled"]


def test_what_cannot_be_written_leaves_the_naming_file_as_it_was_and_nothing_incomplete(tmp_path):
    record = tmp_path / "record"
    record.write_bytes(b"before")
    taken = tmp_path / "taken"
    taken.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match="taken"):
        write_naming(record, b"after", {tmp_path / "arrays": b"1", taken: b"2"})
    assert record.read_bytes() == b"before"
    assert not list(tmp_path.glob(".*"))


def test_a_naming_file_that_cannot_be_placed_leaves_nothing_incomplete(tmp_path):
    record = tmp_path / "record"
    record.mkdir()
    with pytest.raises(OSError, match="record"):
        write_naming(record, b"after", {tmp_path / "arrays": b"1"})
    assert not list(tmp_path.glob(".*"))
