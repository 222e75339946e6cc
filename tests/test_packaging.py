"""The lists in pyproject.toml against the disk, and that imports run one way."""

import ast
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = SETTINGS["tool"]["setuptools"]
FOLDERS = {"nidbench": ROOT / "nidbench", "nidbench.methods": ROOT / "methods", "nidbench.datasets": ROOT / "datasets"}
METHOD_FILES = sorted((ROOT / "methods").rglob("*.py"))
DATASET_FILES = sorted((ROOT / "datasets").rglob("*.py"))
CORE_FILES = sorted((ROOT / "nidbench").rglob("*.py"))
ALL_FILES = [*CORE_FILES, *METHOD_FILES, *DATASET_FILES]


def named(path):
    return str(path.relative_to(ROOT))


def module_name(path):
    """The name under which a file is installed."""
    top = {"nidbench": "nidbench", "methods": "nidbench.methods", "datasets": "nidbench.datasets"}
    first, *rest = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([top[first], *(part for part in rest if part != "__init__")])


@cache
def imports(path):
    """All modules that a file imports by statement, anywhere in it, with `from a import b` as `a.b`."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def own(path):
    """The modules of ours that a file imports, without what it takes from them."""
    modules = {module_name(each) for each in ALL_FILES} - {"nidbench"}
    found = set()
    for name in imports(path):
        if name.partition(".")[0] == "nidbench":
            found.add(max((each for each in modules if f"{name}.".startswith(f"{each}.")), key=len, default=name))
    return found


def importers(library):
    return {named(path) for path in ALL_FILES if any(f"{name}.".startswith(f"{library}.") for name in imports(path))}


def test_imports_are_seen():
    """What the tests below look for, found where it is known to be."""
    assert {"nidbench.contract", "nidbench.fitting", "nidbench.methods._layers"} <= own(ROOT / "methods" / "ours.py")
    assert {"nidbench.contract.method", "nidbench.errors"} <= own(ROOT / "nidbench" / "registry" / "entry_points.py")
    assert own(ROOT / "datasets" / "kernels" / "levin.py") >= {"nidbench.contract", "nidbench.files.remote"}
    assert "nidbench/physics/blur.py" in importers("torch")
    assert "nidbench/cli/options.py" in importers("click")


def test_the_listed_packages_are_those_on_disk():
    on_disk = {
        ".".join([name, *path.parent.relative_to(folder).parts])
        for name, folder in FOLDERS.items()
        for path in folder.rglob("__init__.py")
    }
    assert sorted(SETUPTOOLS["packages"]) == sorted(on_disk)
    mapped = {name: ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}
    assert mapped == {name: folder for name, folder in FOLDERS.items() if name != "nidbench"}


def test_every_folder_with_code_is_a_package():
    """Setuptools' editable finder does not map a folder without `__init__.py`."""
    folders = {path.parent for path in ALL_FILES}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_data_file_has_a_listed_suffix():
    patterns = SETUPTOOLS["package-data"]["*"]
    data = [
        path
        for folder in FOLDERS.values()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    ]
    assert len(data) >= 2
    assert [named(path) for path in data if not any(fnmatch(path.name, pattern) for pattern in patterns)] == []
    used = [pattern for pattern in patterns if any(fnmatch(path.name, pattern) for path in data)]
    assert used == patterns


def test_no_module_has_the_name_of_a_mapped_folder():
    assert not [name for name in ("methods", "datasets") if list((ROOT / "nidbench").glob(f"{name}*"))]


def test_every_entry_point_leads_to_a_file_and_a_class_in_it():
    files = {module_name(path): path for path in ALL_FILES}
    points = SETTINGS["project"]["entry-points"]
    assert set(points) == {f"nidbench.{name}" for name in ("methods", "datasets", "kernels", "kernel_errors")}
    for group in points.values():
        for target in group.values():
            module, _, attribute = target.partition(":")
            classes = [
                node.name for node in ast.parse(files[module].read_text()).body if isinstance(node, ast.ClassDef)
            ]
            assert attribute in classes


def test_every_method_and_dataset_is_registered():
    """Files whose names begin with an underscore are shared parts."""
    targets = {
        target.partition(":")[0] for group in SETTINGS["project"]["entry-points"].values() for target in group.values()
    }
    public = {module_name(path) for path in (*METHOD_FILES, *DATASET_FILES) if not path.name.startswith("_")}
    assert targets == public


@pytest.mark.parametrize("path", CORE_FILES, ids=named)
def test_the_machinery_names_no_method_and_no_dataset(path):
    assert [name for name in imports(path) if name.startswith(("nidbench.methods", "nidbench.datasets"))] == []


