import dataclasses
import errno
import json
import math
import os
import shutil
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from nidbench.contract import CaseKey
from nidbench.errors import DamagedError, NewerError, ResultsError
from nidbench.physics.arrays import array_hash  # fmt: skip
from nidbench.records import FORMAT, FROM_FILES, Cell, Choices, Log, Planned, Point, Record, Store, Sweep  # fmt: skip
from nidbench.scoring.score import Score
from nidbench.system.processes import place, start
from nidbench.system.whole_files import results_errors, write_whole  # fmt: skip

CASE = CaseKey("sample", "camera", "sample/motion", "gaussian:0.05", 2)
CELL = Cell(
    method="ours",
    version=3,
    settings={"lr": 1e-3, "stop": "cosine", "limit": None, "masked": True, "steps": 7},
    case=CASE,
    image_hash="ab12",
    kernel_hash="cd34",
    declared="x1.2",
    response="gamma:2.2",
    seed=5,
    precision="bf16",
    device="cuda",
)
RECORD = Record(
    CELL.id,
    CELL,
    "done",
    {"half-kernel": Score(27.5, 0.81), "cut-30": Score(math.inf, 1.0)},
    {"half-kernel": Score(-math.inf, math.nan)},
    seconds=1.75,
    iterations=75,
    stopped="noise level",
    batch=4,
    peak_memory=123_456_789,
    threads=2,
    resumed=1,
    measurement_hash="ef56",
    truth_hash="ab89",
    versions={"engine": 1, "metric": 2},
    source="0123456789abcdef",
    shows_y=True,
    finished="2026-01-02T03:04:05+00:00",
    measures={"null_mse": 1e-3, "coverage_95": 0.5},
    kept=("draws",),
)
LOG = Log(
    (Point(25, 0.5, 20.0, 0.5), Point(50, 1.0, 27.0, 0.8), Point(75, 1.5, 26.0, 0.7)),
    ((1, 24.0), (2, 25.5)),
    {"ratios": [[0.1, 0.2], [0.3]], "odd": 'ünïcode \n "quotes"', "none": None},
    environment={"torch": "2.13.0"},
)
TRACEBACK = "Traceback (most recent call last):\n  File x\nValueError: no\n"
FAILED = Record(CELL.id, CELL, "failed").with_log(Log(error=TRACEBACK))
RECORD = RECORD.with_log(LOG)

#: A record of the first format, as version 0.1.0 wrote it before there were logs and versions.
FIRST = {
    "format": 1,
    "id": CELL.id,
    "cell": dataclasses.asdict(CELL),
    "status": "done",
    "scores": {"half-kernel": {"psnr": 27.5, "ssim": 0.81}, "cut-30": {"psnr": math.inf, "ssim": 1.0}},
    "input_scores": {"half-kernel": {"psnr": 20.0, "ssim": 0.5}},
    "curve": [dataclasses.asdict(point) for point in LOG.curve],
    "passes": [[1, 24.0], [2, 25.5]],
    "seconds": 1.75,
    "iterations": 75,
    "stopped": "noise level",
    "batch": 1,
    "peak_memory": 123,
    "threads": 2,
    "resumed": 0,
    "measurement_hash": "ef56",
    "fingerprint": "0123456789abcdef",
    "details": {"shows": "y"},
    "error": "",
    "environment": {"torch": "2.13.0"},
    "finished": "2026-01-02T03:04:05+00:00",
}

CELL_IN_FULL = f"""
    from nidbench.contract import CaseKey
    from nidbench.errors import ResultsError
    from nidbench.records import Cell, Log, Record, Store
    import json, os, sys
    import numpy as np
    cell = {CELL!r}
"""


def run(code, *arguments, **options):
    """Run Python on its own, with `cell` at hand."""
    text = dedent(CELL_IN_FULL) + dedent(code)
    command = [*options.pop("under", ()), sys.executable, "-P", "-c", text, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, **options)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


@pytest.fixture(scope="session")
def namespaces():
    """The prefix of a shell command that may mount file systems nobody else sees."""
    prefix = ["unshare", "--map-root-user", "--mount"]
    try:
        subprocess.run([*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"mounting in a user namespace is not permitted here: {error}")
    return [*prefix, "sh", "-ec"]


def same(first, second):
    """Equality by which NaN equals NaN."""
    return repr(first) == repr(second)


def test_a_record_survives_json():
    found = Record.from_json(RECORD.to_json())
    assert same(found, dataclasses.replace(RECORD, log=None))
    assert found.scores["cut-30"].psnr == math.inf
    assert math.isnan(found.input_scores["half-kernel"].ssim)
    assert found.cell.id == CELL.id


def test_a_log_survives_json():
    assert Log.from_json(LOG.to_json()) == LOG
    odd = Log((Point(1, 0.1, -math.inf, math.nan),))
    assert same(Log.from_json(odd.to_json()), odd)


def test_the_log_is_read_only_when_it_is_asked_for(store):
    store.write(RECORD, {})
    path = store.root / "cells" / CELL.id / "log.json"
    assert same(store.whole(CELL.id), RECORD)
    path.write_text("{")
    assert store.read(CELL.id).log is None
    with pytest.raises(ResultsError, match=r"log\.json is damaged"):
        store.whole(CELL.id)
    path.unlink()
    assert store.whole(CELL.id).log == Log()


def test_a_record_of_the_first_format_is_read_with_its_log(store):
    """All that it rests on has the first version, its truth is known where that is the image of its cell."""
    path = store.root / "cells" / CELL.id / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FIRST))
    found = store.whole(CELL.id)
    assert (found.log.curve, found.log.passes, found.log.environment) == (LOG.curve, LOG.passes, LOG.environment)
    assert (found.oracle.psnr, found.end.psnr, found.scores["cut-30"].psnr) == (27.0, 26.0, math.inf)
    assert (found.truth_hash, found.versions) == ("ab12", {"engine": 1, "measurement": 1, "metric": 1})
    assert (found.shows_y, found.kept, found.measures) == (True, (), {})
    assert store.read(CELL.id) == dataclasses.replace(found, log=None)
    given = {**FIRST, "cell": FIRST["cell"] | {"case": FIRST["cell"]["case"] | {"noise": "measured"}, "settings": {}}}
    found = Record.from_json(json.dumps(given))
    assert (found.truth_hash, found.versions) == ("", {"measurement": 1, "metric": 1, "noise level": 1})


