"""Two labs: what one packs, the other brings into its folder, whole or not at all."""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from click.testing import CliRunner

from nidbench.analysis.cells import SweepCells
from nidbench.cli import main
from nidbench.errors import ConflictError, InputError, PackError, ResultsError
from nidbench.exchange import merge as merge_results
from nidbench.exchange import pack
from nidbench.exchange.archive import ArchiveWriter
from nidbench.exchange.manifest import MANIFEST
from nidbench.records import Choices, Store, Sweep, left_out
from nidbench.report.results_table import render
from nidbench.scoring.score import Score

IMAGE = {"image": np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 6, 8)}


def merge(given, output, most=1 << 30, **options):
    return merge_results(Path(given), Path(output), most, **options)


def content(folder):
    """Return all files of a folder but its locks, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


def files_of(packed):
    with zipfile.ZipFile(packed) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != MANIFEST}


def forge(path, files):
    """Write a packed file whose manifest agrees with whatever is in it."""
    with path.open("wb") as file:
        archive = ArchiveWriter(file)
        for name, inside in files.items():
            archive.add(name, inside)
        archive.close(nidbench="0.1.0", arrays="all", environments=[])
    return path


def arrays_file(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture
def theirs(make_record, make_store, tmp_path):
    """A packed sweep of two cells, one of which failed."""
    store, _ = make_store(
        make_record("ours", "cat", 26.0),
        make_record("dip", "cat", status="failed", error="no"),
        arrays=IMAGE,
        name="their",
    )
    pack(store, "demo", tmp_path / "theirs.zip")
    return tmp_path / "theirs.zip"


def refused(given, output, kind=PackError, **options):
    """Return the message of a merge that must be refused, and leave everything as it was."""
    before = content(output) if Path(output).exists() else None
    with pytest.raises(kind) as caught:
        merge(given, output, **options)
    assert before == (content(output) if Path(output).exists() else None)
    return str(caught.value)


# --- what two labs want -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["file", "folder"])
def test_two_halves_make_the_table_of_the_whole(by, make_record, make_store, tmp_path):
    records = [make_record(method, image, 25 + len(method)) for method in ("ours", "dip") for image in ("cat", "dog")]
    whole = make_store(*records, arrays=IMAGE, name="whole")[0]
    mine = make_store(*records[:3], missing=tuple(records[3:]), arrays=IMAGE, name="mine")[0]
    other = make_store(records[3], missing=tuple(records[:2]), arrays=IMAGE, name="other")[0]
    given = pack(other, "demo", tmp_path / "other.zip").file if by == "file" else other.root
    merged = merge(given, mine.root)
    assert merged.lines()[0] == "1 cell came, 0 were there already, 0 of yours were kept"
    tables = [render(SweepCells.read(store, store.sweep("demo")), "md", "half-kernel") for store in (mine, whole)]
    assert tables[0] == tables[1]
    again = merge(given, mine.root)
    assert again.lines() == [
        "0 cells came, 1 was there already, 0 of yours were kept",
        "sweep demo was there already",
    ]


def test_a_round_trip_brings_every_byte_but_the_attempt(make_record, make_store, tmp_path):
    record = make_record("ours", "cat", curve=((50, 25.0), (100, 26.5)), kept=("draws",))
    store, _ = make_store(name="their")
    for _ in range(2):  # the second attempt has file names of its own
        store.write(record, IMAGE, {"draws": np.ones((3, 1, 6, 8), np.float16)})
    store.write_sweep(make_store(record, name="spare")[1])
    packed = pack(store, "demo", tmp_path / "all.zip", "all")
    merge(packed.file, tmp_path / "mine")
    mine = Store(tmp_path / "mine", create=False)
    assert mine.whole(record.id) == replace(store.whole(record.id), attempt=1)
    np.testing.assert_array_equal(mine.arrays(record.id)["image"], IMAGE["image"])
    assert mine.kept(record.id)["draws"].shape == (3, 1, 6, 8)
    assert content(mine.root).keys() == {
        "nidbench.json",
        "sweeps/demo.json",
        *(f"cells/{record.id}/{name}" for name in ("record.json", "log.json", "arrays.npz", "kept.npz")),
    }


@pytest.mark.parametrize(
    ("arrays", "wanted"), [("none", set()), ("restorations", {"arrays"}), ("all", {"arrays", "kept"})]
)
def test_arrays_go_along_as_asked_and_can_follow_later(arrays, wanted, make_record, make_store, tmp_path):
    record = make_record("ours", "cat", kept=("draws",))
    store, _ = make_store(record, name="their")
    store.write(record, IMAGE, {"draws": np.ones((3, 1, 6, 8), np.float16)})
    packed = pack(store, "demo", tmp_path / "part.zip", arrays).file
    kinds = {Path(name).name.partition(".")[0] for name in files_of(packed) if name.endswith(".npz")}
    assert kinds == wanted
    mine = tmp_path / "mine"
    merge(packed, mine)
    assert Store(mine).has_arrays(record.id) == ("arrays" in wanted)
    later = merge(pack(store, "demo", tmp_path / "all.zip", "all").file, mine)
    assert later.count("completed") == (arrays != "all")
    assert Store(mine).arrays(record.id).keys() == {"image"}
    assert Store(mine).kept(record.id).keys() == {"draws"}


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_array_of_ones_own_is_refused_with_what_to_do(make_record, make_store, tmp_path):
    store, _ = make_store(make_record("ours", "cat"), arrays=IMAGE)
    record = store.read(next((store.root / "cells").iterdir()).name)
    damaged = bytearray(store.file(record, "arrays.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    store.file(record, "arrays.npz").write_bytes(damaged)
    with pytest.raises(PackError, match="run its sweep again there, or set the folder of the cell aside") as caught:
        pack(store, "demo", tmp_path / "packed.zip")
    assert "ask for it" not in str(caught.value)
    del caught
    gc.collect()  # an archive that nobody closed would complain that its file is closed
    assert not list(tmp_path.glob("*packed*"))


def test_the_same_results_are_the_same_bytes(sample_store, tmp_path):
    store, _ = sample_store
    first = pack(store, "demo", tmp_path / "first.zip").file.read_bytes()
    for path in store.root.rglob("*"):
        os.utime(path, (0, 0))
    time.sleep(2.1)  # ZIP knows even seconds
    assert pack(store, "demo", tmp_path / "second.zip").file.read_bytes() == first


def test_it_says_which_environments_and_what_lacks(make_record, make_store, tmp_path):
    done, missing, damaged = (make_record("ours", image) for image in ("cat", "dog", "cow"))
    store, _ = make_store(done, damaged, missing=(missing,), arrays=IMAGE)
    (store.root / "cells" / damaged.id / "record.json").write_text("{}")
    packed = pack(store, "demo", tmp_path / "packed.zip")
    assert (packed.cells, packed.missing, packed.damaged) == (1, [missing.id], [damaged.id])
    assert "1 cell is not computed yet" in "\n".join(packed.lines())
    with zipfile.ZipFile(packed.file) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    assert manifest["environments"] == [{"cells": 1, "environment": {"torch": "2.13.0", "python": "3.11"}}]
    assert manifest["nidbench"]
    assert manifest["files"].keys() == files_of(packed.file).keys()


def test_a_file_that_is_there_is_replaced_only_if_asked(sample_store, tmp_path):
    store, _ = sample_store
    file = tmp_path / "packed.zip"
    file.write_text("mine")
    with pytest.raises(InputError, match="is there already: allow with --overwrite"):
        pack(store, "demo", file)
    assert file.read_text() == "mine"
    assert pack(store, "demo", file, overwrite=True).cells == 4
    with pytest.raises(InputError, match="give another file with --to"):
        pack(store, "demo", tmp_path, overwrite=True)
    (link := tmp_path / "link.zip").symlink_to("nothing")
    with pytest.raises(InputError, match="is there already"):
        pack(store, "demo", link)
    with pytest.raises(ResultsError, match=r"cannot write .*nothing half-written is left"):
        pack(store, "demo", tmp_path / "no" / "such" / "folder.zip")


def test_a_sweep_copied_by_hand_is_refused_by_its_name_and_not_packed_without_itself(sample_store, tmp_path):
    store, _ = sample_store
    sweeps = store.root / "sweeps"
    (sweeps / "demo copy.json").write_bytes((sweeps / "demo.json").read_bytes())
    said = "a sweep 'demo copy', a name that none can have: set sweeps/demo copy.json aside"
    with pytest.raises(PackError, match=said):
        pack(store, "demo copy", tmp_path / "copy.zip")
    assert not (tmp_path / "copy.zip").exists()
    assert said in refused(store.root, tmp_path / "mine")


def test_a_sweep_that_was_damaged_or_renamed_is_told_of_with_what_helps_to_merge_its_folder(sample_store, tmp_path):
    store, _ = sample_store
    path = store.root / "sweeps" / "demo.json"
    whole = path.read_bytes()
    path.write_bytes(b"{")
    message = refused(store.root, tmp_path / "mine")
    assert "sweeps/demo.json is damaged" in message
    assert "set the file aside, which takes no cell away; then" in message
    assert "folder of the cell" not in message
    path.unlink()
    renamed = path.with_name("other.json")
    renamed.write_bytes(whole)
    message = refused(store.root, tmp_path / "mine")
    assert "it says that its name is 'demo'" in message
    assert "give the file the name of its sweep" in message
    renamed.unlink()
    assert merge(store.root, tmp_path / "mine").count("new") == 4


def test_a_damaged_sweep_here_is_told_of_with_what_helps_to_merge(theirs, tmp_path):
    Store(tmp_path / "mine").write_sweep(Sweep("demo", {}, []))
    path = tmp_path / "mine" / "sweeps" / "demo.json"
    path.write_text("{")
    with pytest.raises(ResultsError, match=r"is damaged .*give the command of its run again, .*or set the file aside"):
        merge(theirs, tmp_path / "mine")
    path.unlink()
    assert merge(theirs, tmp_path / "mine").sweeps == {"demo": "new"}


def test_nothing_computed_is_nothing_to_pack(make_record, make_store, tmp_path):
    store, _ = make_store(missing=(make_record(),))
    with pytest.raises(ResultsError, match="has no computed cell yet"):
        pack(store, "demo", tmp_path / "packed.zip")
    assert not (tmp_path / "packed.zip").exists()


# --- cells that both have ---------------------------------------------------------------------------------------------


def test_another_result_is_a_conflict_by_name_and_nothing_is_written(make_record, make_store):
    same, new = make_record("dip", "cat"), make_record("dip", "dog")
    mine, _ = make_store(make_record("ours", "cat", 26.0), same, arrays=IMAGE, name="mine")
    their, _ = make_store(make_record("ours", "cat", 26.5), same, new, arrays=IMAGE, name="their")
    message = refused(their.root, mine.root, ConflictError)
    record = make_record("ours", "cat")
    assert (
        f"{record.id} (ours on sample/cat levin/1 gaussian:0.05 #0, seed 0): scores cut-30, scores half-kernel"
        in message
    )
    assert same.id not in message
    assert "nothing was written: give --keep-mine" in message
    merged = merge(their.root, mine.root, keep_mine=True)
    assert (merged.fates[record.id], merged.fates[same.id], merged.fates[new.id]) == ("preferred", "there", "new")
    assert mine.read(record.id).scores["half-kernel"].psnr == 26.0


def test_another_restoration_of_the_same_scores_is_a_conflict(make_record, make_store):
    mine, _ = make_store(make_record(), arrays=IMAGE, name="mine")
    their, _ = make_store(make_record(), arrays={"image": IMAGE["image"] + 1e-3}, name="their")
    assert "seed 0): restoration" in refused(their.root, mine.root, ConflictError)


def test_what_a_result_cost_and_further_scores_are_no_other_result(make_record, make_store):
    record = make_record("ours", "cat")
    mine, _ = make_store(record, arrays=IMAGE, name="mine")
    theirs = replace(
        record, seconds=99.0, threads=8, finished="later", scores={**record.scores, "anger": Score(1.0, 0.5)}
    )
    their, _ = make_store(theirs, arrays=IMAGE, name="their")
    before = content(mine.root)
    assert merge(their.root, mine.root).fates == {record.id: "there"}
    assert content(mine.root) == before


def test_who_failed_gives_way_to_who_is_done(make_record, make_store):
    done, failed = make_record("ours", "cat"), make_record("ours", "cat", status="failed", error="no", iterations=None)
    mine, _ = make_store(failed, arrays=None, name="mine")
    their, _ = make_store(done, arrays=IMAGE, name="their")
    third, _ = make_store(make_record("ours", "cat", status="timeout"), name="third")
    assert merge(third.root, mine.root).fates == {done.id: "kept"}
    merged = merge(their.root, mine.root)
    assert merged.lines()[1] == "  1 had failed here and is done there: theirs came"
    assert (mine.read(done.id).status, mine.read(done.id).attempt) == ("done", 2)
    assert mine.arrays(done.id).keys() == {"image"}
    assert merge(third.root, mine.root).lines()[1] == "  1 has no result there: yours stayed as it is"
    assert mine.read(done.id).status == "done"


def test_a_damaged_record_here_is_set_aside(make_record, make_store):
    record = make_record()
    mine, _ = make_store(record, arrays=IMAGE, name="mine")
    their, _ = make_store(record, arrays=IMAGE, name="their")
    (mine.root / "cells" / record.id / "record.json").write_text("{}")
    assert merge(their.root, mine.root).fates == {record.id: "mended"}
    assert mine.read(record.id).status == "done"
    assert (mine.root / "cells" / record.id / "record.damaged").read_text() == "{}"


def test_unfinished_work_is_forgotten_where_the_cell_came_done_only(make_record, make_store):
    done, failed = make_record("ours", "cat"), make_record("ours", "dog", status="failed")
    mine, _ = make_store(name="mine")
    their, _ = make_store(done, failed, arrays=IMAGE, name="their")
    for record in (done, failed):
        mine.work(record.id).mkdir(parents=True)
    merge(their.root, mine.root)
    assert [mine.work(record.id).exists() for record in (done, failed)] == [False, True]


# --- sweeps of one name -----------------------------------------------------------------------------------------------


def test_sweeps_of_one_name_become_one(make_record, make_store):
    mine, ours = make_store(make_record("ours", "cat"), name="mine")
    their, sweep = make_store(make_record("ours", "dog"), name="their")
    their.write_sweep(replace(sweep, asked={**sweep.asked, "experiments": [{"methods": "ours", "images": "dog"}]}))
    assert merge(their.root, mine.root).sweeps == {"demo": "joined"}
    joined = mine.sweep("demo")
    assert [planned.case.image for planned in joined.cells] == ["cat", "dog"]
    assert joined.asked["experiments"] == [*ours.asked["experiments"], {"methods": "ours", "images": "dog"}]
    assert joined.asked["device"] == "auto"


def test_a_part_does_not_take_the_place_of_a_merged_sweep(make_record, make_store):
    mine, ours = make_store(make_record("ours", "cat"), name="mine")
    their, _ = make_store(make_record("ours", "dog"), name="their")
    merge(their.root, mine.root)
    whole, part = mine.sweep("demo"), ours
    said = r"sweep demo was merged .* would lose 1 cell that is not asked for now \(ours on sample/dog .*another --name"
    with pytest.raises(InputError, match=said):
        left_out(mine, part)
    assert left_out(mine, whole) == ""
    assert merge(their.root, mine.root).sweeps == {"demo": "there"}
    third, _ = make_store(name="third")
    merge(mine.root, third.root)
    with pytest.raises(InputError, match=said):
        left_out(third, part)


def test_who_brings_nothing_new_does_not_make_a_merged_sweep(make_record, make_store):
    cat, dog = make_record("ours", "cat"), make_record("ours", "dog")
    mine, _ = make_store(cat, dog, name="mine")
    their, part = make_store(cat, name="their")
    third, _ = make_store(dog, name="third")
    merge(third.root, their.root)
    assert merge(their.root, mine.root).sweeps == {"demo": "there"}
    assert left_out(mine, part).startswith("the tables of demo no longer show 1 cell")


@pytest.mark.parametrize("difference", ["settings", "preset", "precision"])
def test_sweeps_of_one_name_that_ask_for_other_things_are_refused(difference, make_record, make_store):
    mine, ours = make_store(make_record("ours", "cat"), name="mine")
    settings = {"lr": 0.1} if difference == "settings" else None
    preset = "paper" if difference == "preset" else "fast"
    their, sweep = make_store(make_record("ours", "cat", settings=settings), preset=preset, name="their")
    if difference == "precision":
        mine.write_sweep(replace(ours, choices=Choices("cpu", "float32", 1)))
        their.write_sweep(replace(sweep, choices=Choices("cpu", "bf16", 1)))
    said = {
        "settings": "ours on sample/cat levin/1 gaussian:0.05 #0, seed 0 is cell",
        "preset": "ours is ours with preset fast, computed here and ours with preset paper, computed there",
        "precision": "its precision is float32 here and bf16 there",
    }
    message = refused(their.root, mine.root, ConflictError)
    assert "sweep demo is there already and asks for something else" in message
    assert said[difference] in message
    assert "give another --output" in message


# --- what somebody made up, or a disk damaged -------------------------------------------------------------------------


def test_every_altered_byte_is_noticed(theirs, tmp_path):
    whole = theirs.read_bytes()
    for place in range(0, len(whole), 37):
        altered = bytearray(whole)
        altered[place] ^= 1
        theirs.write_bytes(altered)
        try:
            merge(theirs, tmp_path / f"at{place}")
        except (PackError, ResultsError):
            assert not (tmp_path / f"at{place}").exists()
        else:  # a date or a right, which mean nothing
            brought = content(tmp_path / f"at{place}")
            assert set(files_of(theirs)) | {"nidbench.json"} == set(brought)
            assert all(brought[name] == inside for name, inside in files_of(theirs).items())


def test_a_file_that_is_cut_off_is_refused(theirs, tmp_path):
    whole = theirs.read_bytes()
    for size in range(0, len(whole), 101):
        theirs.write_bytes(whole[:size])
        assert "cut off" in refused(theirs, tmp_path / "mine")


def test_an_altered_file_with_a_right_checksum_is_refused_by_its_hash(theirs, tmp_path):
    with zipfile.ZipFile(theirs) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    (name,) = [name for name in inside if name.endswith("record.json") and b'"done"' in inside[name]]
    inside[name] = inside[name].replace(b"26.0", b"36.0")
    with zipfile.ZipFile(theirs, "w") as archive:
        for each, bytes_of in inside.items():
            archive.writestr(each, bytes_of)
    message = refused(theirs, tmp_path / "mine")
    assert f"{name} is not what was packed" in message


OUTSIDE = [
    "../evil.json",
    "/tmp/evil.json",
    "sweeps/../../evil.json",
    "sweeps/a/b.json",
    "sweeps/.hidden.json",
    "sweeps\\evil.json",
    "cells/../evil/record.json",
    "cells/0123456789abcdef0123/../../evil.json",
    "cells/0123456789abcdef0123/evil.pkl",
    "cells/0123456789ABCDEF0123/record.json",
    "nidbench.json",
    "mlflow.db",
    "work/0123456789abcdef0123/checkpoint",
    "cells/",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_anywhere_else_is_refused(name, theirs, tmp_path):
    forged = forge(tmp_path / "forged.zip", {**files_of(theirs), name: b"{}"})
    assert "which is no file of a sweep or a cell" in refused(forged, tmp_path / "mine")
    assert not list(tmp_path.rglob("evil*"))


def test_a_name_with_a_nul_in_it_is_refused(theirs, tmp_path):
    forged = forge(tmp_path / "forged.zip", {**files_of(theirs), "sweeps/evil.json@.txt": b"{}"})
    forged.write_bytes(forged.read_bytes().replace(b"json@", b"json\0"))
    assert "which is no file of a sweep or a cell" in refused(forged, tmp_path / "mine")


def test_links_are_refused(theirs, tmp_path):
    link = zipfile.ZipInfo("sweeps/link.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(theirs, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "is a link or another special file" in refused(theirs, tmp_path / "mine")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(theirs, tmp_path):
    with zipfile.ZipFile(theirs, "a") as archive:
        archive.writestr("sweeps/demo.json", "{}")
    assert "holds sweeps/demo.json twice" in refused(theirs, tmp_path / "mine")


def test_a_file_that_the_manifest_does_not_know_or_lacks_is_refused(theirs, tmp_path):
    forged = forge(tmp_path / "forged.zip", files_of(theirs))
    with zipfile.ZipFile(forged, "a") as archive:
        archive.writestr("sweeps/further.json", "{}")
    assert "does not list sweeps/further.json" in refused(forged, tmp_path / "mine")
    with zipfile.ZipFile(theirs) as archive, zipfile.ZipFile(forged, "w") as less:
        less.writestr(MANIFEST, archive.read(MANIFEST))
    assert "lacks cells/" in refused(forged, tmp_path / "mine")


def test_what_is_compressed_is_refused_however_small_it_looks(theirs, tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, inside in files_of(theirs).items():
            archive.writestr(name, inside + bytes(50_000_000) if name.endswith("log.json") else inside)
    assert bomb.stat().st_size < 1_000_000
    assert "is compressed, and could be of any size" in refused(bomb, tmp_path / "mine")


def test_no_more_comes_than_is_allowed(theirs, make_record, make_store, tmp_path):
    assert "and no more than 1.0K may be taken: if you expect" in refused(theirs, tmp_path / "mine", most=1024)
    folder, _ = make_store(make_record(), arrays={"image": np.zeros((1, 100, 100))}, name="large")
    assert "allow it with --most" in refused(folder.root, tmp_path / "mine", most=20_000)
    merge(folder.root, tmp_path / "mine", most=100_000)


def test_a_size_that_the_manifest_lies_about_is_noticed(theirs, tmp_path):
    with zipfile.ZipFile(theirs) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(inside[MANIFEST])
    for file in manifest["files"].values():
        file["bytes"] = 10
    inside[MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(theirs, "w") as archive:
        for each, bytes_of in inside.items():
            archive.writestr(each, bytes_of)
    assert "has more than 10 bytes" in refused(theirs, tmp_path / "mine", most=1024)


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def bomb_of_arrays():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        image = io.BytesIO()
        np.save(image, np.zeros((1, 2000, 2000), np.float32))
        archive.writestr("image.npy", image.getvalue())
    return file.getvalue()


def claiming(shape):
    """Return a file of arrays whose header says that it is of another shape."""
    file, image = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(image, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.npy", image.getvalue() + bytes(64))
    return file.getvalue()


def headed(header):
    """Return a file of arrays with any text as its header."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("image.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))
    return file.getvalue()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: arrays_file(image=np.array([Evil(path)], dtype=object)), "Python objects"),
        (lambda _: bomb_of_arrays(), "its arrays are compressed or encrypted"),
        (lambda _: claiming((3, 10**6, 10**6)), "its bytes are others"),
        (lambda _: claiming((3, -1, 4)), "its bytes are others"),
        (lambda _: arrays_file(image=np.zeros((4, 4), np.float32)), "float32 of one shape"),
        (lambda _: arrays_file(image=np.zeros((1, 4, 4), np.float64)), "float32 of one shape"),
        (lambda _: arrays_file(image=IMAGE["image"], variance=np.zeros((1, 4, 4), np.float32)), "of one shape"),
        (lambda _: arrays_file(picture=IMAGE["image"]), "it has arrays picture"),
        (lambda _: arrays_file(**{"\x1b[2Jpicture": IMAGE["image"]}), "it has arrays  [2Jpicture"),
        (lambda _: headed(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 4\n"), "is no file of arrays"),
        (lambda _: headed(b"  {'descr': '<f4',\n 'fortran_order': False}"), "is no file of arrays"),
        (lambda _: headed(b"(" * 5000), "is no file of arrays"),
        (lambda _: b"text", "is no file of arrays"),
        (lambda _: b"", "is no file of arrays"),
    ],
)
def test_arrays_are_what_they_should_be_and_never_unpickled(make, said, theirs, tmp_path):
    files = files_of(theirs)
    (name,) = [name for name in files if name.endswith("arrays.npz") and len(files[name]) > 0][:1]
    forged = forge(tmp_path / "forged.zip", {**files, name: make(tmp_path / "evil")})
    assert said in refused(forged, tmp_path / "mine")
    assert not (tmp_path / "evil").exists()


