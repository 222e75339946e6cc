import importlib
import subprocess
import sys
from textwrap import dedent

import pytest

from nidbench.errors import InputError, NidbenchError, UnknownNameError
from nidbench.registry.entry_points import (
    Registry,
    declared_versions,
    load_dataset,
    load_kernel_error,
    load_kernels,
    load_method,
    methods,
)

LANDWEBER = """
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo, Problem, Restored, Run

@dataclass(frozen=True)
class Landweber:
    info: ClassVar[MethodInfo] = MethodInfo("Landweber iteration", year=1951)
    iterations: int = 20  #: gradient steps

    def restore(self, problem: Problem, run: Run) -> Restored:
        operator = problem.operator(run.device)
        x = operator.tapered
        for _ in range(self.iterations):
            x = x + operator.adjoint(operator.blurred - operator.blur(x))
        return Restored(x.cpu().numpy(), iterations=self.iterations)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Returns a function that installs a distribution: its module's source and its entry points by group."""
    before = set(sys.modules)

    def install(module, source, distribution=None, **groups):
        site = tmp_path / f"site-{distribution or module}"
        info = site / f"{distribution or module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or module}\nVersion: 1.0\n")
        lines = [line for group, points in groups.items() for line in (f"[nidbench.{group}]", *points)]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (site / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()

    yield install
    for name in set(sys.modules) - before:
        if name.startswith("thirdparty"):
            del sys.modules[name]


@pytest.fixture
def method_file(tmp_path):
    def write(source, name="landweber.py"):
        path = tmp_path / name
        path.write_text(source)
        return path

    return write


def test_listing_imports_neither_torch_nor_adapters(tmp_path):
    code = """
        import sys
        from nidbench.registry.entry_points import Registry
        for kind in ("method", "dataset", "kernel set"):
            print(kind, *Registry.installed(kind).names(), sep="|")
        print("modules", *sys.modules, sep="|")
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", dedent(code)], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    lines = dict(line.split("|", 1) for line in done.stdout.splitlines())
    assert {"dip", "ours", "wiener"} <= set(lines["method"].split("|"))
    assert {"sample", "set12"} <= set(lines["dataset"].split("|"))
    assert {"sample", "levin"} <= set(lines["kernel set"].split("|"))
    loaded = lines["modules"].split("|")
    assert "nidbench.registry.entry_points" in loaded
    heavy = ("torch", "skimage", "scipy", "nidbench.methods", "nidbench.datasets")
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_names_are_sorted_and_lead_somewhere():
    registry = Registry.installed("method")
    assert registry.names() == sorted(registry.targets)
    assert registry.target("wiener") == "nidbench.methods.wiener:Wiener"


def test_a_third_party_method_is_found_and_loaded(plugin):
    assert "landweber" not in methods().names()
    plugin("thirdparty_method", LANDWEBER, methods=["landweber = thirdparty_method:Landweber"])
    registry = methods()
    assert "landweber" in registry.names()
    assert "thirdparty_method" not in sys.modules
    kind = load_method(registry, "landweber")
    assert kind.info.title == "Landweber iteration"
    assert kind().iterations == 20


def test_a_third_party_dataset_and_kernel_set_are_found_and_loaded(plugin):
    source = """
        from nidbench.contract import DatasetInfo, KernelSetInfo
        class Images:
            info = DatasetInfo("Third", kernels="thirdkernels", noises=("gaussian:0.01",))
        class Kernels:
            info = KernelSetInfo("Third kernels")
    """
    plugin(
        "thirdparty_data",
        dedent(source),
        datasets=["third = thirdparty_data:Images"],
        kernels=["thirdkernels = thirdparty_data:Kernels"],
    )
    assert load_dataset("third").info.kernels == "thirdkernels"
    assert load_kernels("thirdkernels").info.title == "Third kernels"
    with pytest.raises(UnknownNameError, match="unknown dataset 'thirdkernels'"):
        load_dataset("thirdkernels")


def test_a_duplicate_name_is_refused_naming_both(plugin):
    plugin("thirdparty_double", LANDWEBER, methods=["wiener = thirdparty_double:Landweber"])
    with pytest.raises(NidbenchError, match="'wiener' is registered twice") as caught:
        methods()
    assert "nidbench.methods.wiener:Wiener" in str(caught.value)
    assert "thirdparty_double:Landweber" in str(caught.value)
    assert "sample" in Registry.installed("dataset").names()  # other groups are not touched


def test_one_distribution_found_twice_is_no_duplicate(plugin):
    """As a source folder's egg-info beside the installed dist-info."""
    point = "landweber = thirdparty_twice:Landweber"
    plugin("thirdparty_twice", LANDWEBER, methods=[point])
    plugin("thirdparty_twice", LANDWEBER, distribution="thirdparty-again", methods=[point])
    assert methods().target("landweber") == "thirdparty_twice:Landweber"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('licence expired')", "RuntimeError: licence expired"),
        ("import no_such_dependency_of_it", "no_such_dependency_of_it"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "has no 'Method'"),
    ],
    ids=["raises", "imports what is missing", "does not parse", "lacks the class"],
)
def test_a_broken_plugin_is_listed_and_fails_only_when_loaded(plugin, source, reason):
    plugin("thirdparty_broken", source, methods=["broken = thirdparty_broken:Method"])
    registry = methods()
    assert "broken" in registry.names()
    assert load_method(registry, "wiener").info.title == "Wiener filter"
    with pytest.raises(NidbenchError, match=reason) as caught:
        registry.load("broken")
    assert "'broken'" in str(caught.value)
    assert "thirdparty_broken" in str(caught.value)