def test_a_record_of_the_first_format_that_is_updated_keeps_its_log(store):
    path = store.root / "cells" / CELL.id / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(FIRST))
    before = store.whole(CELL.id)
    store.update(dataclasses.replace(store.read(CELL.id), measures={"null_mse": 0.5}))
    assert store.whole(CELL.id) == dataclasses.replace(before, measures={"null_mse": 0.5})


@pytest.mark.parametrize(("declared", "noise"), [("estimated", "gaussian:0.05"), ("known", "measured")])
def test_the_first_noise_estimate_is_in_records_of_the_first_format_that_may_rest_on_it(declared, noise):
    cell = FIRST["cell"] | {"declared": declared, "case": FIRST["cell"]["case"] | {"noise": noise}}
    assert Record.from_json(json.dumps({**FIRST, "cell": cell})).versions["noise level"] == 1


def test_a_record_in_another_cell_s_folder_is_damage(store):
    store.write(RECORD, {})
    (store.root / "cells" / CELL.id).rename(store.root / "cells" / "elsewhere")
    with pytest.raises(ResultsError, match=f"it is of the cell {CELL.id}"):
        store.read("elsewhere")


def test_a_record_that_says_something_else_of_its_cell_is_damage(store):
    """Else a byte that changed, in a kernel's hash say, would cost the rows that it is compared with."""
    store.write(RECORD, {})
    path = store.root / "cells" / CELL.id / "record.json"
    path.write_text(path.read_text().replace(CELL.kernel_hash, CELL.kernel_hash[::-1]))
    with pytest.raises(DamagedError, match="is not what the cell's id was made of"):
        store.read(CELL.id)


def test_a_record_with_nothing_but_its_end_survives_json():
    assert Record.from_json(FAILED.to_json()) == dataclasses.replace(FAILED, log=None)
    assert (FAILED.error, FAILED.log.error) == ("ValueError: no", TRACEBACK)


def test_every_field_of_a_record_is_kept():
    content = json.loads(RECORD.to_json())
    assert set(content) == {field.name for field in dataclasses.fields(Record)} - {"log"} | {"format"}
    assert set(json.loads(LOG.to_json())) == {field.name for field in dataclasses.fields(Log)} | {"format"}
    assert all(
        getattr(RECORD, field.name) != field.default
        for field in dataclasses.fields(Record)
        if field.name not in ("error", "attempt")
    )


def test_the_oracle_is_the_best_point_and_the_end_the_last():
    assert RECORD.oracle == Point(50, 1.0, 27.0, 0.8)
    assert RECORD.end == Point(75, 1.5, 26.0, 0.7)
    assert FAILED.oracle is None
    assert FAILED.end is None


def test_a_sweep_survives_json():
    planned = Planned(
        id=CELL.id, label="ours:no-sa", preset="fast", note="a note", case=CASE, declared="known", seed=5, method="ours"
    )
    sweep = Sweep("table-7", {"experiments": [{"methods": "ours", "limit": None}]}, [planned])
    assert Sweep.from_json(sweep.to_json()) == sweep


@pytest.mark.parametrize("choices", [None, Choices("cpu", "bf16", 2), Choices("cuda", None, 1)])
def test_what_was_chosen_for_a_sweep_survives_json(choices):
    sweep = Sweep("s", {}, [], choices)
    assert Sweep.from_json(sweep.to_json()) == sweep


def test_a_sweep_of_before_there_were_choices_is_read():
    content = json.loads(Sweep("s", {}, []).to_json())
    del content["choices"]
    assert Sweep.from_json(json.dumps(content)).choices is None


@pytest.mark.parametrize("damage", [{"threads": 0}, {"threads": "2"}, {"precision": "float16"}, {"device": None}])
def test_choices_that_nobody_made_are_damage(damage, store):
    content = json.loads(Sweep("s", {}, [], Choices("cpu", "bf16", 2)).to_json())
    content["choices"] |= damage
    (store.root / "sweeps").mkdir()
    (store.root / "sweeps" / "s.json").write_text(json.dumps(content))
    with pytest.raises(ResultsError, match="damaged"):
        store.sweep("s")


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (Choices("cpu", "bf16", 2), "bf16, 2 threads"),
        (Choices("cpu", "float32", 1), "float32, 1 thread"),
        (Choices("cpu", None, 2), "2 threads"),
    ],
)
def test_choices_in_words(choices, words):
    assert str(choices) == words


@pytest.mark.parametrize("printed", [b"", b"Illegal instruction"])
def test_a_folder_made_for_nothing_is_removed_unless_a_computing_process_said_something(tmp_path, printed):
    store = Store(tmp_path / "new")
    if printed:
        (store.root / "work").mkdir()
        (store.root / "work" / "worker.log").write_bytes(printed)
    with pytest.raises(ValueError, match="refused"), store.lock():
        raise ValueError("refused")
    assert store.root.exists() == bool(printed)


def test_a_folder_that_was_there_stays(tmp_path):
    Store(tmp_path / "there")
    with pytest.raises(ValueError, match="refused"), Store(tmp_path / "there").lock():
        raise ValueError("refused")
    assert (tmp_path / "there" / "nidbench.json").exists()


def test_a_sweep_of_before_tells_by_its_notes_which_restorations_are_files(store):
    """Versions before `Planned.source` wrote the note alone."""
    common = {"preset": "", "case": dataclasses.asdict(CASE), "declared": "known", "seed": 0}
    notes = {"EPLL": "restored elsewhere, scored from files; assumed: a.png has 8 bit", "fdn": "restored elsewhere"}
    cells = [{"id": name, "label": name, "note": note, "method": name} | common for name, note in notes.items()]
    (store.root / "sweeps").mkdir()
    before = {"format": 2, "name": "before", "asked": {"experiments": []}, "cells": cells}
    (store.root / "sweeps" / "before.json").write_text(json.dumps(before))
    sweep = store.sweep("before")
    assert {cell.label: cell.source for cell in sweep.cells} == {"EPLL": "files", "fdn": "computed"}
    assert {cell.label: cell.note for cell in sweep.cells} == notes
    store.write_sweep(sweep)
    assert store.sweep("before") == sweep


