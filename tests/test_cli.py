"""The command line as a person meets it: what it prints, what it refuses, and with which exit code."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from nidbench.cli import main

FAULTY = Path(__file__).parent / "resources" / "faulty.py"
RUN = ["run", "--dataset", "sample", "--tracking", "none", "--no-pictures", "--in-process", "--precision", "float32"]
RUN += ["--device", "cpu"]


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
    assert "table2 has no sample" in refused("orders", "--output", tmp_path)
    assert "did you mean table2" in refused("orders", "--paper", "tabel2", "--output", tmp_path)


def test_a_dry_run_computes_nothing(tmp_path):
    result = call(*RUN, "--methods", "wiener", "--output", tmp_path, "--dry-run")
    assert result.exit_code == 0
    assert result.output.count("to compute") >= 2
    assert not (tmp_path / "cells").exists()


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


def test_more_than_an_hour_wants_yes(tmp_path):
    slow = ("--methods", "ours@smoke[iterations=10000000]", "--images", "camera", "--output", tmp_path)
    assert "add --yes" in refused(*RUN, *slow)


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


def test_unknown_sweep_lists_those_there_are(tmp_path):
    call(*RUN, "--methods", "wiener", "--name", "first", "--output", tmp_path)
    assert "first" in refused("table", "second", "--output", tmp_path)


def test_help_and_lists_import_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from nidbench.cli import main\n"
        "for call in (['--help'], ['list', 'methods'], ['list', 'datasets']):\n"
        "    assert CliRunner().invoke(main, call).exit_code == 0\n"
        "heavy = {'torch', 'mlflow', 'pandas', 'matplotlib', 'skimage', 'nidbench.methods.ours'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_info_shows_presets_and_variants():
    text = call("info", "ours").output
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
    assert "set12" in refused("data", "fetch", "set12")


def test_a_sweep_file_and_a_question_at_once_are_refused(tmp_path):
    config = tmp_path / "sweep.toml"
    config.write_text('dataset = "sample"\nmethods = "wiener"\n')
    assert "not both" in refused(*RUN, "--methods", "wiener", "--config", config, "--output", tmp_path / "out")


def test_what_a_run_keeps_is_named_and_checked(tmp_path):
    assert "use draws or layers" in refused(*RUN, "--methods", "wiener", "--keep", "pictures", "--output", tmp_path)
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
