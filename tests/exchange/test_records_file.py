"""Records alone, one a line: what people publish beside a table becomes tables again, to the digit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from nidbench.methods.tv import TV

from nidbench.api.exchanging import merge, pack
from nidbench.api.results import open_results
from nidbench.cli import main
from nidbench.errors import ConflictError, InputError, PackError, ResultsError
from nidbench.records import FROM_FILES, Store, as_line, read_records
from nidbench.registry.method_spec import all_settings
from nidbench.sweep.recorded import sweep_of_records

#: What tables and statistics are made of.
NUMBERS = ["label", "preset", "image", "kernel", "noise", "status", "psnr", "ssim", "oracle_psnr", "seconds"]


def invoke(*arguments):
    shown = CliRunner().invoke(main, [str(each) for each in arguments])
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A results folder with a sweep of two methods on two images."""
    folder = tmp_path_factory.mktemp("computed")
    call = ["--methods", "tv,dip@smoke", "--dataset", "sample", "--name", "mine", "--threads", "1", "--output", folder]
    invoke("run", *call, "--precision", "float32", "--tracking", "none", "--no-pictures", "--observe", "1")
    return folder


def test_what_is_packed_as_records_makes_the_same_tables_elsewhere(computed, tmp_path):
    packed = pack("mine", tmp_path / "theirs.jsonl", output=computed)
    assert "no restorations" in "\n".join(packed.lines())
    merge(tmp_path / "theirs.jsonl", output=tmp_path / "here")
    there, here = (open_results(folder)[name] for folder, name in ((computed, "mine"), (tmp_path / "here", "theirs")))
    pd.testing.assert_frame_equal(here.cells[NUMBERS], there.cells[NUMBERS])
    pd.testing.assert_frame_equal(here.differences_from("tv"), there.differences_from("tv"))
    assert here.table("csv") == there.table("csv")
    again = pack("theirs", tmp_path / "again.jsonl", output=tmp_path / "here").file
    assert again.read_bytes() == (tmp_path / "theirs.jsonl").read_bytes()


def test_a_line_is_the_record_as_its_folder_has_it(computed, tmp_path):
    pack("mine", tmp_path / "mine.jsonl", output=computed)
    lines = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [planned.id for planned in Store(computed).sweep("mine").cells]
    assert lines == [json.loads((computed / "cells" / line["id"] / "record.json").read_text()) for line in lines]


@pytest.mark.parametrize(
    ("file", "name", "sweep"),
    [("theirs.jsonl", "", "theirs"), ("lab-b/records.jsonl", "", "lab-b"), ("theirs.jsonl", "of-b", "of-b")],
)
def test_the_sweep_is_called_after_its_file_or_its_folder_or_as_asked(computed, tmp_path, file, name, sweep):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    pack("mine", tmp_path / file, output=computed)
    given = (tmp_path / file).parent if file.endswith("records.jsonl") else tmp_path / file
    invoke("merge", given, *(("--name", name) if name else ()), "--output", tmp_path / "here")
    assert list(open_results(tmp_path / "here")) == [sweep]
    assert "tv" in invoke("table", sweep, "--output", tmp_path / "here")
    page = invoke("report", sweep, "--no-pictures", "--output", tmp_path / "here").strip()
    assert "It has cells of a file of records" in Path(page).read_text()


def test_a_sweep_computed_here_and_published_records_are_one_table(computed, tmp_path):
    file = tmp_path / "theirs.jsonl"
    file.write_text("".join(as_line(record) + "\n" for record in of_method(computed, "dip")))
    invoke("merge", file, "--output", tmp_path / "here")
    call = ("--methods", "wiener", "--dataset", "sample", "--name", "own", "--threads", "1", "--tracking", "none")
    invoke("run", *call, "--no-pictures", "--precision", "float32", "--output", tmp_path / "here")
    found = open_results(tmp_path / "here")["own+theirs"].differences_from("dip@smoke")
    assert (found["method"].tolist(), found["pairs"].tolist()) == (["wiener"], [2])