def test_the_source_of_a_cell_is_not_read_from_its_note_where_it_is_said(store):
    planned = Planned(
        id="1", label="mine", preset="", note=FROM_FILES, case=CASE, declared="known", seed=0, method="mine"
    )
    for source in ("computed", "files"):
        store.write_sweep(Sweep("one", {}, [dataclasses.replace(planned, source=source)]))
        assert store.sweep("one").cells[0].source == source


def test_sweeps_joined_have_each_cell_once_and_all_experiments(store):
    def planned(own, label="ours"):
        return Planned(id=own, label=label, preset="fast", note="", case=CASE, declared="known", seed=5, method="ours")

    one = Sweep("one", {"experiments": [{"methods": "ours"}], "device": "cpu"}, [planned("a"), planned("b")])
    two = Sweep("two", {"experiments": [{"methods": "dip"}], "method_file": "m.py"}, [planned("b"), planned("b", "x")])
    for sweep in (one, two):
        store.write_sweep(sweep)
    both = store.sweep("one+two")
    assert both.name == "one+two"
    assert both.cells == [planned("a"), planned("b"), planned("b", "x")]
    experiments = [{"methods": "ours"}, {"methods": "dip"}]
    assert both.asked == {"experiments": experiments, "device": "cpu", "method_file": "m.py"}
    with pytest.raises(ResultsError, match="no sweep 'three'"):
        store.sweep("one+three")


def test_a_record_that_was_read_gets_its_log_without_being_read_again(store, monkeypatch):
    written = dataclasses.replace(RECORD, input_scores={})  # without NaN, which equals nothing
    store.write(written, {})
    record = store.read(RECORD.id)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_read", lambda *_: pytest.fail("the record is read again"))
        assert store.with_log(record) == written
    again = dataclasses.replace(written, seconds=99.0).with_log(Log(error="another"))
    store.write(again, {})  # its files have other names, and those of before are gone
    assert store.with_log(record) == dataclasses.replace(again, attempt=2) == store.whole(RECORD.id)
    (store.root / "cells" / RECORD.id / "log.2.json").unlink()
    assert store.with_log(store.read(RECORD.id)).log == Log()
    (store.root / "cells" / RECORD.id / "log.2.json").write_text("{")
    with pytest.raises(DamagedError):
        store.with_log(store.read(RECORD.id))


def settled(store, cell_id):
    """Make a record as old as those of yesterday's sweep, whose changes file systems show for certain."""
    path = store.root / "cells" / cell_id / "record.json"
    os.utime(path, (1e9, 1e9))
    return path


@pytest.fixture
def patient(monkeypatch):
    """The clock of a reader that comes a minute after whatever was just written."""
    monkeypatch.setattr("nidbench.records.mark.time.time_ns", lambda now=time.time_ns: now() + 60 * 10**9)


@pytest.mark.usefixtures("patient")
def test_a_record_is_parsed_once_as_long_as_its_file_stays(store, monkeypatch):
    store.write(RECORD, {})
    first = store.read(CELL.id)
    monkeypatch.setattr(Store, "_read", lambda *_: pytest.fail("the record is read again"))
    assert store.read(CELL.id) is first


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("by", ["replacing it", "writing into it", "deleting it", "damaging it"])
def test_a_record_that_was_changed_by_hand_shows_at_once(store, by):
    store.write(RECORD, {})
    path = settled(store, CELL.id)
    assert store.read(CELL.id).status == "done"
    text = path.read_text()
    other = text.replace('"status": "done"', '"status": "failed"').replace("\n  ", "\n", 1)
    assert len(other) == len(text)
    time.sleep(0.05)  # a few ticks of the file system's clock
    if by == "replacing it":
        path.with_name("other").write_text(other)
        path.with_name("other").replace(path)
        assert store.read(CELL.id).status == "failed"
    elif by == "writing into it":
        path.write_text(other)
        os.utime(path, (1e9, 1e9))  # of the same time as before
        assert store.read(CELL.id).status == "failed"
    elif by == "deleting it":
        path.unlink()
        assert store.read(CELL.id) is None
    else:
        path.write_text(text[:-9])
        with pytest.raises(DamagedError):
            store.read(CELL.id)
        path.write_text(text)
        assert store.read(CELL.id).status == "done"


def test_a_record_that_was_just_written_is_not_trusted_to_show_its_changes(store):
    """Two changes within a tick of the file system's clock look alike."""
    store.write(RECORD, {})
    path = store.root / "cells" / CELL.id / "record.json"
    os.utime(path)
    before = store.read(CELL.id)
    assert store.read(CELL.id) is not before


@pytest.mark.usefixtures("patient")
def test_what_was_read_before_never_differs_from_what_is_there(store):
    rng = np.random.Generator(np.random.Philox(7))
    cells = [dataclasses.replace(CELL, seed=seed) for seed in range(3)]
    for step in range(120):
        cell, change = cells[rng.integers(3)], rng.integers(4)
        path = store.root / "cells" / cell.id / "record.json"
        if change == 0:
            store.write(Record(cell.id, cell, "done", seconds=float(step)), {})
        elif path.exists() and change == 1:
            path.write_text(path.read_text() + " ")
        elif path.exists() and change == 2:
            path.write_text("{" + path.read_text())
        elif change == 3:
            path.unlink(missing_ok=True)
        for each in cells:
            assert found(store, each.id) == found(Store(store.root), each.id)


def found(store, cell_id):
    try:
        return store.read(cell_id)
    except DamagedError as error:
        return str(error)


