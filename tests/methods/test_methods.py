"""One conformance suite over everything registered, built-in and third-party alike: a new method is in it at once."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from nidbench.contract import NeedsFiles, StopsItself
from nidbench.contract.conformance import check, checks
from nidbench.files import cache
from nidbench.files.download import fetch
from nidbench.fitting import RULES, Stop
from nidbench.registry.entry_points import Registry, load_method, methods
from nidbench.registry.method_spec import DEFAULT_PRESET, MethodSpec, all_settings, resolve

NAMES = Registry.installed("method").names()
#: Packages that methods need and `nidbench[test]` leaves out, for their licences or their size.
OPTIONAL = {"bm3d": "bm3d", "deepinv": "deepinv"}


@pytest.fixture
def with_package(name):
    if name in OPTIONAL and find_spec(OPTIONAL[name]) is None:
        pytest.skip(f"{name} needs a package that tests do without")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("with_package")
def test_conforms(name, with_files):
    with_files(load_method(methods(), name))
    method = resolve(MethodSpec(name), load_method(methods(), name), "smoke").method
    if isinstance(method, NeedsFiles):
        fetch(method.files())  # before anything is computed, as the harness does
    findings = check(method)
    assert len(findings) == len(checks())
    assert not [f"{finding.name}: {finding.message}" for finding in findings if not finding.passed]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("with_package")
def test_every_preset_and_variant_resolves(name):
    kind = load_method(methods(), name)
    first, *others = kind.info.presets or {DEFAULT_PRESET: {}}
    plain = resolve(MethodSpec(name, first), kind, None).method
    assert all(resolve(MethodSpec(name, preset), kind, None).method != plain for preset in others)
    for variant in kind.info.variants:
        assert resolve(MethodSpec(name, first, (variant,)), kind, None).method != plain


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("with_package")
def test_whoever_has_a_stopping_rule_says_whether_it_may_end_early(name):
    method = load_method(methods(), name)()
    if "stop" in all_settings(method):
        assert isinstance(method, StopsItself)
        assert [replace(method, stop=rule).stops_itself() for rule in RULES] == [Stop(r).ends_early for r in RULES]
    elif name == "richardson-lucy":
        assert method.stops_itself()
        assert not replace(method, discrepancy=0).stops_itself()
    else:
        assert not isinstance(method, StopsItself)


@pytest.mark.parametrize("name", NAMES)
def test_says_who_made_it(name):
    info = load_method(methods(), name).info
    assert info.title
    assert info.version >= 1
    assert load_method(methods(), name).__doc__


@pytest.mark.parametrize("name", NAMES)
def test_lists_its_files_without_fetching(name, monkeypatch):
    monkeypatch.setattr("nidbench.files.download._download", lambda file, _shared: pytest.fail(f"{file} is fetched"))
    method = load_method(methods(), name)
    files = method.files() if isinstance(method, NeedsFiles) else []
    assert len({cache.destination(file) for file in files}) == len(files)
    for file in files:
        assert file.url.startswith("https://")
        assert len(bytes.fromhex(file.hash[1])) == (20 if file.git_blob else 32)
        assert file.bytes > 0 or file.least > 1000  # a pointer of Git LFS is shorter
        assert ".." not in Path(file.path).parts