@pytest.mark.parametrize("path", METHOD_FILES, ids=named)
def test_methods_rest_on_the_contract_and_the_engine(path):
    shared = {f"nidbench.{name}" for name in ("contract", "physics.blur", "fitting", "errors")}
    shared |= {f"nidbench.deepinverse.{name}" for name in ("package", "physics")}
    shared |= {f"nidbench.files.{name}" for name in ("download", "remote")}
    assert [name for name in own(path) - shared if not name.startswith("nidbench.methods._")] == []


@pytest.mark.parametrize("path", DATASET_FILES, ids=named)
def test_datasets_rest_on_the_contract_and_downloads(path):
    shared = {f"nidbench.{name}" for name in ("contract", "images", "system.toml_file", "errors")}
    shared |= {f"nidbench.files.{name}" for name in ("cache", "download", "remote")}
    assert [name for name in own(path) - shared if not name.startswith("nidbench.datasets._")] == []


@pytest.mark.parametrize("path", [*METHOD_FILES, *DATASET_FILES], ids=named)
def test_methods_and_datasets_import_siblings_relatively_and_ours_absolutely(path):
    """So that type checkers, which see the folders and not the mapping, find both."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= len(path.relative_to(ROOT).parts) - 1
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not [name for name in names if name.startswith(("nidbench.methods", "nidbench.datasets"))]


def modules_in(package: str) -> set[str]:
    return {named(path) for path in (ROOT / "nidbench" / package).glob("*.py")}


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("mlflow", {"nidbench/report/tracking.py", "nidbench/report/tracked_runs.py"}),
        ("click", modules_in("cli")),
        (
            "pandas",
            {
                "nidbench/api/results.py",
                *(
                    name
                    for package in ("analysis", "report", "report/figures", "report/html", "paper", "leaderboard")
                    for name in modules_in(package)
                ),
            },
        ),
        (
            "matplotlib",
            {*(f"nidbench/report/{name}.py" for name in ("contact_sheet", "levels")), *modules_in("report/figures")},
        ),
        ("pooch", {"nidbench/files/cache.py", "nidbench/files/download.py"}),
        ("tifffile", {f"nidbench/images/{name}.py" for name in ("tiffs", "metadata", "compression", "write")}),
        ("astropy", {"nidbench/images/fits.py"}),
        ("skimage", {"nidbench/scoring/metrics.py", "methods/tv.py", "methods/deep_red.py"}),
        ("h5py", {"methods/fdn.py"}),
        ("bm3d", {"methods/bm3d.py"}),
        ("deepinv", {"nidbench/deepinverse/package.py"}),
        ("torchvision", {"nidbench/deepinverse/package.py"}),
    ],
)
def test_a_heavy_library_is_imported_where_it_is_used_only(library, allowed):
    assert importers(library) <= allowed


def test_torch_is_imported_by_what_computes_only():
    machinery = {name for name in importers("torch") if name.startswith("nidbench/")}
    assert machinery <= {
        "nidbench/physics/blur.py",
        *modules_in("compute/child"),
        *modules_in("deepinverse"),
        *modules_in("fitting"),
    }


@pytest.mark.parametrize("statement", ["import nidbench.cli", "import nidbench"])
def test_the_command_line_loads_nothing_heavy(statement, tmp_path):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "nidbench" in loaded
    assert (
        loaded & {"torch", "mlflow", "pandas", "matplotlib", "numpy", "scipy", "skimage", "pooch", "rich", "dask"}
        == set()
    )


def test_what_rests_on_the_contract_works_without_torch(tmp_path):
    code = (
        "import nidbench.contract, nidbench.physics.measure, nidbench.scoring.protocols, nidbench.records\n"
        "import nidbench.registry.method_spec, nidbench.cases.source, nidbench.scoring.scorer\n"
        "import nidbench.sweep.runner, nidbench.sweep.plan\n"
        "import sys\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert {"torch", "mlflow", "pandas", "click"} & set(done.stdout.split()) == set()


def test_every_dependency_is_imported_and_every_import_is_a_dependency():
    names = {"scikit-image": "skimage", "pillow": "PIL"}
    project = SETTINGS["project"]
    extras = project["optional-dependencies"]
    named = ("fits", "supervised", "workers", "bm3d", "deepinv")
    wanted = [*project["dependencies"], *(line for extra in named for line in extras[extra])]
    declared = {line.partition(">")[0].strip() for line in wanted}
    declared = {names.get(name.lower(), name) for name in declared}
    tops = {name.partition(".")[0] for path in ALL_FILES for name in imports(path)}
    foreign = tops - set(sys.stdlib_module_names) - {"nidbench"}
    # of scikit-image, mlflow, distributed and jinja2
    assert foreign - declared <= {"PIL", "alembic", "sqlalchemy", "dask", "markupsafe"}
    assert declared - foreign <= {"ptwt"}  # deepinv imports it for wavelets