def test_an_updated_record_keeps_its_arrays(store):
    store.write(RECORD, {"image": np.ones((1, 2, 3))}, {"draws": np.zeros(3)})
    more = dataclasses.replace(RECORD, scores={**RECORD.scores, "kohler": Score(30.0, 0.9)})
    store.update(more)
    assert same(store.whole(CELL.id), more)
    assert store.has_arrays(CELL.id)
    assert np.array_equal(store.arrays(CELL.id)["image"], np.ones((1, 2, 3)))
    assert np.array_equal(store.kept(CELL.id)["draws"], np.zeros(3))
    assert not store.has_arrays("another")


def test_the_id_of_a_cell_is_golden():
    """Typed in: a change here has every cell of every results folder computed again."""
    assert CELL.id == "2542f4399fe48d796a9a"
    text = (
        '{"case":{"dataset":"sample","image":"camera","kernel":"sample/motion","noise":"gaussian:0.05","noise_seed":2},'
        '"declared":"x1.2","device":"cuda","image_hash":"ab12","kernel_hash":"cd34","method":"ours",'
        '"precision":"bf16","response":"gamma:2.2","seed":5,'
        '"settings":{"limit":null,"lr":0.001,"masked":true,"steps":7,"stop":"cosine"},"version":3}'
    )
    assert CELL.id == sha256(text.encode()).hexdigest()[:20]


def test_the_order_of_settings_does_not_change_the_id():
    turned = dict(reversed(CELL.settings.items()))
    assert list(turned) != list(CELL.settings)
    assert dataclasses.replace(CELL, settings=turned).id == CELL.id


def test_every_field_of_a_cell_changes_its_id():
    values = {"version": 4, "seed": 6, "settings": {**CELL.settings, "lr": 2e-3}}
    others = [
        dataclasses.replace(CELL, **{field.name: values.get(field.name, "other")})
        for field in dataclasses.fields(Cell)
        if field.name != "case"
    ]
    cases = [
        dataclasses.replace(CASE, **{field.name: 9 if field.name == "noise_seed" else "other"})
        for field in dataclasses.fields(CaseKey)
    ]
    others += [dataclasses.replace(CELL, case=case) for case in cases]
    others += [
        dataclasses.replace(CELL, settings={**CELL.settings, "steps": 7.5}),
        dataclasses.replace(CELL, settings={**CELL.settings, "masked": False}),
        dataclasses.replace(CELL, settings={**CELL.settings, "limit": 0}),
        dataclasses.replace(CELL, settings={**CELL.settings, "more": 1}),
    ]
    assert len({CELL.id, *(cell.id for cell in others)}) == 1 + 10 + 5 + 4


def test_what_is_written_is_read(store):
    image = np.random.default_rng(0).random((3, 5, 4))
    store.write(RECORD, {"image": image, "variance": image / 100})
    again = Store(store.root)
    assert same(again.whole(CELL.id), RECORD)
    arrays = again.arrays(CELL.id)
    assert set(arrays) == {"image", "variance"}
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}
    assert np.array_equal(arrays["image"], image.astype(np.float32))


def test_a_cell_without_record_reads_as_none(store):
    assert store.read(CELL.id) is None


def test_writing_again_replaces(store):
    store.write(FAILED, {})
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    assert same(store.whole(CELL.id), dataclasses.replace(RECORD, attempt=2))
    store.write(RECORD, {"image": np.ones((1, 2, 2))})
    assert store.arrays(CELL.id)["image"].min() == 1
    store.write(FAILED, {})
    assert not store.has_arrays(CELL.id)
    assert sorted(path.name for path in (store.root / "cells" / CELL.id).iterdir()) == ["log.4.json", "record.json"]


def test_writing_forgets_unfinished_work_and_leaves_no_scraps(store):
    work = store.work(CELL.id)
    work.mkdir(parents=True)
    (work / "checkpoint").write_bytes(b"state")
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    assert not work.exists()
    files = {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}
    assert files == {
        "nidbench.json",
        *(f"cells/{CELL.id}/{name}" for name in ("record.json", "log.json", "arrays.npz")),
    }


def test_sweeps_are_kept_by_name(store):
    old, new = (
        Sweep("old", {}, []),
        Sweep(
            "new",
            {"experiments": []},
            [Planned(id="1", label="a", preset="b", note="", case=CASE, declared="known", seed=0, method="a")],
        ),
    )
    os.utime(store.write_sweep(old), (1, 1))
    store.write_sweep(new)
    assert store.sweep_names() == ["new", "old"]
    assert store.sweep("new") == new
    with pytest.raises(ResultsError, match=r"no sweep 'newer' .*: there are new, old"):
        store.sweep("newer")
    with pytest.raises(ResultsError, match="none yet"):
        Store(store.root.parent / "empty").sweep("x")


@pytest.mark.parametrize(
    "content", ["", "{", "null", "[]", '{"format": 1}', '{"format": 1, "name": "x", "cells": [3]}']
)
def test_a_damaged_sweep_is_refused(store, content):
    store.write_sweep(Sweep("x", {}, []))
    (store.root / "sweeps" / "x.json").write_text(content)
    with pytest.raises(ResultsError, match=r"x\.json is damaged"):
        store.sweep("x")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (f"cells/{CELL.id}/record.json", lambda store: store.read(CELL.id)),
        (f"cells/{CELL.id}/log.json", lambda store: store.whole(CELL.id)),
        ("sweeps/x.json", lambda store: store.sweep("x")),
    ],
    ids=["record", "log", "sweep"],
)
def test_a_file_of_a_newer_format_is_refused_by_its_name_and_format(name, read, store):
    store.write(RECORD, {})
    store.write_sweep(Sweep("x", {}, []))
    path = store.root / name
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1}))
    with pytest.raises(NewerError) as caught:
        read(store)
    assert str(caught.value) == (
        f"{path} was written by a newer nidbench (format {FORMAT + 1}, this one reads {FORMAT}): upgrade with "
        "pip install -U nidbench"
    )