def altered(files, ending, **fields):
    """Return files of a pack, one of which says something else."""
    name = next(name for name in files if name.endswith(ending))
    return {**files, name: json.dumps({**json.loads(files[name]), **fields}).encode()}


def test_records_and_sweeps_that_contradict_themselves_are_refused(theirs, tmp_path):
    files, forged = files_of(theirs), tmp_path / "forged.zip"
    sweep = json.loads(files["sweeps/demo.json"])
    (first, *others), (experiment,) = sweep["cells"], sweep["asked"]["experiments"]
    cases = [
        (altered(files, "record.json", id="0" * 20), "its id is not that of the cell"),
        (altered(files, "record.json", status="splendid"), "status 'splendid' is none of"),
        (altered(files, "record.json", format=99), "record.json was written by a newer nidbench (format 99, this one"),
        (altered(files, "log.json", format=99), "log.json was written by a newer nidbench (format 99, this one"),
        (altered(files, "demo.json", format=99), "forged.zip: sweeps/demo.json was written by a newer nidbench (for"),
        (altered(files, "log.json", curve=7), "log.json is damaged"),
        (altered(files, "demo.json", name="other"), "it says that its name is 'other'"),
        (altered(files, "demo.json", cells=[{**first, "id": "../../evil"}, *others]), "it has a cell '../../evil'"),
        (altered(files, "demo.json", cells=[{**first, "seed": 5}, *others]), "a sweep says that the cell"),
        (altered(files, "demo.json", asked={}), "it does not say what was asked for"),
        (altered(files, "demo.json", asked={"experiments": [{**experiment, "x": 1}]}), "it asks for x, unknown"),
        (
            altered(files, "demo.json", asked={"experiments": [{**experiment, "limit": "x"}]}),
            "sweeps/demo.json is damaged",
        ),
        (altered(files, "demo.json", asked={"experiments": [], "method_file": 7}), "its method file is no path"),
        ({**files, "sweeps/demo.json": b"[" * 100_000}, "sweeps/demo.json is damaged"),
        ({**files, f"cells/{first['id']}/arrays.7.npz": b""}, "which its record does not know"),
    ]
    for made, said in cases:
        assert said in refused(forge(forged, made), tmp_path / "mine", (PackError, ResultsError))


