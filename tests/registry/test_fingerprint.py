import importlib
import subprocess
import sys
from textwrap import dedent

import pytest

from nidbench.registry.entry_points import Registry
from nidbench.registry.fingerprint import fingerprint, stated_version

METHOD = '''
"""A method."""
import math
from nidbench.contract import Problem
from .parts import filtered
from . import shapes

class Method:
    """Filters."""

    strength = 3.0  #: of the filter

    def restore(self, problem: Problem):
        """Return the result."""
        return filtered(problem, self.strength) + math.pi
'''
PARTS = "from .deep import constant\n\ndef filtered(problem, strength):\n    return problem * strength + constant\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Returns a function that writes a module of a third-party package and returns the method's fingerprint."""
    name = f"fp_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    def write(target="method:Method", **sources):
        for module, source in sources.items():
            (folder / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        return fingerprint(f"{name}.{target}" if not target.startswith(":") else f"{name}{target}")

    write(__init__="", method=METHOD, parts=PARTS, deep="constant = 1", shapes="side = 3", unrelated="x = 1")
    yield write
    for module in [loaded for loaded in sys.modules if loaded.partition(".")[0] == name]:
        del sys.modules[module]


def test_it_is_the_same_for_the_same_source(package):
    first = package()
    assert first == package()
    assert len(first) == 16
    int(first, 16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#: of the filter", "# how much"),
        ('"""Filters."""', '"""Filters a lot.\n\n    At length.\n    """'),
        ('        """Return the result."""\n', ""),
        ('"""A method."""', ""),
        ("class Method:", "\n\n\nclass Method( ) :"),
        ("filtered(problem, self.strength) + math.pi", "(filtered(problem,\n   self.strength,\n  ) + math.pi)"),
    ],
    ids=["comment", "docstring", "no docstring", "no module docstring", "blank lines", "line breaks"],
)
def test_what_computes_nothing_does_not_change_it(package, old, new):
    assert old in METHOD
    assert package() == package(method=METHOD.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [("3.0", "3.1"), ("+ math.pi", "- math.pi"), ("strength = 3.0", "strength: float = 3.0"), ("math", "cmath")],
)
def test_what_computes_changes_it(package, old, new):
    assert old in METHOD
    assert package() != package(method=METHOD.replace(old, new))


@pytest.mark.parametrize("module", ["parts", "deep", "shapes"])
def test_the_modules_beside_it_that_it_imports_count(package, module):
    before = package()
    changed = {"parts": PARTS.replace("*", "/"), "deep": "constant = 2", "shapes": "side = 4"}
    assert package(**{module: changed[module]}) != before
    comments = {"parts": PARTS + "# the end\n", "deep": '"""Deep."""\nconstant = 1', "shapes": "side = 3  # pixels"}
    assert (
        package(**{"parts": PARTS, "deep": "constant = 1", "shapes": "side = 3"} | {module: comments[module]}) == before
    )


def test_the_modules_that_it_does_not_import_do_not_count(package):
    assert package() == package(unrelated="x = 2")


def test_an_import_inside_a_function_counts(package):
    inner = METHOD + "\n    def late(self):\n        from .unrelated import x\n        return x\n"
    assert package(method=inner) != package(unrelated="x = 2")


def test_modules_that_import_each_other_end(package):
    first = package(deep="from .parts import filtered\nconstant = 1")
    assert package(deep="from .parts import filtered\nconstant = 2") != first


@pytest.mark.parametrize(
    ("stated", "version"),
    [
        ('info = MethodInfo("a", version=3)', 3),
        ('info: ClassVar[MethodInfo] = MethodInfo(title="a", year=2000, version=2)', 2),
        ('info = MethodInfo("a")', 1),
        ('info = MethodInfo("a", 2000, "paper", "licence", 4)', None),
        ('info = MethodInfo("a", version=1 + 1)', None),
        ("info = MethodInfo(**ABOUT)", None),
        ("info = ABOUT", None),
        ("other = 1", None),
    ],
)
def test_the_version_that_a_source_states(package, tmp_path, stated, version):
    source = f"class Other:\n    info = MethodInfo('b', version=9)\n\nclass Method:\n    {stated}\n"
    package(method=source)
    assert stated_version(f"fp_{tmp_path.name}.method:Method") == version
    plain = tmp_path / "mine.py"
    plain.write_text(source.partition("\n\n")[2])
    assert stated_version(str(plain)) == version


def test_stated_versions_are_those_of_the_classes():
    registry = Registry.installed("method")
    for name in ("ours", "dip", "wiener", "tv", "fid"):
        assert stated_version(registry.target(name)) == registry.load(name).info.version


def test_sources_that_do_not_tell_state_no_version(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def broken(:")
    for target in (str(broken), str(tmp_path / "gone.py"), "no_such_package.method:Method", "math:Method"):
        assert stated_version(target) is None


def test_a_plain_file(tmp_path):
    path = tmp_path / "mine.py"
    prints = []
    for source in ("x = 1", "x = 1  # one", "x = 2", "from nidbench.contract import Run\nx = 2"):
        path.write_text(source)
        prints.append(fingerprint(str(path)))
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_a_file_that_does_not_parse_has_one_too(tmp_path):
    path = tmp_path / "mine.py"
    prints = []
    for source in ("x = 1", "def broken(:", "def broken(::"):
        path.write_text(source)
        prints.append(fingerprint(str(path)))
    assert len(set(prints)) == 3


def test_a_method_that_is_not_there_has_none():
    assert fingerprint("no_such_package.method:Method") == ""
    assert fingerprint("nidbench.no_such_module:Method") == ""
    assert fingerprint("math:Method") == ""  # without Python source


def test_nothing_is_imported(tmp_path):
    """Neither torch, nor the method, nor the package that it is in."""
    folder = tmp_path / "fp_loud"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "method.py").write_text("from .parts import x\nraise RuntimeError('imported')")
    (folder / "parts.py").write_text("x = 1")
    code = dedent(f"""
        import sys
        from nidbench.registry.fingerprint import fingerprint
        targets = ["nidbench.methods.ours:Ours", "nidbench.methods.dip:DIP", "nidbench.methods.wiener:Wiener"]
        print(*map(fingerprint, targets))
        sys.path.insert(0, {str(tmp_path)!r})
        first = fingerprint("fp_loud.method:Method")
        open({str(folder / "parts.py")!r}, "w").write("x = 2")
        print(first, fingerprint("fp_loud.method:Method"))
        print(*sys.modules)
    """)
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    built_in, loud, modules = (line.split() for line in done.stdout.splitlines())
    assert len(set(built_in)) == 3
    assert len(set(loud)) == 2
    assert "torch" not in modules
    assert "numpy" not in modules
    assert not [name for name in modules if name.startswith(("nidbench.methods.", "nidbench.contract", "fp_loud"))]


def test_what_a_plain_file_imports_beside_it_counts(tmp_path):
    path, helper = tmp_path / "mine.py", tmp_path / "helper.py"
    path.write_text("import helper, numpy\nfrom helper import x")
    prints = [fingerprint(str(path))]
    for source in ("x = 1", "x = 2"):
        helper.write_text(source)
        prints.append(fingerprint(str(path)))
    assert len(set(prints)) == 3


def test_built_in_methods_have_one_each():
    registry = Registry.installed("method")
    prints = [fingerprint(registry.target(name)) for name in ("ours", "dip", "wiener")]
    assert len(set(prints)) == 3
    assert "" not in prints
