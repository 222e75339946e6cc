"""One conformance suite over everything registered, built-in and third-party alike: a new method is in it at once."""

import pytest

from nidbench.conformance import check, checks
from nidbench.registry import Registry, load_method, methods
from nidbench.specs import DEFAULT_PRESET, MethodSpec, resolve

NAMES = Registry.installed("method").names()


@pytest.mark.parametrize("name", NAMES)
def test_conforms(name):
    method = resolve(MethodSpec(name), load_method(methods(), name), "smoke").method
    findings = check(method)
    assert len(findings) == len(checks())
    assert not [f"{finding.name}: {finding.message}" for finding in findings if not finding.passed]


@pytest.mark.parametrize("name", NAMES)
def test_every_preset_and_variant_resolves(name):
    kind = load_method(methods(), name)
    first, *others = kind.info.presets or {DEFAULT_PRESET: {}}
    plain = resolve(MethodSpec(name, first), kind, None).method
    assert all(resolve(MethodSpec(name, preset), kind, None).method != plain for preset in others)
    for variant in kind.info.variants:
        assert resolve(MethodSpec(name, first, (variant,)), kind, None).method != plain


@pytest.mark.parametrize("name", NAMES)
def test_says_who_made_it(name):
    info = load_method(methods(), name).info
    assert info.title
    assert info.version >= 1
    assert load_method(methods(), name).__doc__
