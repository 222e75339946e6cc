"""The command `nidbench restore`, in a process of its own where that matters."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from nidbench.cli import main

METHOD = """
import signal
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Waits:
    info: ClassVar[MethodInfo] = MethodInfo("waits", year=2026)
    fifo: str = ""

    def restore(self, problem: Problem, run: Run) -> Restored:
        with open(self.fifo, "w") as file:
            file.write("at work")
        while True:
            signal.pause()
"""


@pytest.fixture
def files(tmp_path):
    values = np.random.default_rng(0).integers(20000, 40000, (48, 50), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "cell.tif", values)
    np.save(tmp_path / "psf.npy", np.pad(np.outer([1, 2, 1], [1, 2, 1]), 1))
    return tmp_path


def invoke(*arguments):
    return CliRunner().invoke(main, ["restore", *map(str, arguments)])


def test_one_command_from_a_16_bit_tiff_to_a_16_bit_tiff(files):
    out = files / "restored.tif"
    kernel = ("--kernel", files / "psf.npy", "--kernel-centre", "--threads", "1", "--method", "wiener")
    result = invoke(files / "cell.tif", *kernel, "-o", out, "--preview", files / "look.png")
    assert result.exit_code == 0, result.output
    values = tifffile.imread(out)
    assert (values.dtype, values.shape) == (np.uint16, (48, 50))
    ends = [line.split()[0] for line in result.output.splitlines() if line.split()]
    assert [name for name in ends if name in ("method", "noise", "residual", "restored", "preview")] == [
        *("method", "noise", "residual", "restored", "preview")
    ]
    again = invoke(files / "cell.tif", *kernel, "-o", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kernel", "gaussian:2", "--kernel-centre", "-o", "b.tif"], "gaussian:2 is no kernel file"),
        (["--kernel", "gaussian:2", "-o", "b.tif", "--methods", "tv"], "--methods are those of --twin"),
        (["--kernel", "gaussian:2", "-o", "b.tif", "--method", "tv,wiener"], "names 2 methods"),
        (["--kernel", "gaussian:2", "-o", "b.tif", "--twin", "--methods", "tw"], "unknown method"),
        (["--kernel", "gaussian:2"], "Missing option"),
        (["-o", "b.tif"], "Missing option"),
    ],
)
def test_wrong_calls(files, monkeypatch, arguments, words):
    monkeypatch.chdir(files)
    result = invoke("cell.tif", *arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert not (files / "b.tif").exists()


def test_an_interruption_leaves_nothing_half_written(files):
    (files / "waits.py").write_text(METHOD)
    os.mkfifo(files / "fifo")
    (files / "b.tif").write_bytes(b"before")
    command = ["nidbench", "restore", "cell.tif", "--kernel", "psf.npy", "-o", "b.tif", "--overwrite"]
    command += ["--method", f"waits[fifo={files / 'fifo'}]", "--method-file", "waits.py", "--threads", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert (files / "fifo").read_text() == "at work"
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate()
    assert process.returncode == 130
    assert "interrupted by SIGINT: no file is half-written" in printed
    assert (files / "b.tif").read_bytes() == b"before"
    assert sorted(path.name for path in files.iterdir()) == ["b.tif", "cell.tif", "fifo", "psf.npy", "waits.py"]