def test_a_newer_format_is_refused_in_words(theirs, tmp_path):
    with zipfile.ZipFile(theirs) as archive:
        manifest = json.loads(archive.read(MANIFEST))
    newer = {**manifest, "format": 2, "more": "unknown"}
    with zipfile.ZipFile(theirs, "w") as archive:
        archive.writestr(MANIFEST, json.dumps(newer))
    message = refused(theirs, tmp_path / "mine")
    assert "was packed by a newer nidbench (format 2" in message
    assert "upgrade with pip install -U nidbench" in message


def test_what_is_no_pack_is_refused_in_words(tmp_path):
    text, pipe, other = tmp_path / "text.zip", tmp_path / "pipe", tmp_path / "other.zip"
    text.write_text("hello")
    os.mkfifo(pipe)
    with zipfile.ZipFile(other, "w"):
        pass
    (tmp_path / "empty").mkdir()
    Store(tmp_path / "unused")
    for given, said in (
        (text, "cannot be read as a packed sweep (File is not a zip file): it is another file, or cut off"),
        (pipe, "is a pipe or a device"),
        (other, "is no packed sweep, it has no nidbench-pack.json"),
        (tmp_path / "no", "is not there: give a file of nidbench pack, or a results folder"),
        (tmp_path / "empty", "holds no nidbench results"),
        (tmp_path / "unused", "holds no results: give one that has some"),
    ):
        assert said in refused(given, tmp_path / "mine", (PackError, ResultsError))
    mine = Store(tmp_path / "mine")
    assert "is the results folder itself" in refused(mine.root, mine.root, InputError)