def test_a_sweep_of_a_newer_format_is_not_replaced(store):
    path = store.write_sweep(Sweep("x", {}, []))
    newer = json.dumps({**json.loads(path.read_text()), "format": FORMAT + 1})
    path.write_text(newer)
    with pytest.raises(NewerError, match=r"x\.json was written by a newer nidbench"):
        store.write_sweep(Sweep("x", {}, []))
    assert path.read_text() == newer


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_damaged_sweep_is_written_anew(content, store):
    path = store.write_sweep(Sweep("x", {}, []))
    path.write_bytes(content)
    store.write_sweep(Sweep("x", {}, []))
    assert store.sweep("x") == Sweep("x", {}, [])


def test_a_folder_of_a_newer_format_is_refused_and_left_alone(store):
    store.write(RECORD, {})
    marker = store.root / "nidbench.json"
    marker.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ResultsError, match=r"newer nidbench .*pip install -U nidbench"):
        Store(store.root)
    assert json.loads(marker.read_text()) == {"format": FORMAT + 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 13, b"[]", b"null", b"{}", b'{"format": "x"}', b"\xff\xfe"])
def test_a_damaged_marker_is_refused_with_what_to_write(store, content):
    marker = store.root / "nidbench.json"
    marker.write_bytes(content)
    with pytest.raises(ResultsError, match="is damaged") as caught:
        Store(store.root)
    remedy = str(caught.value).partition("write ")[2].partition(" into")[0]
    marker.write_text(remedy)
    assert Store(store.root).root == store.root


def test_a_folder_that_is_none_of_results_is_refused_on_demand(tmp_path):
    with pytest.raises(ResultsError, match="holds no nidbench results"):
        Store(tmp_path, create=False)
    assert list(tmp_path.iterdir()) == []


def test_every_cut_of_a_record_is_seen_as_damage(store):
    store.write(RECORD, {})
    path = store.root / "cells" / CELL.id / "record.json"
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ResultsError, match="is damaged"):
            store.read(CELL.id)


@pytest.mark.parametrize(
    "content",
    [b"\0" * 4096, b"\xff\xfe\x00", b"null", b"3", b'"text"', b"[]", b"{}", b'{"format": null}', b'{"format": 1}'],
)
def test_whatever_else_is_no_record_is_seen_as_damage(store, content):
    store.write(RECORD, {})
    (store.root / "cells" / CELL.id / "record.json").write_bytes(content)
    with pytest.raises(ResultsError, match="is damaged"):
        store.read(CELL.id)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Record)])
def test_a_field_that_became_null_or_unknown_never_ends_in_a_traceback(store, name):
    store.write(RECORD, {})
    path = store.root / "cells" / CELL.id / "record.json"
    whole = json.loads(path.read_text())
    for content in ({**whole, name: None}, {**whole, name + "x": 1}):
        path.write_text(json.dumps(content))
        try:
            store.read(CELL.id)
        except ResultsError as error:
            assert "is damaged" in str(error)  # noqa: PT017 - a field may as well be read as it is


def test_a_damaged_record_is_set_aside_and_counts_as_missing(store):
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    path = store.root / "cells" / CELL.id / "record.json"
    path.write_text("{")
    kept = store.set_aside(CELL.id)
    assert kept.read_text() == "{"
    assert store.read(CELL.id) is None
    store.write(RECORD, {})
    assert same(store.whole(CELL.id), RECORD)
    assert kept.exists()


@pytest.mark.parametrize("kind", ["empty", "cut", "zeros", "text", "gone", "folder", "array"])
def test_damaged_arrays_are_refused(store, kind):
    store.write(RECORD, {"image": np.random.default_rng(0).random((1, 64, 64))})
    path = store.root / "cells" / CELL.id / "arrays.npz"
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind != "gone":
        path.write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "zeros": bytes(len(content)), "text": b"hello"}[kind]
        )
    with pytest.raises(ResultsError, match=r"arrays\.npz cannot be read"):
        store.arrays(CELL.id)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"), }", b"(( }"),  # which Python's tokenizer refuses
        (b"64), }", b"6e9, }"),
        (b"(1, 64, 64), }" + 20 * b" ", b"(1, 64, " + 22 * b"9" + b"), }"),  # more than an int64
        (b"(1, 64, 64), }" + 20 * b" ", b"(1, 64, " + 14 * b"9" + b"), }        "),  # more than any memory
        (b"'<f4'", b"'|O8'"),
    ],
)
def test_a_damaged_header_of_an_array_is_refused(store, before, after):
    store.write(RECORD, {"image": np.random.default_rng(0).random((1, 64, 64))})
    path = store.root / "cells" / CELL.id / "arrays.npz"
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after.ljust(len(before))))
    with pytest.raises(ResultsError, match=r"arrays\.npz cannot be read"):
        store.arrays(CELL.id)


def test_a_changed_byte_of_arrays_is_refused_or_changes_no_value(store):
    image = np.random.default_rng(0).random((1, 6, 6)).astype(np.float32)
    store.write(RECORD, {"image": image})
    path = store.root / "cells" / CELL.id / "arrays.npz"
    whole, refused = path.read_bytes(), 0
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0b0100_0001
        path.write_bytes(changed)
        try:
            found = store.arrays(CELL.id)
        except ResultsError:
            refused += 1
        else:
            assert all(np.array_equal(array, image) for array in found.values())
    assert refused > image.nbytes


