"""The command line as a person meets it: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from nidbench.datasets.sample import Sample
from PIL import Image

from nidbench.cli import main
from nidbench.paper.conditions import Condition, Table
from nidbench.paper.tables import TABLES
from nidbench.records import Choices, Store
from nidbench.registry.entry_points import Registry

FAULTY = Path(__file__).parents[1] / "resources" / "faulty.py"
HOW = ["--tracking", "none", "--no-pictures", "--in-process", "--precision", "float32", "--device", "cpu"]
RUN = ["run", "--dataset", "sample", *HOW]


def call(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit), result.exc_info
    return result


def refused(*arguments: str | Path) -> str:
    """Return the message of a call that must be refused: exit code 2, no traceback."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_a_run_prints_its_table_and_where_everything_is(tmp_path):
    out = tmp_path / "out"
    result = call(*RUN, "--methods", "wiener", "--output", out)
    assert result.exit_code == 0, result.output
    for word in ("input", "wiener", "half-kernel", "2/2", str(out / "cells")):
        assert word in result.output
    (csv,) = (out / "tables").glob("*.csv")
    frame = pd.read_csv(csv)
    row = frame[frame["method"] == "wiener"].iloc[0]
    assert f"{row['psnr']:.2f}" in result.output
    again = call(*RUN, "--methods", "wiener", "--output", out)
    assert "2 cells are there already" in again.output


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_characters_ends_no_command(encoding, tmp_path):
    runner = CliRunner(charset=encoding)
    out = ["--output", str(tmp_path / "out")]
    done = runner.invoke(main, [*RUN, "--methods", "wiener", "--name", "n\u0142", *out])
    assert done.exit_code == 0, done.exc_info
    assert "n\\u0142.{md" in done.output
    table = runner.invoke(main, ["table", *out])
    assert table.exit_code == 0, table.exc_info
    assert "wiener" in table.stdout_bytes.decode(errors="replace")


