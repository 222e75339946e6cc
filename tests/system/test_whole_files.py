"""Files that are complete or absent, whatever happens while they are written."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that copies processes")
def test_a_copy_of_a_process_writes_too(tmp_path):
    code = """
        import os, sys
        from pathlib import Path
        from nidbench.system.whole_files import write_naming
        folder = Path(sys.argv[1])
        write_naming(folder / "before", b"1", {folder / "beside-before": b"1"})
        if copy := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]))
        write_naming(folder / "after", b"2", {folder / "beside-after": b"2"})
        os._exit(0)
    """
    call = [sys.executable, "-P", "-c", dedent(code), str(tmp_path)]
    assert subprocess.run(call, timeout=60, check=False).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before", "beside-after", "beside-before"]