def test_a_file_is_whole_or_as_before(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"first")
    path.with_name("folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        write_whole(path.with_name("folder"), b"second")  # a folder cannot be replaced by a file
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


KILLER = """
    import dataclasses, signal
    store, cells = Store(sys.argv[1]), [dataclasses.replace(cell, seed=seed) for seed in range(3)]

    def write():
        for number in range(10**9):
            image, which = np.full((1, 40, 40), number % 1000), cells[number % 3]
            record = Record(which.id, which, "done", iterations=number, stopped="x" * 100_000, kept=("draws",))
            store.write(record, {"image": image}, {"draws": image})

    def check():
        records = [record for record in (store.read(each.id) for each in cells) if record is not None]
        for record in records:
            assert len(record.stopped) == 100_000
            image, draws = (find(record.id) for find in (store.arrays, store.kept))
            after = store.read(record.id)  # may be replaced, never be gone
            if after.attempt == record.attempt:
                assert np.all(image["image"] == record.iterations % 1000)
                assert np.all(draws["draws"] == record.iterations % 1000)
        return records

    lost, seen, attempts = 0, 0, 0
    for kill in range(16):
        pid = os.fork()
        if pid == 0:
            try:
                with store.lock():
                    write()
            finally:
                os._exit(1)
        try:
            before = attempts
            while attempts < before + 3 + kill // 3:  # read beside the writer, then cut it off somewhere
                attempts = sum(record.attempt for record in check())
        finally:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL, "the writer failed by itself"
        left = len(check())
        lost, seen = lost + max(0, seen - left), left
    scraps = [path.name for path in store.root.rglob("*") if path.is_file()]
    with store.lock():
        tidied = [path.name for path in store.root.rglob("*") if path.is_file()]
    check()
    print(json.dumps({"lost": lost, "seen": seen, "scraps": len(scraps), "tidied": sorted(tidied)}))
"""


def test_a_writer_killed_at_any_moment_leaves_the_cell_before_or_after(store):
    found = json.loads(run(KILLER, store.root).stdout)
    assert (found["lost"], found["seen"]) == (0, 3)
    names = [name.partition(".")[0] for name in found["tidied"] if name != ".lock"]
    assert names == sorted(["nidbench", *3 * ["arrays", "kept", "log", "record"]])


REPLACER = """
    store = Store(sys.argv[1])
    print(flush=True)
    for number in range(int(sys.argv[2])):
        image = np.full((1, 4, 4), number)
        store.write(Record(cell.id, cell, "done", kept=("draws",)), {"image": image}, {"draws": image})
"""


def test_what_a_record_points_to_is_read_while_another_run_replaces_it(store):
    store.write(RECORD, {"image": np.zeros((1, 4, 4))}, {"draws": np.zeros((1, 4, 4))})
    command = [sys.executable, "-P", "-c", dedent(CELL_IN_FULL) + dedent(REPLACER), str(store.root), "40"]
    reads = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while process.poll() is None:
            assert store.arrays(CELL.id)["image"].shape == store.kept(CELL.id)["draws"].shape == (1, 4, 4)
            assert store.has_arrays(CELL.id)
            reads += 1
    assert process.returncode == 0
    assert reads > 0
    assert store.arrays(CELL.id)["image"].max() == 39


CUTTER = """
    import dataclasses, resource, signal
    from nidbench.records import Sweep
    store = Store(sys.argv[1])
    new, old = cell, dataclasses.replace(cell, seed=6)
    image = np.ones((1, 20, 100))
    store.write(Record(old.id, old, "failed"), {"image": image})
    store.write_sweep(Sweep("old", {}, []))

    def write():
        store.write(Record(new.id, new, "done", log=Log(details={"pad": "x" * 16000})), {"image": image})

    def replace_record():
        store.write(Record(old.id, old, "done", log=Log(details={"pad": "x" * 16000})), {"image": image * 2})

    def replace_sweep():
        store.write_sweep(Sweep("old", {"pad": "x" * 16000}, []))

    ends = {}
    for call in (write, replace_record, replace_sweep):
        for limit in range(0, 20000, 499):
            pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python ignores
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                call()
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            before = store.read(old.id)
            for name, value in ((new.id, 1), (old.id, before and 1 + (before.status == "done"))):
                record = store.read(name)
                assert record is None or np.all(store.arrays(name)["image"] == value)
            assert store.sweep("old").asked in ({}, {"pad": "x" * 16000})
            signalled = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ
            assert signalled or status == 0
            ends.setdefault(call.__name__, []).append(not signalled)
    print(json.dumps({name: [len(found), sum(found)] for name, found in ends.items()}))
"""


def test_a_writer_killed_after_any_number_of_bytes_leaves_whole_files(store):
    """The system itself ends the process in the middle of a write: at its limit of a file's size."""
    ends = json.loads(run(CUTTER, store.root).stdout)
    assert set(ends) == {"write", "replace_record", "replace_sweep"}
    for tried, finished in ends.values():
        assert 0 < finished < tried


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ResultsError, match="a file is in the way: give another --output"):
            Store(root)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_place_where_nothing_can_be_made_is_refused():
    with pytest.raises(ResultsError, match="cannot write to /proc/nidbench"):
        Store("/proc/nidbench")


def test_a_folder_without_permission_is_refused(store):
    """Also for root, who gives its rights up first."""
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    code = """
        if os.geteuid() == 0:
            os.setuid(65534)
        for call in (
            lambda: Store(sys.argv[1]),
            lambda: Store(sys.argv[1] + "/below"),
            lambda: Store(sys.argv[1], create=False),
        ):
            try:
                call()
            except ResultsError as error:
                print(error)
    """
    store.root.chmod(0)
    try:
        lines = run(code, store.root).stdout.splitlines()
    finally:
        store.root.chmod(0o755)
    assert len(lines) == 3
    assert all("permission is denied" in line and str(store.root) in line for line in lines)


USER = """
    def told(call):
        try:
            call()
        except ResultsError as error:
            print(error)
        else:
            print("nothing was refused")
    def enter():
        with store.lock():
            pass
"""


def test_a_read_only_folder_can_be_read_but_not_written(store, namespaces):
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    code = f"""{USER}
    store = Store(sys.argv[1])
    assert store.read(cell.id).status == "done"
    assert store.arrays(cell.id)["image"].shape == (1, 2, 2)
    told(lambda: store.write(Record("new", cell, "done"), {{}}))
    told(enter)
    told(lambda: store.set_aside(cell.id))
    told(lambda: Store(sys.argv[1] + "/below"))
    """
    mount = f'mount --bind "{store.root}" "{store.root}" && mount -o remount,bind,ro "{store.root}" && exec "$@"'
    done = run(code, store.root, under=(*namespaces, mount, "sh"))
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all("it is read-only: give another --output" in line for line in lines)
    assert same(store.whole(CELL.id), RECORD)


