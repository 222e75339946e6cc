"""Modules imported while something else is waited for, in a program of its own, which has not imported them yet."""

import subprocess
import sys

import pytest

from nidbench.system.importing import imported_beside

REFUSED = """
import sys, threading
from nidbench.api.running import Computing, run_sweep
from nidbench.errors import ResultsError
from nidbench.records import Store

store = Store(sys.argv[1])
with store.lock():
    try:
        run_sweep(Store(sys.argv[1]), None, str, Computing(in_process=True), None)
    except ResultsError:
        print(threading.active_count())
"""


def test_a_run_that_another_one_keeps_out_leaves_no_import_that_its_end_would_cut_off(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", REFUSED, tmp_path / "out"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.stdout, ended.stderr) == ("1\n", "")


def test_an_error_is_passed_on_when_the_module_is_there(tmp_path, monkeypatch):
    (tmp_path / "long_to_import.py").write_text("number = sum(range(3_000_000))\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ZeroDivisionError), imported_beside("long_to_import"):
        raise ZeroDivisionError
    assert sys.modules.pop("long_to_import").number == 4_499_998_500_000


def test_a_module_that_cannot_be_imported_is_left_to_who_uses_it(capfd):
    with imported_beside("nidbench.no_such_module"):
        pass
    assert capfd.readouterr() == ("", "")
