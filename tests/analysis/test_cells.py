"""A sweep is read once for all frames, and what cannot be read costs no other cell."""

from collections import Counter

import pandas as pd
import pytest
from click.testing import CliRunner
from frames import cells_frame

from nidbench.analysis.cells import SweepCells
from nidbench.api.outputs import write_comparison, write_tables
from nidbench.cli import main
from nidbench.errors import UnknownNameError
from nidbench.records import Store, Sweep
from nidbench.registry.fingerprint import fingerprint
from nidbench.scoring.score import Score


@pytest.fixture
def reads(monkeypatch):
    """How many times each record's file is read, by its folder."""
    counts, read = Counter(), Store._read
    monkeypatch.setattr(Store, "_read", lambda self, cell_id: counts.update([cell_id]) or read(self, cell_id))
    return counts


@pytest.fixture
def swept(make_record, make_store):
    """A sweep that has cells under two protocols of a table of the paper, so that comparing takes two frames."""
    scores = {"half-kernel": Score(20.0, 0.5), "anger": Score(28.0, 0.9), "cut-30": Score(21.0, 0.6)}
    records = [
        make_record(method, image, dataset=dataset, kernel=kernel, noise="measured", scores=scores)
        for method in ("ours", "dip", "fdn")
        for image in ("1", "2", "3")
        for dataset, kernel in (("anger", "anger/1"), ("lai-saturated", "lai/1"))
    ]
    return make_store(*records, preset="paper")


@pytest.mark.parametrize(
    "command",
    [
        ("table",),
        ("table", "--protocol", "cut-30", "--format", "html"),
        ("differences",),
        ("differences", "--format", "csv"),
        ("ranks",),
        ("ranks", "--format", "latex"),
        ("orders", "--paper", "table5"),
        ("compare", "--paper", "table5"),
        ("compare", "--paper", "table5", "--anchor", "fdn", "--format", "html"),
    ],
    ids=" ".join,
)
def test_a_command_reads_each_record_once(swept, reads, command):
    store, sweep = swept
    result = CliRunner().invoke(main, [*command, "--output", str(store.root)])
    assert result.exit_code == 0, result.output
    assert reads == dict.fromkeys((planned.id for planned in sweep.cells), 1)


def test_the_tables_of_a_run_are_made_from_one_reading(swept, reads):
    store, sweep = swept
    sweep_cells = SweepCells.read(store, sweep)
    files = [*write_tables(store, sweep_cells, "half-kernel").values()]
    files += write_comparison(store, sweep_cells, "table5", "").values()
    assert len({file.read_text() for file in files}) == 8
    assert reads == dict.fromkeys((planned.id for planned in sweep.cells), 1)


def test_frames_of_a_sweep_that_was_read_are_those_of_its_records(swept, reads):
    store, sweep = swept
    sweep_cells = SweepCells.read(store, sweep)
    for protocol in ("half-kernel", "cut-30"):
        frame = sweep_cells.frame(protocol)
        frame["psnr"] -= 1.0  # whoever has one may change it
        frame = sweep_cells.frame(protocol)
        pd.testing.assert_frame_equal(frame, cells_frame(Store(store.root), sweep, protocol))  # of another reading
    assert set(frame["psnr"]) == {21.0}
    assert set(reads.values()) == {3}  # for all frames of one reading, and for each other reading


def test_a_cell_under_two_labels_is_read_once(make_record, make_store, reads):
    store, sweep = make_store(make_record("ours"))
    twice = Sweep("twice", {}, [*sweep.cells, *sweep.cells])
    reads.clear()
    assert list(SweepCells.read(store, twice).frame()["psnr"]) == [26.0, 26.0]
    assert list(reads.values()) == [1]


def test_a_record_that_cannot_be_read_costs_no_other(make_record, make_store):
    ours, dip, fid = records = [make_record(method) for method in ("ours", "dip", "fid")]
    store, sweep = make_store(*records)
    (store.root / "cells" / ours.id / "record.json").write_text("{")
    (store.root / "cells" / dip.id / "record.json").unlink()
    sweep_cells = SweepCells.read(store, sweep)
    assert [cell.record and cell.record.id for cell in sweep_cells.cells] == [None, None, fid.id]
    assert [bool(cell.fault) for cell in sweep_cells.cells] == [True, False, False]
    frame = sweep_cells.frame()
    assert list(frame["status"]) == ["corrupt", "missing", "done"]
    assert "is damaged" in frame["error"].iloc[0]


def test_no_such_protocol_is_refused(make_record, make_store):
    with pytest.raises(UnknownNameError, match="half-kernel"):
        cells_frame(*make_store(make_record()), "half")


def test_cells_of_a_method_file_that_was_edited_are_old(make_record, make_store, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("raise RuntimeError('imported')\nx = 1\n")
    records = [make_record("mine", source=fingerprint(str(file))), make_record("ours", source="0" * 16)]
    store, sweep = make_store(*records)
    sweep = Sweep("mine", {"method_file": str(file)}, sweep.cells)
    assert list(cells_frame(store, sweep)["old"]) == ["", ""]
    file.write_text("raise RuntimeError('imported')\nx = 1  # a comment\n")
    assert list(cells_frame(store, sweep)["old"]) == ["", ""]
    file.write_text("raise RuntimeError('imported')\nx = 2\n")
    assert list(cells_frame(store, sweep)["old"]) == ["an edited method file", ""]
    file.unlink()
    assert list(cells_frame(store, sweep)["old"]) == ["", ""]