def of_method(folder, method):
    return [record for record in records_of(folder) if record.cell.method == method]


def records_of(folder):
    store = Store(folder)
    return [store.read(planned.id) for planned in store.sweep("mine").cells]


def test_what_is_there_already_stays_and_another_result_of_it_is_a_conflict(computed, tmp_path):
    file, record = tmp_path / "theirs.jsonl", of_method(computed, "tv")[0]
    file.write_text(as_line(record) + "\n")
    assert [set(merge(file, output=tmp_path / "here").fates.values()) for _ in range(2)] == [{"new"}, {"there"}]
    file.write_text(as_line(replace(record, iterations=record.iterations + 1)) + "\n")
    with pytest.raises(ConflictError, match=r": iterations\nnothing was written"):
        merge(file, output=tmp_path / "here")
    assert merge(file, keep_mine=True, output=tmp_path / "here").count("preferred") == 1


def test_a_file_that_is_none_of_records_is_refused_and_nothing_is_written(computed, tmp_path):
    good, file = as_line(records_of(computed)[0]), tmp_path / "theirs.jsonl"
    edited = json.dumps({**json.loads(good), "cell": {**json.loads(good)["cell"], "seed": 7}})
    for content, words in (("", "no record"), ("{", "line 1"), (f"{good}\n{edited}\n", "line 2 .* was edited")):
        file.write_text(content)
        with pytest.raises((ResultsError, PackError), match=words):
            merge(file, output=tmp_path / "here")
    with pytest.raises(ResultsError, match="cannot be read"):
        merge(tmp_path / "gone.jsonl", output=tmp_path / "here")
    file.write_text(f"{good}\n" * 100)
    with pytest.raises(PackError, match="--most"):
        merge(file, most="1K", output=tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_name_is_for_files_of_records_and_has_to_be_one(computed, tmp_path):
    pack("mine", tmp_path / "mine.zip", output=computed)
    with pytest.raises(InputError, match="names its sweeps itself"):
        merge(tmp_path / "mine.zip", name="other", output=tmp_path / "here")
    pack("mine", tmp_path / "my records.jsonl", output=computed)
    with pytest.raises(PackError, match="--name"):
        merge(tmp_path / "my records.jsonl", output=tmp_path / "here")
    with pytest.raises(InputError, match="sweep name 'a b'"):
        merge(tmp_path / "my records.jsonl", name="a b", output=tmp_path / "here")


def test_a_method_computed_twice_on_a_measurement_is_refused_in_words(computed):
    (record, *_) = of_method(computed, "tv")
    other = replace(record, cell=replace(record.cell, precision="bf16"))
    with pytest.raises(ResultsError, match=r"tv on sample/.* is there twice, by version \d in float32.* in bf16"):
        sweep_of_records("mine", [record, replace(other, id=other.cell.id)])


def test_restorations_that_came_as_files_stay_what_they_are(make_record):
    record = make_record()
    cell = replace(record.cell, method="theirs", settings={"scored": "from files"}, precision="", device="")
    (planned,) = sweep_of_records("mine", [replace(record, cell=cell, id=cell.id)]).cells
    assert (planned.label, planned.source, planned.note, planned.preset) == ("theirs", "files", FROM_FILES, "")


def test_settings_name_the_preset_and_a_trial_is_one_only_where_it_is_nothing_else(make_record):
    record = make_record()
    settings = all_settings(TV())
    cell = replace(record.cell, method="tv", settings=settings)
    (planned,) = sweep_of_records("mine", [replace(record, cell=cell, id=cell.id)]).cells
    assert planned.label == "tv"


def test_the_latest_record_of_a_cell_counts(computed, tmp_path):
    record = records_of(computed)[0]
    later = replace(record, finished=f"9{record.finished[1:]}", threads=3)
    file = tmp_path / "two.jsonl"
    file.write_text(f"{as_line(later)}\n{as_line(record)}\n")
    assert [each.threads for each in read_records([file])] == [3]