# --- disks, kills and other runs --------------------------------------------------------------------------------------


MERGING = """
    import sys
    from pathlib import Path
    from nidbench.exchange import merge
    merge(Path(sys.argv[1]), Path(sys.argv[2]), 1 << 30)
"""


def test_killed_in_the_middle_it_leaves_whole_cells_and_goes_on(make_record, make_store, tmp_path):
    records = [make_record("ours", f"image{number}") for number in range(40)]
    their, _ = make_store(*records, arrays={"image": np.zeros((3, 64, 64))}, name="their")
    packed, mine = pack(their, "demo", tmp_path / "packed.zip").file, tmp_path / "mine"
    code, cut_off = dedent(MERGING), []
    for wanted in (1, 20):
        process = subprocess.Popen([sys.executable, "-P", "-c", code, str(packed), str(mine)])
        while process.poll() is None and len(list(mine.glob("cells/*/record.json"))) < wanted:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        ids = Store(mine).cell_ids()
        cut_off.append(0 < len(ids) < 40)
        assert all(Store(mine).whole(cell_id) and Store(mine).arrays(cell_id)["image"].any() == 0 for cell_id in ids)
    assert any(cut_off)
    merged = merge(packed, mine)
    assert merged.count("new") == 40 - len(ids)
    assert merged.count("there") == len(ids)
    with Store(mine).lock():
        assert content(mine) == content(their.root)