def test_files_are_read_as_they_are_written_in_a_locale_without_utf8(tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-P", "-m", "nidbench", *RUN, "--methods", "wiener", "--output", tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "half-kernel" in done.stdout.decode(errors="replace")


def test_the_table_command_repeats_the_latest_sweep_in_every_format(tmp_path):
    call(*RUN, "--methods", "wiener", "--output", tmp_path)
    for form, mark in (("md", "| wiener"), ("csv", "wiener"), ("latex", r"\toprule"), ("html", "<table")):
        assert mark in call("table", "--format", form, "--output", tmp_path).output
    other = call("table", "--protocol", "uncropped", "--output", tmp_path)
    assert "uncropped" in other.output


def test_differences_are_those_of_the_table(tmp_path):
    call(*RUN, "--methods", "wiener,wiener[weight=0.1]", "--output", tmp_path)
    (csv,) = (tmp_path / "tables").glob("*.csv")
    psnr = pd.read_csv(csv).set_index("method")["psnr"]
    again = pd.read_csv(io.StringIO(call("differences", "--format", "csv", "--output", tmp_path).output))
    assert again["method"].tolist() == ["wiener[weight=0.1]"]
    assert again["difference"][0] == pytest.approx(psnr["wiener[weight=0.1]"] - psnr["wiener"])
    turned = ("differences", "--against", "wiener[weight=0.1]", "--protocol", "uncropped", "--output", tmp_path)
    text = call(*turned).output
    assert "to wiener[weight=0.1], paired by measurement, under the protocol uncropped" in text
    assert "Fewer than 3 images give no interval" in text
    for form, mark in (("latex", r"\toprule"), ("html", "<table")):
        assert mark in call(*turned, "--format", form).output
    assert "did you mean wiener" in refused("differences", "--against", "winer", "--output", tmp_path)
    call(*RUN, "--methods", "wiener", "--output", tmp_path, "--name", "lone")
    assert "differences need two" in refused("differences", "lone", "--output", tmp_path)
    assert "no table of the paper has sample" in refused("orders", "--output", tmp_path)
    assert "table2 has no two methods" in refused("orders", "--paper", "table2", "--output", tmp_path)
    assert "did you mean table2" in refused("orders", "--paper", "tabel2", "--output", tmp_path)


def test_a_dry_run_computes_nothing(tmp_path):
    result = call(*RUN, "--methods", "wiener", "--output", tmp_path, "--dry-run")
    assert result.exit_code == 0
    assert result.output.count("to compute") >= 2
    assert not (tmp_path / "cells").exists()
    call(*RUN, "--methods", "wiener", "--output", tmp_path / "new", "--dry-run")
    assert not (tmp_path / "new").exists()


def test_how_cells_are_computed_is_said_at_the_start_and_stays(tmp_path):
    own = ("--methods", "wiener", "--output", tmp_path, "--name", "s")
    assert "s: 2 cells to compute on cpu, float32, 3 threads, about" in call(*RUN, *own, "--threads", "3").output
    assert Store(tmp_path).sweep("s").choices == Choices("cpu", "float32", 3)
    more = call(*RUN, *own, "--seeds", "0-1")
    assert "s: 2 cells to compute on cpu, float32, 3 threads, about" in more.output
    other = call(*RUN, *own, "--seeds", "0-2", "--threads", "1").output
    assert "threads 1, where s has 3: what is finished stays" in other
    assert "s: 2 cells to compute on cpu, float32, 1 thread, about" in other
    store = Store(tmp_path)
    assert sorted(store.read(cell.id).threads for cell in store.sweep("s").cells) == [1, 1, 3, 3, 3, 3]


def test_a_refused_call_leaves_no_folder_behind(tmp_path):
    refused(*RUN, "--methods", "winer", "--output", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    refused(*RUN, "--methods", "winer", "--output", tmp_path / "there")
    assert (tmp_path / "there").exists()
    call(*RUN, "--methods", "wiener", "--output", tmp_path / "used")
    refused(*RUN, "--methods", "winer", "--output", tmp_path / "used")
    assert Store(tmp_path / "used", create=False).sweep_names()


def test_failed_cells_make_the_exit_code_1_and_are_named(tmp_path):
    methods = ("--methods", "wiener,faulty[mode=raise,at=1]", "--method-file", FAULTY)
    result = call(*RUN, *methods, "--output", tmp_path, "--checkpoint-every", "0")
    assert result.exit_code == 1
    assert "told to fail" in result.output
    assert "2 failed" in result.output
    assert "0/2" in result.output


def test_a_sweep_from_a_file(tmp_path):
    config = tmp_path / "sweep.toml"
    config.write_text(
        'dataset = "sample"\nmethods = ["wiener"]\nprecision = "float32"\nname = "mine"\n'
        '[[experiment]]\nnoise = ["gaussian:0.01"]\n[[experiment]]\nnoise = "poisson:128"\nimages = ["camera"]\n'
    )
    options = [option for option in RUN if option not in ("--dataset", "sample")]
    result = call(*options, "--config", config, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    sweep = json.loads((tmp_path / "out" / "sweeps" / "mine.json").read_text())
    assert [cell["case"]["noise"] for cell in sweep["cells"]] == ["gaussian:0.01", "gaussian:0.01", "poisson:128"]


def test_responses_of_a_camera_have_rows_of_their_own(tmp_path):
    asked = (*RUN, "--methods", "wiener", "--images", "camera", "--output", tmp_path)
    result = call(*asked, "--response", "identity,gamma:2.2:8bit")
    assert result.exit_code == 0, result.output
    assert "gaussian:0.05+gamma:2.2:8bit" in result.output
    (csv,) = (tmp_path / "tables").glob("*.csv")
    psnr = pd.read_csv(csv).set_index(["noise", "method"])["psnr"]
    assert psnr["gaussian:0.05", "wiener"] != psnr["gaussian:0.05+gamma:2.2:8bit", "wiener"]
    call("rescore", "--protocol", "shift-aligned", "--output", tmp_path)
    again = pd.read_csv(io.StringIO(call("table", "--format", "csv", "--output", tmp_path).output))
    assert again.set_index(["noise", "method"])["psnr"].to_dict() == psnr.to_dict()
    assert "use identity, saturation or gamma:2.2" in refused(*asked, "--response", "log")


def test_more_than_an_hour_wants_yes(tmp_path):
    slow = ("--methods", "ours@smoke[iterations=10000000]", "--images", "camera", "--output", tmp_path)
    assert "add --yes" in refused(*RUN, *slow)


#: What has a default of the dataset's where it is left out.
DEFAULTED = ("--noise", "--kernels", "--images", "--response")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--methods", "wienner"], ["unknown method 'wienner'", "wiener"]),
        (["--methods", "ours@fats"], ["preset of ours", "fast"]),
        (["--methods", "ours:no-saa"], ["variant of ours", "no-sa"]),
        (["--methods", "wiener[sped=1]"], ["setting of wiener"]),
        (["--methods", "ours[iterations=many]"], ["iterations", "int"]),
        (["--methods", "ours[iterations=0]"], ["iterations=0"]),
        (["--methods", "ours["], ["name[@preset]"]),
        (["--methods", "wiener", "--dataset", "smaple"], ["unknown dataset", "sample"]),
        (["--methods", "wiener", "--kernels", "sample/x"], ["kernel of sample", "motion"]),
        (["--methods", "wiener", "--images", "cat"], ["image of sample", "camera"]),
        (["--methods", "wiener", "--noise", "gaussian:-1"], ["[0, 1]"]),
        (["--methods", "wiener", "--noise", "gaussian:5"], ["5 % is gaussian:0.05"]),
        (["--methods", "wiener", "--noise", "salt:1"], ["gaussian:0.05"]),
        (["--methods", "wiener", "--device", "tpu"], ["device 'tpu'", "cpu"]),
        (["--methods", "wiener", "--precision", "fp8"], ["bf16"]),
        (["--methods", "wiener", "--protocol", "half"], ["half-kernel"]),
        (["--methods", "wiener", "--seeds", "a"], ["0-4"]),
        (["--methods", "wiener", "--limit", "0"], ["at least 1"]),
        (["--methods", "wiener", "--declared", "wrong"], ["x1.2"]),
        (["--methods", "wiener", "--method-file", "no.py"], ["no.py"]),
        (["--methods", ""], ["--methods"]),
        *((["--methods", "wiener", option, " "], [f"{option} was given nothing"]) for option in DEFAULTED),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_a_wrong_call_says_what_was_given_and_what_is_allowed(arguments, words, tmp_path):
    message = refused(*RUN, "--output", tmp_path, *arguments)
    for word in words:
        assert word in message
    assert not (tmp_path / "cells").exists()


def test_a_results_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "give another --output" in refused(*RUN, "--methods", "wiener", "--output", tmp_path / "file" / "out")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "nidbench.json").write_text('{"format": 99}')
    assert "newer nidbench" in refused(*RUN, "--methods", "wiener", "--output", newer)
    assert "holds no nidbench results" in refused("table", "--output", tmp_path)


@pytest.mark.parametrize("kind", ["record", "sweep"])
def test_files_of_a_newer_format_are_named_by_whatever_reads_them_and_run_computes_nothing(kind, tmp_path):
    call(*RUN, "--methods", "wiener,richardson-lucy", "--name", "first", "--output", tmp_path)
    record, sweep = next(tmp_path.glob("cells/*/record.json")), tmp_path / "sweeps" / "first.json"
    path = record if kind == "record" else sweep
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    before = {file: file.read_bytes() for file in tmp_path.glob("[cs]*/**/*.json")}
    said = f"{path.relative_to(tmp_path)} was written by a newer nidbench (format 99, this one reads"
    for name in ("first", "second"):
        assert said in refused(*RUN, "--methods", "richardson-lucy,wiener,tv", "--name", name, "--output", tmp_path)
    assert said in refused("pack", "first", "--to", tmp_path / "packed.zip", "--output", tmp_path)
    assert said in refused("merge", tmp_path, "--output", tmp_path / "fresh")
    for command in (["table"], ["differences", "--against", "wiener"]):
        assert said in call(*command, "--output", tmp_path).output.replace("\n", " ")
    assert before == {file: file.read_bytes() for file in tmp_path.glob("[cs]*/**/*.json")}


def test_unknown_sweep_lists_those_there_are(tmp_path):
    call(*RUN, "--methods", "wiener", "--name", "first", "--output", tmp_path)
    assert "first" in refused("table", "second", "--output", tmp_path)


def test_help_and_lists_import_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from nidbench.cli import main\n"
        "for call in (['--help'], *(['list', kind] for kind in ('methods', 'datasets', 'tables'))):\n"
        "    assert CliRunner().invoke(main, call).exit_code == 0\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'matplotlib', 'skimage', 'nidbench.methods.ours'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_info_shows_presets_and_variants():
    text = call("info", "ours").output
    assert "preset fast was tuned on brick, chelsea, coffee, coins, ihc" in text
    for word in ("preset paper", "preset released", "preset fast", "variant no-sa", "IJCV 2022"):
        assert word in text


def test_check_runs_the_conformance_suite_on_a_plain_file(tmp_path):
    good = call("check", FAULTY)
    assert good.exit_code == 0, good.output
    bad = tmp_path / "bad.py"
    bad.write_text(FAULTY.read_text().replace("iterations=self.iterations)", "iterations=1, stopped=1 / 0)"))
    assert call("check", bad).exit_code == 1


def test_data_says_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"file://{tmp_path}/nothing/")
    assert "needs no files" in call("data", "fetch", "sample").output
    states = call("data", "verify", "set12")
    assert states.exit_code == 1
    assert "0 of 20 files" in states.output
    assert str(tmp_path) in call("data", "path", "set12").output
    assert len(call("data", "path", "anger").output.splitlines()) == 24  # its kernels are its own
    fetched = call("data", "fetch", "levin")
    assert fetched.exit_code == 1
    assert "levin: 0 fetched, 0 there before, 12 missing" in fetched.output
    assert len([line for line in fetched.output.splitlines() if line.startswith("missing: levin")]) == 12
    assert "nidbench data add levin FILES" in fetched.output
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", "nothing")
    assert "NIDBENCH_DATA_MIRROR is 'nothing'" in refused("data", "fetch", "levin")


def test_data_fetch_gets_what_a_mirror_has_and_names_the_rest(tmp_path, fake_files):
    fake_files("anger", {f"{folder}/{n}.png": bytes([n]) * 7 for folder in ("blurry", "gt") for n in range(3)})
    (tmp_path / "mirror" / "data.test" / "blurry" / "2.png").unlink()
    first, again = call("data", "fetch", "anger"), call("data", "fetch", "anger")
    assert (first.exit_code, again.exit_code) == (1, 1)
    assert "anger: 5 fetched, 0 there before, 1 missing" in first.output
    assert "anger: 0 fetched, 5 there before, 1 missing" in again.output
    (line,) = (line for line in again.output.splitlines() if line.startswith("missing: fake/blurry/2.png"))
    for part in (
        f", 7 bytes, SHA-256 {hashlib.sha256(bytes([2]) * 7).hexdigest()[:8]}",
        f", at {tmp_path}/cache/fake/blurry/2.png",
        "; from https://data.test/blurry/2.png (FileNotFoundError",
    ):
        assert part in line
    verified = call("data", "verify", "anger").output
    assert line.partition(" (File")[0] in verified.splitlines()
    assert "anger: 5 of 6 files are there and whole" in verified


def test_data_that_cannot_be_put_anywhere_says_so_once(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"file://{tmp_path}/nothing/")
    fetched = call("data", "fetch", "set12")
    assert fetched.exit_code == 1
    assert (
        "choose another folder with NIDBENCH_DATA; nidbench data verify set12 lists what is missing" in fetched.output
    )
    assert "missing: " not in fetched.output


def test_data_that_comes_by_hand(tmp_path, monkeypatch):
    """A stand-in for the archive of image 2, under its own hash."""
    from nidbench.datasets import kohler

    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"file://{tmp_path}/nothing/")
    right, wrong = tmp_path / "GroundTruth_pngs_Image2.zip", tmp_path / "GroundTruth_pngs_Image3.zip"
    for path in (right, wrong):
        with ZipFile(path, "w") as archive:
            archive.writestr(f"{path.stem}/x.png", path.name)
    monkeypatch.setitem(kohler.MD5, "2", hashlib.md5(right.read_bytes()).hexdigest())
    lacking = (
        f"missing, by hand: kohler/GroundTruth_pngs_Image3.zip, MD5 {kohler.MD5['3']}, at {tmp_path}/cache/kohler/"
        f"GroundTruth_pngs_Image3.zip; from {kohler.SITE}GroundTruth_pngs_Image3.zip"
    )
    for action in ("verify", "fetch"):
        result = call("data", action, "kohler")
        assert result.exit_code == 1
        assert lacking in result.output.splitlines()
    added = call("data", "add", "kohler", right, wrong)
    assert added.exit_code == 1
    assert f"taken: kohler/GroundTruth_pngs_Image2.zip from {right}" in added.output
    assert f"refused: {wrong} has the name of kohler/GroundTruth_pngs_Image3.zip, but not its MD5" in added.output
    assert lacking in added.output.splitlines()
    assert "kohler: 1 of 100 files are there and whole" in call("data", "verify", "kohler").output
    assert str(tmp_path / "cache" / "kohler" / right.name) in call("data", "path", "kohler").output.splitlines()