def test_a_full_disk_is_told_and_what_was_finished_is_kept(tmp_path, namespaces):
    disk = tmp_path / "disk"
    disk.mkdir()
    code = f"""{USER}
    import dataclasses
    store = Store(sys.argv[1])
    tiny, large, long, after = (dataclasses.replace(cell, seed=seed) for seed in range(4))
    small = {{"image": np.zeros((1, 8, 8))}}
    store.write(Record(tiny.id, tiny, "done"), small)
    work = store.work(large.id)
    work.mkdir(parents=True)
    (work / "checkpoint").write_text("state")
    told(lambda: store.write(Record(large.id, large, "done"), {{"image": np.zeros((1, 200, 200))}}))
    told(lambda: store.write(Record(long.id, long, "failed", log=Log(error="x" * 200_000)), {{}}))
    print(json.dumps({{
        "small": store.read(tiny.id).status,
        "arrays": store.arrays(tiny.id)["image"].shape,
        "large": store.read(large.id),
        "long": store.read(long.id),
        "work": (work / "checkpoint").read_text(),
        "scraps": [path.name for path in store.root.rglob("*partial*")],
    }}))
    store.write(Record(after.id, after, "done"), small)
    print(store.read(after.id).status)
    """
    mount = f'mount -t tmpfs -o size=64k tmpfs "{disk}" && exec "$@"'
    done = run(code, disk / "results", under=(*namespaces, mount, "sh"))
    first, second, state, after = done.stdout.splitlines()
    for line in (first, second):
        assert "the disk is full: free some space, then run the same command again" in line
    assert json.loads(state) == {
        "small": "done",
        "arrays": [1, 8, 8],
        "large": None,
        "long": None,
        "work": "state",
        "scraps": [],
    }
    assert after == "done"


def test_a_second_run_is_refused_naming_the_process_of_the_first(store):
    code = """
        with Store(sys.argv[1]).lock():
            print("inside", flush=True)
            sys.stdin.read()
    """
    command = [sys.executable, "-P", "-c", dedent(CELL_IN_FULL) + dedent(code), str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"inside\n"
        for _ in range(2):  # being refused leaves the name of the first in place
            with (
                pytest.raises(ResultsError, match=rf"another run \(process {first.pid} on .*\) is writing to"),
                store.lock(),
            ):
                pass
        first.kill()
        first.wait()
    with store.lock():  # a killed process holds nothing
        assert (store.root / ".lock").read_text().startswith(f"{os.getpid()} on ")
    with store.lock():
        pass


WITHOUT_FLOCK = """
    import ctypes, errno, fcntl, struct, sys
    # the kernel itself refuses flock to this process and to what it starts: a seccomp filter of four instructions
    number = {"x86_64": 73, "aarch64": 32}[os.uname().machine]
    refused = getattr(errno, sys.argv.pop(1))
    load, compare = (0x20, 0, 0, 0), (0x15, 0, 1, number)
    refuse, allow = (6, 0, 0, 0x50000 | refused), (6, 0, 0, 0x7FFF0000)
    program = struct.pack("HBBI" * 4, *load, *compare, *refuse, *allow)
    held = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)
    libc.prctl(22, 2, ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(held))))
"""


@pytest.fixture(scope="session")
def without_flock(tmp_path_factory):
    """Start Python where `flock` ends with an error of a name, the first argument."""
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the numbers of system calls are not known here")
    file = tmp_path_factory.mktemp("lock") / "file"
    probe = """
        try:
            fcntl.flock(open(sys.argv[1], "w"), fcntl.LOCK_EX)
        except OSError as error:
            print(errno.errorcode[error.errno])
    """

    def command(code):
        return [sys.executable, "-P", "-c", dedent(CELL_IN_FULL) + dedent(WITHOUT_FLOCK) + dedent(code)]

    done = subprocess.run([*command(probe), "ENOLCK", str(file)], capture_output=True, text=True, check=False)
    if done.stdout != "ENOLCK\n":
        pytest.skip(f"this system lets no test refuse a system call: {done.stderr}")
    return command


HOLDING = """
    store = Store(sys.argv[1])
    try:
        with store.lock():
            print("inside", flush=True)
            sys.stdin.read()
    except ResultsError as error:
        print(error)
"""


@pytest.mark.parametrize("name", ["ENOLCK", "ENOSYS"])
def test_a_file_stands_for_a_lock_that_the_file_system_does_not_know(store, without_flock, name):
    command = [*without_flock(HOLDING), name, str(store.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"inside\n"
        second = subprocess.run(command, capture_output=True, text=True, check=True)
        assert f"another run (process {first.pid} on " in second.stdout
        assert "wait for it" in second.stdout
        (store.root / f".record.json.{place()}.{first.pid}.partial").touch()  # of a live process: it stays
        first.kill()
        first.wait()
    third = subprocess.run(command, capture_output=True, text=True, check=True, input="")
    assert third.stdout == "inside\n", third.stdout  # a killed process holds nothing
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "nidbench.json"]


def test_the_lock_of_another_machine_is_refused_with_what_to_delete(store, without_flock):
    command = [*without_flock(HOLDING), "ENOLCK", str(store.root)]
    holder = store.root / ".lock.holder"
    for content in ('{"pid": 7, "host": "node7", "place": "0badcafe", "started": ""}', "", "{"):
        holder.write_text(content)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert f"if no such run is there any more, delete {holder}" in done.stdout
        assert ("process 7 on node7" in done.stdout) == ("node7" in content)
    holder.unlink()
    assert subprocess.run(command, capture_output=True, text=True, check=True, input="").stdout == "inside\n"


def test_a_process_that_has_the_number_of_a_killed_one_holds_nothing(store, without_flock):
    mine = {"pid": os.getpid(), "host": "here", "place": place()}
    command = [*without_flock(HOLDING), "ENOLCK", str(store.root)]
    holder = store.root / ".lock.holder"
    holder.write_text(json.dumps({**mine, "started": start(os.getpid())}))
    assert f"process {os.getpid()} on here" in subprocess.run(command, capture_output=True, text=True).stdout
    if start(os.getpid()):
        holder.write_text(json.dumps({**mine, "started": "1"}))
        assert subprocess.run(command, capture_output=True, text=True, input="").stdout == "inside\n"


def test_what_killed_writers_left_goes_with_the_next_run(store):
    store.write(RECORD, {"image": np.zeros((1, 2, 2))})
    cell, work = store.root / "cells" / CELL.id, store.work("1234")
    work.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    live, dead = f"{place()}.{os.getpid()}.partial", f"{place()}.{gone.pid}.partial"
    old, other = work / ".checkpoint.0badcafe.7.partial", cell / ".record.json.0badcafe.7.partial"
    left = [cell / f".record.json.{dead}", cell / "arrays.2.npz", work / "checkpoint.partial", old]
    stays = [cell / f".record.json.{live}", cell / "arrays.npz", cell / "record.json", other, work / "checkpoint"]
    for path in (*left, *stays):
        path.touch()
    os.utime(old, (1, 1))
    with store.lock():
        assert all(path.exists() for path in left)  # the one before had left properly
    (store.root / ".lock").write_text("4711")
    with store.lock():
        assert [path for path in left if path.exists()] == []
        assert [path for path in stays if not path.exists()] == []


def test_a_folder_that_was_deleted_is_not_made_anew_in_part(store):
    store.write(RECORD, {})
    shutil.rmtree(store.root)
    for call in (lambda: store.write(RECORD, {}), lambda: store.update(RECORD), store.lock().__enter__):
        with pytest.raises(ResultsError, match="deleted or moved while this command was running"):
            call()
    assert not store.root.exists()


def test_odd_files_among_sweeps_are_no_sweeps(store):
    store.write_sweep(Sweep("one", {}, []))
    folder = store.root / "sweeps"
    (folder / "folder.json").mkdir()
    (folder / "nothing.json").symlink_to("nowhere")
    (folder / "loop.json").symlink_to("loop.json")
    (folder / ".hidden.json").touch()
    assert store.sweep_names() == ["one"]
    for name in ("folder", "loop", "a" * 300, "nul\0", "../../etc/passwd", "."):
        with pytest.raises(ResultsError):
            store.sweep(name)


def test_a_signal_waits_until_a_file_is_whole(tmp_path):
    """Sent by the process to itself amid the writing; the file is there, and the signal is not lost."""
    code = """
        import signal
        from nidbench.system.signals import heeded, shielded
        from nidbench.system.whole_files import write_whole
        told, path = [], Path(sys.argv[1])
        with heeded():
            for times in (1, 2):
                try:
                    with shielded():
                        for _ in range(times):
                            os.kill(os.getpid(), signal.SIGTERM)
                        write_whole(path / str(times), b"whole")
                    told.append("lost")
                except KeyboardInterrupt as stop:
                    told.append(str(stop))
        print(json.dumps([told, sorted(each.name for each in path.iterdir())]))
    """
    assert json.loads(run("from pathlib import Path\n" + dedent(code), tmp_path).stdout) == [["SIGTERM"] * 2, ["1"]]


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EIO, "Input/output")],
)
def test_what_the_system_refuses_is_put_in_words(code, remedy):
    with pytest.raises(ResultsError, match=f"cannot write to here: .*{remedy}"), results_errors("here"):
        raise OSError(code, os.strerror(code))