def test_an_unknown_name_lists_near_misses_first():
    with pytest.raises(UnknownNameError) as caught:
        methods().load("weiner")
    message = str(caught.value)
    assert message.startswith("unknown method 'weiner': did you mean wiener")
    assert "dip" in message
    assert "ours" in message


def test_a_name_near_to_nothing_lists_all():
    with pytest.raises(UnknownNameError) as caught:
        load_kernels("zzzzzzzz")
    assert "did you mean" not in str(caught.value)
    assert "levin" in str(caught.value)


def test_a_plain_file_is_a_method_under_its_stem(method_file):
    registry = methods(method_file(LANDWEBER))
    assert set(methods().names()) < set(registry.names())
    kind = load_method(registry, "landweber")
    assert kind.info.year == 1951
    assert kind(3).iterations == 3


def test_a_plain_file_may_bear_the_name_of_any_module(method_file):
    import json  # the one that a file named so must not replace

    registry = methods(method_file(LANDWEBER, "json.py"))
    assert load_method(registry, "json").info.year == 1951
    assert sys.modules["json"] is json


def test_a_plain_file_may_import_other_methods(method_file):
    registry = methods(method_file(LANDWEBER + "\nfrom nidbench.methods.wiener import Wiener\n"))
    assert load_method(registry, "landweber").__name__ == "Landweber"


def test_a_plain_file_named_as_a_registered_method_is_refused(method_file):
    path = method_file(LANDWEBER, "wiener.py")
    with pytest.raises(NidbenchError, match="registered twice") as caught:
        methods(path)
    assert "nidbench.methods.wiener:Wiener" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_plain_file_without_a_method_is_refused(method_file):
    registry = methods(method_file("x = 1\n"))
    with pytest.raises(InputError, match=r"must define one class .* it has none"):
        registry.load("landweber")


def test_a_plain_file_with_two_methods_is_refused_naming_them(method_file):
    registry = methods(method_file(LANDWEBER + LANDWEBER.replace("class Landweber", "class Richardson")))
    with pytest.raises(InputError, match="Landweber, Richardson"):
        registry.load("landweber")


def test_a_plain_file_that_does_not_parse_is_refused(method_file):
    registry = methods(method_file("def broken(:\n"))
    with pytest.raises(NidbenchError, match="cannot be imported: SyntaxError"):
        registry.load("landweber")