def test_what_a_killed_pack_left_goes_with_the_next_one(sample_store, tmp_path):
    store, _ = sample_store
    code = """
        import os, signal, sys
        from pathlib import Path
        from nidbench.system.whole_files import writing_whole
        with writing_whole(Path(sys.argv[1])) as file:
            os.kill(os.getpid(), signal.SIGKILL)
    """
    for name in ("packed.zip", "other.zip"):
        subprocess.run([sys.executable, "-P", "-c", dedent(code), str(tmp_path / name)])
    assert len(list(tmp_path.glob(".*.partial"))) == 2
    pack(store, "demo", tmp_path / "packed.zip")
    assert [path.name[:11] for path in tmp_path.glob(".*.partial")] == [".other.zip."]


def test_a_full_disk_leaves_nothing_half_written(make_record, make_store, on_small_disk, tmp_path):
    records = [make_record("ours", f"image{number}") for number in range(8)]
    their, _ = make_store(*records, arrays={"image": np.random.default_rng(1).random((1, 100, 100))}, name="their")
    packed = pack(their, "demo", tmp_path / "packed.zip").file
    code = """
        import json, sys
        from pathlib import Path
        from nidbench.errors import ResultsError
        from nidbench.exchange import merge, pack
        from nidbench.records import Store
        disk, packed, their = map(Path, sys.argv[1:])
        said = []
        try:
            pack(Store(their), "demo", disk / "packed.zip")
        except ResultsError as error:
            said.append(str(error))
        left = [path.name for path in disk.iterdir()]
        for _ in range(2):
            try:
                merge(packed, disk / "mine", 1 << 30)
            except ResultsError as error:
                said.append(str(error))
        store = Store(disk / "mine")
        whole = [cell_id for cell_id in store.cell_ids() if store.arrays(cell_id)]
        partials = [str(path) for path in disk.rglob("*.partial")]
        print(json.dumps([said, left, len(whole), partials, store.sweep_names()]))
    """
    said, left, whole, partials, sweeps = json.loads(on_small_disk(code, 200, packed, their.root))
    assert len(said) == 3
    assert "nothing half-written is left" in said[0]
    assert "the disk is full: free some space, then run the same command again" in said[1]
    assert (left, partials, sweeps) == ([], [], [])
    assert 0 < whole < 8