def test_a_results_folder_that_is_a_link_to_nothing_is_told_as_that(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(ResultsError, match="it is a link to nowhere, which is not there: make or mount that, or give"):
        Store(tmp_path / "link")


def test_an_output_that_is_not_in_the_results_folder_is_refused_with_its_own_option():
    """Somebody who may only read a results folder has it nowhere else: `--output` would name an empty one."""
    said = "cannot write to here: permission is denied: give another --file, or change"
    with pytest.raises(ResultsError, match=said), results_errors("here", "another --file"):
        raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("folder", ["/proc/x", "/proc/x/y"])
def test_a_folder_that_cannot_be_made_was_not_deleted(folder):
    with pytest.raises(ResultsError, match=f"cannot write to {folder}: no folder can be made there"):
        Store(folder)


def test_the_hash_of_an_array_is_of_type_shape_and_values():
    array = np.arange(6.0).reshape(2, 3)
    assert array_hash(array) == sha256(b"<f8(2, 3)" + array.tobytes()).hexdigest()
    assert array_hash(array) == array_hash(np.asfortranarray(array))
    others = [array.astype(np.float32), array.reshape(3, 2), array + 1e-12, array[None], -array]
    assert len({array_hash(each) for each in (array, *others)}) == 6


def test_what_was_kept_is_read_as_it_was_and_goes_with_its_record(store):
    record = dataclasses.replace(RECORD, kept=("draws", "layers"))
    arrays = {"draws": np.ones((5, 1, 2, 3), np.float16), "layer 01": np.full((2, 2, 2), 1e-9, np.float32)}
    store.write(record, {"image": np.zeros((1, 2, 3))}, arrays)
    found = store.kept(CELL.id)
    assert {name: (each.dtype, each.tobytes()) for name, each in found.items()} == {
        name: (each.dtype, each.tobytes()) for name, each in arrays.items()
    }
    assert list(store.arrays(CELL.id)) == ["image"]
    assert store.holds(record, ["draws"])
    assert store.holds(record, [])
    assert not store.holds(dataclasses.replace(record, kept=("draws",)), ["draws", "layers"])
    store.write(record, {})
    assert not store.holds(store.read(CELL.id), ["draws"])
    assert store.holds(store.read(CELL.id), [])
    with pytest.raises(ResultsError, match=r"kept\.2\.npz cannot be read"):
        store.kept(CELL.id)


def test_a_record_from_before_there_were_measures_is_read():
    content = json.loads(RECORD.to_json())
    del content["measures"], content["kept"]
    found = Record.from_json(json.dumps(content))
    assert (found.measures, found.kept) == ({}, ())