def test_data_is_fetched_under_its_terms_or_taken_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("NIDBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("NIDBENCH_DATA_MIRROR", f"file://{tmp_path}/nothing/")
    assert "licence camera: CC0" in call("data", "fetch", "sample").output
    (tmp_path / "1.mat").write_bytes(b"cut off")
    result = call("data", "add", "levin", tmp_path / "1.mat")
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "has the name of levin/1.mat, but 7 bytes, not 1120: it is cut off" in text
    assert "missing: levin/2.mat, 1166 bytes, SHA-256 cb2dae58" in text
    assert "from https://raw.githubusercontent.com/" in text
    assert "levin: 0 of 12 files are there and whole" in text
    assert "needs no files" in call("data", "add", "danielyan", tmp_path / "1.mat").output
    verified = call("data", "verify", "sample")
    assert (verified.exit_code, verified.output) == (0, "sample needs no files\n")
    assert "does not exist: give files" in refused("data", "add", "levin", tmp_path / "none")
    assert str(tmp_path / "cache") in call("data", "path", "sun").output
    assert "0 of 88 files" in call("data", "verify", "sun").output


def test_kernel_errors_from_the_command_line(tmp_path):
    assert call("list", "kernel-errors").output.split()[::2] == ["estimated", "perturbed"]
    own = ("--kernels", "sample,perturbed:noise=0.3", "--images", "camera", "--output", tmp_path)
    result = call(*RUN, "--methods", "wiener", *own)
    assert result.exit_code == 0, result.output
    (csv,) = (tmp_path / "tables").glob("*.csv")
    frame = pd.read_csv(csv).query("method == 'wiener'").set_index("kernel_set")["psnr"]
    assert frame["sample"] > frame["sample@perturbed:noise=0.3"] + 0.1
    wrong = ("--kernels", "perturbed:noise=x", "--output", tmp_path)
    assert "has no number" in refused(*RUN, "--methods", "wiener", *wrong)


def test_a_sweep_file_and_a_question_at_once_are_refused(tmp_path):
    config = tmp_path / "sweep.toml"
    config.write_text('dataset = "sample"\nmethods = "wiener"\n')
    typed = ("--methods", "wiener", "--limit", "1", "--seeds", "0")
    message = refused(*RUN, *typed, "--config", config, "--output", tmp_path / "out")
    assert "--methods, --dataset, --limit, --seeds beside --config" in message


def test_what_a_run_keeps_is_named_and_checked(tmp_path):
    said = refused(*RUN, "--methods", "wiener", "--keep", "pictures", "--output", tmp_path)
    assert "use draws, layers, kernel" in said
    call(*RUN, "--methods", "wiener", "--output", tmp_path)
    again = call(*RUN, "--methods", "wiener", "--keep", "draws,layers", "--dry-run", "--output", tmp_path).output
    assert "2 cells are done without draws and layers: they are computed again" in again


def test_a_figure_of_one_s_own_choice(tmp_path):
    call(*RUN, "--methods", "wiener,tv", "--output", tmp_path)
    choice = ("--method", "wiener", "--image", "camera", "--threshold", "0.1", "--file", tmp_path / "band.png")
    result = call("figure", "fig1", *choice, "--output", tmp_path)
    assert result.output.splitlines()[-1] == str(tmp_path / "band.png")
    assert (tmp_path / "band.png").read_bytes().startswith(b"\x89PNG")
    assert "wiener: mean squared error in the band" in result.output
    assert "tv:" not in result.output


def test_another_protocol_is_told_of_and_added_by_rescore(tmp_path):
    own = ("--protocol", "shift-aligned:1", "--output", tmp_path)
    call(*RUN, "--methods", "wiener,wiener[weight=0.1]", "--name", "mine", "--output", tmp_path)
    lacking = "4 cells have no score under shift-aligned:1: nidbench rescore mine --protocol shift-aligned:1 adds it"
    for command in (["table"], ["differences"], ["table", "--format", "html"]):
        assert lacking in call(*command, *own).output
    assert "4 cells to score, 0 have it already" in call("rescore", *own, "--dry-run").output
    assert "4 cells scored, 0 had it already" in call("rescore", *own).output
    assert "0 cells scored, 4 had it already" in call("rescore", *own).output
    table = call("table", *own)
    assert lacking not in table.output
    assert "without a score" not in table.output
    small = call("rescore", "mine", "--protocol", "kohler", "--output", tmp_path)
    assert small.exit_code == 1
    assert "4 cannot be scored: protocol kohler leaves 84x84 pixels" in small.output
    assert "did you mean shift-aligned?" in refused("rescore", "--protocol", "shift", "--output", tmp_path)
    assert "multiple of 0.25" in refused("table", "--protocol", "shift-aligned:40", "--output", tmp_path)
    ranks = call("ranks", "--output", tmp_path)
    assert ranks.exit_code == 0
    assert "shift-aligned:1 |" in ranks.output
    assert "1 (" in ranks.output


def test_files_of_others_have_a_row_beside_those_of_a_run(tmp_path):
    call(*RUN, "--methods", "wiener", "--name", "mine", "--output", tmp_path)
    truth = Sample().load("camera")[0]
    (tmp_path / "files").mkdir()
    Image.fromarray(np.rint(255 * truth).astype(np.uint8)).save(tmp_path / "files" / "camera.png")
    files = ("score", tmp_path / "files", "--dataset", "sample", "--label", "oracle", "--output", tmp_path)
    assert "none of the 2 files expected, such as camera_motion_gaussian-0.05.png" in refused(*files)
    partly = call(*files, "--pattern", "{image}.png", "--name", "theirs")
    assert partly.exit_code == 1
    assert "1 file is missing: astronaut.png" in partly.output
    assert "nidbench table mine+theirs shows it beside another" in partly.output
    assert call(*files, "--pattern", "{image}.png", "--images", "camera", "--name", "theirs").exit_code == 0
    table = call("table", "mine+theirs", "--output", tmp_path).output
    for word in ("| wiener", "| oracle", "restored elsewhere, scored from files"):
        assert word in table
    assert call("report", "mine+theirs", "--output", tmp_path).exit_code == 0
    assert "name of a method here" in refused(*files[:5], "wiener", *files[6:])


@pytest.fixture
def small_table(monkeypatch):
    """Table 2 as if it had been measured on the sample images: every condition under two noises."""
    small = Condition("sample", "sample", "gaussian:0.01", 2, 2, published_dataset="set12", published_kernels="levin")
    conditions = (small, replace(small, noise="gaussian:0.05"))
    monkeypatch.setitem(TABLES, "table2", Table("table2", "4.2.1", conditions, "Made up."))
    return ("reproduce", "table2", *HOW, "--methods", "wiener,fid")


def test_a_table_of_the_paper_is_measured_and_compared(small_table, tmp_path):
    result = call(*small_table, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "table2 of Chen et al., IJCV 2022: 4 of 4 measurements, under 2 conditions" in result.output
    assert "| fid " in result.output
    assert "- Made up." in result.output
    (file,) = (tmp_path / "sweeps").glob("table2-*.toml")
    assert 'methods = ["wiener", "fid"]' in file.read_text()
    (csv,) = (tmp_path / "tables").glob("*-compared.csv")
    frame = pd.read_csv(csv).dropna(subset="method").set_index(["method", "noise"])
    assert frame.loc[("fid", "gaussian:0.05"), "published"] == 23.18
    assert frame.loc[("fid", "gaussian:0.05"), "verdict"] in ("reproduced", "differs")
    again = call("run", *HOW, "--config", file, "--output", tmp_path).output
    assert "8 cells are there already, 0 to compute" in again
    printed = call("compare", "--paper", "table2", "--format", "csv", "--output", tmp_path).output
    assert printed.strip() == csv.read_text().strip()
    assert r"\underline" in call("compare", file.stem, "--format", "latex", "--output", tmp_path).output
    other = call("compare", "--protocol", "uncropped", "--output", tmp_path).output
    assert "protocol uncropped, for the paper's it would be half-kernel" in other


def test_a_table_is_scored_under_the_paper_s_protocol(small_table, tmp_path, monkeypatch):
    conditions = tuple(replace(each, protocol="shift-aligned:1") for each in TABLES["table2"].conditions)
    monkeypatch.setitem(TABLES, "table2", replace(TABLES["table2"], conditions=conditions[:1]))
    result = call(*small_table, "--output", tmp_path)
    assert result.exit_code == 0, result.output
    assert "scoring 4 cells under shift-aligned:1" in result.output
    (csv,) = (tmp_path / "tables").glob("*-compared.csv")
    frame = pd.read_csv(csv).set_index("method")
    assert set(frame.loc[["wiener", "fid"], "protocol"]) == {"shift-aligned:1"}
    assert frame.loc[["wiener", "fid"], "measured"].between(10, 40).all()
    assert "scoring" not in call(*small_table, "--output", tmp_path).output


def test_a_run_is_scored_under_the_protocol_asked_for(tmp_path):
    result = call(*RUN, "--methods", "wiener", "--limit", "1", "--protocol", "shift-aligned:1", "--output", tmp_path)
    assert "scoring 1 cell under shift-aligned:1" in result.output
    assert "have no score" not in result.output


def test_a_part_of_a_table_fits_its_budget_and_is_gone_on_with(small_table, tmp_path):
    message = refused(*small_table, "--budget", "0.0001s", "--output", tmp_path)
    assert "not enough for one measurement under each of the 2 conditions" in message
    options = (*small_table, "--budget", "1h", "--limit", "1", "--output", tmp_path)
    assert "2 of 4 measurements" in call(*options).output
    (file,) = (tmp_path / "sweeps").glob("table2-1h-*.toml")
    assert file.read_text().count("[[experiment]]") == 2
    again = call(*options).output
    assert f"goes on with the measurements of {file}" in " ".join(again.split())
    assert "4 cells are there already, 0 to compute" in again
    assert "undecided: PSNR" in again
    assert "fewer than 3 images do not tell how much images differ" in again
    other = call(*options, "--crop", "64", "--name", file.stem).output  # another question under the name of the first
    assert "goes on" not in other
    assert "crop = 64" in file.read_text()


def test_rotated_kernels_of_a_table_and_of_a_run_are_the_same_cells(tmp_path):
    sample = ("--methods", "wiener", "--kernels", "sample,levin", "--rotate-kernels", "--output", tmp_path)
    assert "2 cells to compute" in call("run", *HOW, "--dataset", "sample", *sample, "--dry-run").output
    file = tmp_path / "sweep.toml"
    file.write_text('methods = "wiener"\ndataset = "sample"\nkernels = ["sample", "levin"]\nrotate_kernels = true\n')
    assert "2 cells to compute" in call("run", *HOW, "--config", file, "--output", tmp_path, "--dry-run").output
    assert "write it there" in refused("run", *HOW, "--config", file, "--rotate-kernels", "--output", tmp_path)


def test_the_sweep_of_a_table_can_be_written_without_running_it(small_table, tmp_path):
    file = tmp_path / "own" / "sweep.toml"
    options = ("--preset", "fast", "--crop", "64", "--output", tmp_path)
    result = call(*small_table, *options, "--write", file)
    assert f"nidbench run --config {file}" in " ".join(result.output.split())
    assert "crop = 64" in file.read_text()
    assert not (tmp_path / "cells").exists()
    assert call("run", *HOW, "--config", file, "--output", tmp_path).exit_code == 0
    assert "images cropped to 64 pixels" in call("compare", "--paper", "table2", "--output", tmp_path).output


def test_the_paper_s_own_data(with_files, tmp_path):
    """Table 2 on one image of Set12, where its files can be had."""
    with_files(Registry.installed("dataset").load("set12")())
    with_files(Registry.installed("kernel set").load("levin")())
    options = ("--methods", "fid", "--dataset", "set12", "--limit", "1", "--crop", "96", "--output", tmp_path)
    result = call("reproduce", "table2", *HOW, *options)
    assert result.exit_code == 0, result.output
    assert "24 of 288 measurements, under 3 conditions" in result.output
    assert "fid (everywhere): images cropped to 96 pixels" in result.output


def test_wrong_questions_for_a_table(tmp_path):
    options = (*HOW, "--output", tmp_path)
    assert "did you mean table2" in refused("reproduce", "tabel2", *options)
    assert "unknown dataset of table2 'sample'" in refused("reproduce", "table2", "--dataset", "sample", *options)
    assert "give a time such as" in refused("reproduce", "table2", "--budget", "soon", *options)
    assert "unknown method" in refused("reproduce", "table7", "--methods", "our", *options)
    told = refused("reproduce", "table6", "--dataset", "lai", "--methods", "fid", *options)
    assert "not public; nidbench reproduce table6 --kernels estimated:PATH takes estimates of your own" in told
    call(*RUN, "--methods", "wiener", "--output", tmp_path)
    assert "no table of the paper has sample sample gaussian:0.05" in refused("compare", "--output", tmp_path)
    assert "nothing of table2, which has" in refused("compare", "--paper", "table2", "--output", tmp_path)


def test_arguments_that_nothing_can_have_are_refused(tmp_path):
    wiener = (*RUN, "--methods", "wiener", "--output", tmp_path / "out")
    for arguments, words in (
        ((*wiener, "--name", "a\0b"), "an argument has a NUL character in it"),
        ((*wiener, "--name", "a" * 300), "it has 300 bytes, use at most 100"),
        ((*wiener, "--limit", "0"), "limit 0: give at least 1 image"),
        ((*wiener, "--seeds", "9" * 40), "such as 0, 0,3 or 0-4, of at most 10 digits"),
        ((*wiener, "--crop", "97"), "crop 97: image camera has 96x96 pixels, less than that"),
        (
            (*RUN, "--methods", "dir/my.py", "--output", tmp_path / "out"),
            "is a file: give it with --method-file dir/my.py",
        ),
        ((*RUN, "--methods", "my.py@fast[a=1]", "--output", tmp_path / "out"), "its name my with --methods"),
        ((*wiener, "--method-file", "a.py", "--method-file", "b.py"), "--method-file was given 2 times, a.py, b.py"),
        (("table", "--output", tmp_path / ("a" * 300)), "the name is too long for this file system"),
    ):
        assert words in refused(*arguments)
    assert not list((tmp_path / "out").glob("*/*"))


def test_what_the_values_of_files_mean_is_an_option_of_score(tmp_path):
    (tmp_path / "files").mkdir()
    for name in ("camera", "astronaut"):
        image = Sample().load(name)
        np.save(tmp_path / "files" / f"{name}.npy", 255 * image.transpose(1, 2, 0).squeeze())
    asked = ("score", tmp_path / "files", "--dataset", "sample", "--label", "theirs", "--pattern", "{image}.npy")
    asked = (*asked, "--output", tmp_path / "out")
    assert "if 255 is intensity 1, say --scale 255" in refused(*asked)
    assert "give one of the two" in refused(*asked, "--scale", "255", "--bits", "8")
    tables = [
        call(*asked, *stated).output.partition("files scored")[0] for stated in (("--scale", "255"), ("--bits", "8"))
    ]
    assert tables[0] == tables[1]
    assert "| 2/2 " in tables[0]


def test_what_is_assumed_of_a_folder_stands_with_its_table(tmp_path, pictures):
    for place in ("blurred", "truth", "kernels"):
        (tmp_path / "mine" / place).mkdir(parents=True)
    image = np.rint(4000 * pictures.blobs((1, 48, 52))[0]).astype(np.uint16)
    np.save(tmp_path / "mine" / "blurred" / "a.npy", image)
    np.save(tmp_path / "mine" / "truth" / "a.npy", image)
    np.save(tmp_path / "mine" / "kernels" / "a.npy", np.ones((4, 4)))
    run = ["run", "--methods", "wiener", "--dataset", f"folder:{tmp_path / 'mine'}", *HOW, "--output", tmp_path / "out"]
    result = call(*run)
    assert result.exit_code == 0, result.output
    (table,) = (tmp_path / "out" / "tables").glob("*.md")
    for text in (" ".join(result.output.split()), table.read_text()):
        assert "range of the blurred images: a.npy has 16-bit values up to" in text
        assert "kernels of even size have their origin at k//2" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize("given", [["list", "methods"], ["--version"], ["--help"], ["run", "--help"]], ids=" ".join)
def test_output_to_a_full_disk_ends_in_words(given):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "nidbench", *given]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 2
    assert "Error: nothing more can be written (No space left on device): free some space" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_page_and_a_figure_that_cannot_be_written_name_the_option_for_another_file(tmp_path):
    output = tmp_path / "results"
    call(*RUN, "--methods", "wiener", "--images", "camera", "--output", output)
    for folder in ("reports", "figures"):
        if (output / folder).is_dir():
            shutil.rmtree(output / folder)
        (output / folder).write_text("in the way")
    assert "give another file with --file, or another --folder" in refused("report", "--output", output)
    assert "give another --file" in refused("figure", "pareto", "--output", output)