def test_a_read_only_folder_is_refused_and_can_be_read(theirs, on_small_disk, tmp_path):
    code = """
        import subprocess, sys
        from pathlib import Path
        from nidbench.errors import ResultsError
        from nidbench.exchange import merge, pack
        from nidbench.records import Store
        disk, packed, mine = map(Path, sys.argv[1:])
        merge(packed, disk / "theirs", 1 << 30)
        Store(disk / "empty")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for output in (disk / "new", disk / "empty"):
            try:
                merge(packed, output, 1 << 30)
            except ResultsError as error:
                print(error)
        print(merge(disk / "theirs", mine, 1 << 30).count("new"))
        print(pack(Store(disk / "theirs", create=False), "demo", mine / "packed.zip").cells)
    """
    *lines, came, packed = on_small_disk(code, 400, theirs, tmp_path / "mine").splitlines()
    assert len(lines) == 2
    assert all("it is read-only: give another --output" in line for line in lines)
    assert (came, packed) == ("2", "2")


def test_another_run_in_the_folder_keeps_it_out(theirs, tmp_path):
    mine = Store(tmp_path / "mine")
    with mine.lock():
        assert "another run (process" in refused(theirs, mine.root, ResultsError)


# --- the commands -----------------------------------------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_commands_say_what_they_did(sample_store, tmp_path, monkeypatch):
    store, _ = sample_store
    monkeypatch.chdir(tmp_path)
    packed = call("pack", "--output", store.root)
    assert packed.exit_code == 0, packed.output
    assert "4 cells of demo packed: demo.zip" in packed.output
    merged = call("merge", "demo.zip", "--output", "mine")
    assert merged.output.splitlines() == [
        "4 cells came, 0 were there already, 0 of yours were kept",
        "sweep demo came",
    ]
    assert call("table", "--output", "mine").output == call("table", "--output", store.root).output
    again = call("pack", "demo", "--output", store.root)
    assert again.exit_code == 2
    assert "demo.zip is there already" in again.output
    assert call("merge", "demo.zip", "--most", "much", "--output", "mine").exit_code == 2
    refusal = call("pack", "nothing", "--output", store.root)
    assert refusal.exit_code == 2
    assert "no sweep 'nothing'" in refusal.output
