"""Results from Python beside the records and the tables of the command line."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import nidbench as nb
from nidbench.cli import main
from nidbench.errors import InputError, ResultsError, UnknownNameError

FAULTY = Path(__file__).parents[1] / "resources" / "faulty.py"
QUESTION = {"methods": "tv,wiener", "dataset": "sample", "threads": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def results(folder):
    return nb.run(**QUESTION, output=folder, progress=False)


def test_python_and_command_line_ask_the_same_question(results, folder):
    """The same sweep, nothing left to compute, the same table."""
    arguments = ["run", "--methods", "tv,wiener", "--dataset", "sample", "--output", str(folder), "--threads", "1"]
    shown = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.count("there") == len(results.cells) == 4
    assert "to compute" not in shown.output
    for form in ("md", "csv", "latex", "html"):
        printed = CliRunner().invoke(main, ["table", results.name, "--format", form, "--output", str(folder)])
        assert printed.output.rstrip("\n") == results.table(form).rstrip("\n")
    beside = CliRunner().invoke(main, ["table", results.name, "--against", "tv", "--output", str(folder)])
    assert beside.output.rstrip("\n") == results.table(against="tv").rstrip("\n") != results.table().rstrip("\n")
    refused = CliRunner().invoke(
        main, ["table", results.name, "--by-image", "--against", "tv", "--output", str(folder)]
    )
    assert "leave it out for --against and --paper" in refused.output


def test_the_report_of_python_is_that_of_the_command_line(results, folder, tmp_path):
    page = results.report(tmp_path / "page.html")
    call = ["report", results.name, "-o", str(tmp_path / "other.html"), "--output", str(folder)]
    assert CliRunner().invoke(main, call).exit_code == 0
    assert page.read_bytes() == (tmp_path / "other.html").read_bytes()
    assert results.report(folder=tmp_path / "pages").name == "index.html"
    (tmp_path / "notes.html").write_text("mine")
    with pytest.raises(InputError, match="is no report of nidbench"):
        results.report(tmp_path / "notes.html")
    assert results.report().parent == folder / "reports"


def test_a_sweep_that_takes_the_place_of_a_larger_one_says_so(tmp_path):
    """What was computed stays; a merged sweep, which the command of one lab does not make again, stays as it is."""
    few = {**QUESTION, "name": "part", "output": tmp_path, "progress": False}
    store = nb.run(**few).store
    with pytest.warns(UserWarning, match="the tables of part no longer show 2 cells that are not asked for now"):
        assert len(nb.run(**few | {"methods": "tv"}).cells) == 2
    assert len(nb.run(**few).cells) == 4
    merged = store.sweep("part")
    store.write_sweep(replace(merged, asked={**merged.asked, "merged": True}))
    arguments = ["run", "--methods", "tv", "--dataset", "sample", "--name", "part", "--output", str(tmp_path)]
    refused = CliRunner().invoke(main, arguments)
    assert refused.exit_code == 2
    assert "sweep part was merged with another folder's" in refused.output
    assert len(store.sweep("part").cells) == 4


def test_frames_hold_what_the_records_say(results):
    records = [results.store.read(cell_id) for cell_id in results.cells["id"]]
    assert results.complete
    assert results.failures.empty
    assert results.cells["psnr"].tolist() == [record.scores["half-kernel"].psnr for record in records]
    tv = results.cells[results.cells["label"] == "tv"]["psnr"].mean()
    summary = results.summary.set_index("method")
    assert summary.loc["tv", "psnr"] == pytest.approx(tv)
    assert set(results.differences["method"]) == {"wiener"}
    assert results.differences_from("wiener")["difference"].iloc[0] == pytest.approx(
        -results.differences["difference"].iloc[0]
    )


def test_other_protocols_are_other_numbers(results):
    assert results.under("uncropped").cells["psnr"].tolist() != results.cells["psnr"].tolist()


def test_a_restoration_by_row_and_by_id(results):
    row = results.cells.iloc[0]
    found, again = results.restoration(row), results.restoration(row["id"])
    assert found.image.tobytes() == again.image.tobytes()
    assert found.record.log is not None
    assert found.variance is None
    with pytest.raises(UnknownNameError, match="unknown cell"):
        results.restoration("nothing")


def test_what_a_notebook_shows_is_the_table(results):
    html = results._repr_html_()
    assert "<table" in html
    assert "tv" in html
    assert repr(results).endswith("4 cells (4 done)>")


def test_a_folder_is_a_mapping_of_its_sweeps(results, folder):
    opened = nb.open_results(folder)
    assert list(opened) == [results.name] == [opened.latest.name]
    assert len(opened) == 1
    assert results.name in opened
    pd.testing.assert_frame_equal(opened[results.name].cells, results.cells)
    assert results.name in repr(opened)
    with pytest.raises(ResultsError, match=r"^no sweep 'nope'"):
        opened["nope"]
    assert opened.get("nope") is None
    assert "nope" not in opened


def test_sweeps_shown_as_one_are_in_their_folder(results, folder):
    opened, both = nb.open_results(folder), f"{results.name}+{results.name}"
    assert both in opened
    assert opened.get(both).cells["id"].tolist() == results.cells["id"].tolist()
    assert f"{results.name}+nope" not in opened


def test_no_folder_and_no_sweep_are_errors(tmp_path):
    with pytest.raises(ResultsError):
        nb.open_results(tmp_path / "nothing")


def test_failures_are_rows_with_a_reason(tmp_path):
    results = nb.run(
        "faulty[mode=raise]",
        "sample",
        images="camera",
        method_file=FAULTY,
        output=tmp_path,
        threads=1,
        checkpoint_every=0,
        progress=False,
    )
    assert not results.complete
    (row,) = results.failures.to_dict("records")
    assert row["status"] == "failed"
    assert row["error"]
    with pytest.raises(ResultsError, match="ended as failed"):
        results.restoration(row["id"])


def test_what_is_missing_in_the_question_is_said(tmp_path):
    with pytest.raises(InputError, match="give methods and dataset"):
        nb.run(output=tmp_path)
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('methods = ["wiener"]\ndataset = "sample"\n')
    with pytest.raises(InputError, match="stand in the file"):
        nb.run("tv", "sample", config=sweep, output=tmp_path)
    results = nb.run(config=sweep, output=tmp_path / "out", threads=1, progress=False, name="mine")
    assert results.name == "mine"
    assert set(results.cells["label"]) == {"wiener"}


def test_progress_is_shown_or_not(tmp_path, capsys):
    nb.run("wiener", "sample", images="camera", output=tmp_path, threads=1, progress=False)
    assert capsys.readouterr().out == ""
    nb.run("tv", "sample", images="camera", output=tmp_path, threads=1)
    assert "[1/1] tv" in capsys.readouterr().out


def test_signals_are_as_they_were_and_threads_may_run(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    nb.run("wiener", "sample", images="camera", output=tmp_path, threads=1, progress=False)
    assert signal.getsignal(signal.SIGINT) is before
    found = []
    thread = threading.Thread(
        target=lambda: found.append(nb.run("tv", "sample", output=tmp_path, threads=1, progress=False).complete)
    )
    thread.start()
    thread.join()
    assert found == [True]


CODE = """
import os, signal, sys
import nidbench as nb
before = signal.getsignal(signal.SIGINT)
def stop(self, point): os.kill(os.getpid(), signal.SIGINT)
from nidbench.api.progress import _CellBar
_CellBar.observed = stop
question = dict(methods="dip[iterations=160]", dataset="sample", images="camera", observe=5, threads=1)
question |= dict(output=sys.argv[1], progress=False, crop=48)
try:
    nb.run(**question)
except KeyboardInterrupt as error:
    print("stopped", error)
assert signal.getsignal(signal.SIGINT) is before
_CellBar.observed = lambda self, point: None
again = nb.run(**question)
print(again.complete, again.cells["iterations"].astype(int).tolist())
"""


def test_an_interrupted_run_goes_on(tmp_path):
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout.splitlines() == [
        "stopped SIGINT: what was finished is kept, run it again to go on",
        "True [160]",
    ]
