"""The public names: imported when used, documented, the same for type checkers and at run time."""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import nidbench as nb
from nidbench.cases import CaseRequest
from nidbench.errors import UnknownNameError
from nidbench.physics.arrays import array_hash

HEAVY = ("torch", "pandas", "mlflow", "numpy", "scipy", "matplotlib", "skimage", "rich", "click")


@pytest.mark.parametrize("statement", ["import nidbench", "import nidbench; nidbench.run; nidbench.open_results"])
def test_importing_it_imports_nothing_heavy(statement, tmp_path):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    heavy = HEAVY if statement == "import nidbench" else ("torch", "pandas", "mlflow", "matplotlib")
    assert not set(heavy) & set(done.stdout.split())


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(nb.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == nb._HOMES
    assert set(nb.__all__) == {"__version__", *seen}
    assert set(seen) <= set(dir(nb))


@pytest.mark.parametrize("name", [name for name in nb.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name):
    value = getattr(nb, name)
    documentation = inspect.getdoc(value)
    assert documentation
    if inspect.isfunction(value):
        for parameter in inspect.signature(value).parameters:
            assert f"{parameter}:" in documentation, f"{name} says nothing of {parameter}"
        assert value.__annotations__.get("return")


def test_what_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"there are .*open_results"):
        nb.nothing  # noqa: B018
    assert nb.__version__


def test_methods_and_datasets_by_name(tmp_path):
    assert nb.load_method("tv[weight=0.1]" if "weight" in repr(nb.load_method("tv")) else "tv")
    assert nb.load_method("dip@fast[lr=0.005]").lr == 0.005
    assert nb.load_method("ours", preset="smoke").iterations == nb.load_method("ours@smoke").iterations
    assert nb.load_dataset("sample").names()
    with pytest.raises(UnknownNameError, match="did you mean set12"):
        nb.load_dataset("set21")
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from nidbench.contract import MethodInfo, Restored\n"
        "@dataclass(frozen=True)\n"
        "class Mine:\n"
        "    info: ClassVar[MethodInfo] = MethodInfo('mine')\n"
        "    gain: float = 1.0\n"
        "    def restore(self, problem, run):\n"
        "        return Restored(self.gain * problem.operator('cpu').tapered.numpy())\n"
    )
    assert nb.load_method("mine[gain=2]", method_file=mine).gain == 2


def test_cases_are_those_of_a_sweep(tmp_path):
    results = nb.run("wiener", "sample", noise="gaussian:0.01", crop=48, output=tmp_path, threads=1, progress=False)
    made = {str(case.key): case for case in nb.load_cases("sample", noise="gaussian:0.01", crop=48)}
    assert len(made) == len(results.cells) == 2
    for cell_id in results.cells["id"]:
        record = results.restoration(cell_id).record
        case = made[str(record.cell.case)]
        assert array_hash(case.problem().blurred) == record.measurement_hash
        assert case.truth_hash() == record.truth_hash


def test_another_system_is_refused_in_words():
    code = "import sys\nsys.modules['fcntl'] = None\nimport nidbench.system.signals"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "nidbench runs on Linux and macOS" in done.stderr


def test_check_finds_what_a_method_does_wrong():
    assert nb.check("wiener").passed

    class Wrong:
        info = nb.load_method("wiener").info

        def restore(self, _problem, _run):
            return "an image"

    found = nb.check(Wrong())
    assert not found.passed
    assert "FAIL shape dtype and range" in str(found)
    assert "FAIL" in found._repr_html_()


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("nidbench.cases", ["CaseRequest", "cases"]),
        ("nidbench.images", ["read_image", "read_kernel", "Units"]),
        ("nidbench.errors", ["InputError", "NidbenchError", "UnknownNameError"]),
        ("nidbench.contract", ["Problem", "Run", "Restored", "MethodInfo", "Response", "Noise"]),
        ("nidbench.records", ["Store", "Record", "Cell"]),
    ],
)
def test_names_that_programs_of_others_import_stay(module, names):
    found = importlib.import_module(module)
    assert [name for name in names if not hasattr(found, name)] == []


def test_a_request_begins_with_its_dataset():
    assert CaseRequest("sample", limit=1) == CaseRequest(dataset="sample", limit=1)
    with pytest.raises(TypeError):
        CaseRequest("sample", ("levin",))