@pytest.mark.parametrize(
    "statement", ["import helper_beside", "from helper_beside.inner import f", "from .other import f"]
)
@pytest.mark.parametrize("helper", ["helper_beside.py", "helper_beside/inner.py"])
def test_a_plain_file_that_imports_a_module_beside_it_is_told_that_a_method_is_one_file(method_file, statement, helper):
    path = method_file(f"{statement}\n{LANDWEBER}")
    (path.parent / helper).parent.mkdir(exist_ok=True)
    (path.parent / helper).write_text("f = 1\n")
    with pytest.raises(
        NidbenchError, match=r"Error: .*\. A method is one file, .*put what it needs into the file, or install"
    ):
        methods(path).load("landweber")


def test_a_plain_file_that_imports_what_is_not_installed_is_told_to_install_it(method_file):
    with pytest.raises(NidbenchError, match=r"No module named 'no_such_module'\. Install the package that has it$"):
        methods(method_file("import no_such_module.inner\n")).load("landweber")


@pytest.mark.parametrize("name", ["missing.py", "folder.py", "method.txt"])
def test_what_is_no_python_file_is_refused(tmp_path, name):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "method.txt").write_text(LANDWEBER)
    with pytest.raises(InputError, match=name):
        methods(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@dataclass(frozen=True)", ""),
        ("@dataclass(frozen=True)", "@dataclass"),
        ("def restore", "def repair"),
    ],
    ids=["no dataclass", "not frozen", "no restore"],
)
def test_what_is_no_frozen_dataclass_with_restore_is_refused(method_file, old, new):
    registry = methods(method_file(LANDWEBER.replace(old, new, 1)))
    with pytest.raises(InputError, match="not a frozen dataclass"):
        load_method(registry, "landweber")


def test_an_instance_or_function_is_no_method(plugin):
    source = LANDWEBER + "\nmade = Landweber()\ndef function(problem, run): ...\n"
    plugin(
        "thirdparty_odd",
        source,
        methods=["made = thirdparty_odd:made", "function = thirdparty_odd:function"],
    )
    for name in ("made", "function"):
        with pytest.raises(InputError, match="not a frozen dataclass"):
            load_method(methods(), name)


def test_what_takes_an_argument_gets_it_and_nothing_else_does(plugin):
    source = "class Shelf:\n    argument = 'NUMBER'\n    def __init__(self, text): self.text = text\n"
    for group in ("datasets", "kernel_errors"):
        plugin(f"thirdparty_{group}", source, **{group: [f"shelf = thirdparty_{group}:Shelf"]})
    assert load_dataset("shelf:/a:b/c").text == load_kernel_error("shelf:/a:b/c").text == "/a:b/c"
    for wrong in ("shelf", "shelf:"):
        with pytest.raises(InputError, match=f"dataset '{wrong}' has no argument: write shelf:NUMBER"):
            load_dataset(wrong)
    with pytest.raises(InputError, match="dataset 'sample:x': sample takes no argument after a colon, write sample"):
        load_dataset("sample:x")
    with pytest.raises(UnknownNameError, match="unknown dataset 'shelv': did you mean shelf"):
        load_dataset("shelv:x")


def test_the_path_of_a_folder_is_told_how_it_is_written(tmp_path):
    with pytest.raises(UnknownNameError, match=f"; a folder of images is folder:{tmp_path}"):
        load_dataset(str(tmp_path))
    with pytest.raises(UnknownNameError) as caught:
        load_dataset(str(tmp_path / "none"))
    assert "folder:" not in str(caught.value)


def test_a_table_runs_no_file_that_its_sweep_names(tmp_path):
    """Somebody else's results may name any file; its version is read from its text, or is unknown."""
    trap = tmp_path / "trap.py"
    trap.write_text(
        "from pathlib import Path\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from dataclasses import dataclass\n"
        "from nidbench.contract import MethodInfo\n"
        "@dataclass(frozen=True)\n"
        "class Trap:\n"
        "    info = MethodInfo('trap', version=len('ab'))\n"
        "    def restore(self, problem, run): ...\n"
    )
    assert declared_versions(["trap", "wiener"], str(trap)).keys() == {"wiener"}
    assert not (tmp_path / "ran").exists()
