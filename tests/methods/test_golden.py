"""Results are those of their versions: whoever changes them raises a version, and says so by what is kept."""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch

from nidbench.registry.entry_points import Registry, load_method, methods
from nidbench.versions import CURRENT

NAMES = Registry.installed("method").names()
PARTS = ("engine", "measurement", "metric", "noise level")
MAKE = Path(__file__).parents[1] / "golden" / "make.py"


@pytest.fixture(scope="module")
def golden():
    spec = spec_from_file_location("golden", MAKE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def elsewhere(golden, tmp_path, monkeypatch):
    """Keep results in another folder."""
    monkeypatch.setattr(golden, "HERE", tmp_path)
    return golden


@pytest.mark.parametrize("name", NAMES)
def test_methods_give_what_their_versions_gave(name, golden, with_files):
    if name in ("bm3d", "deepinv") and find_spec(name) is None:
        pytest.skip(f"{name} needs a package that tests do without")
    with_files(load_method(methods(), name))
    assert not golden.complaint(name)


@pytest.mark.parametrize("part", PARTS)
def test_shared_parts_give_what_their_versions_gave(part, golden):
    assert not golden.complaint(part)


def test_every_version_is_of_a_part_that_is_kept(golden):
    assert set(CURRENT) == set(PARTS) == set(golden.SHARED)


def test_a_method_without_kept_results_is_told_the_command(elsewhere):
    assert "nothing is kept of wiener: run python tests/golden/make.py wiener" in elsewhere.complaint("wiener")
    assert "kept in" in elsewhere.keep("wiener")
    assert not elsewhere.complaint("wiener")


def test_a_changed_result_wants_another_version_and_then_to_be_kept(elsewhere, monkeypatch):
    elsewhere.keep("wiener")
    before = elsewhere.path("wiener").read_bytes()
    found = elsewhere.current("wiener")
    monkeypatch.setattr(elsewhere, "current", lambda _: {**found, "gray": found["gray"] * 1.001})
    told = elsewhere.complaint("wiener")
    assert "gray by 1.0e-03" in told
    assert "raise its version in MethodInfo of nidbench.methods.wiener, then python tests/golden/make.py" in told
    assert elsewhere.keep("wiener") == told
    assert elsewhere.path("wiener").read_bytes() == before
    raised = {**elsewhere.versions("wiener"), "wiener": 99}
    monkeypatch.setattr(elsewhere, "versions", lambda _: raised)
    assert "changed (gray by 1.0e-03) with a version: keep them by" in elsewhere.complaint("wiener")
    assert "kept in" in elsewhere.keep("wiener")
    assert not elsewhere.complaint("wiener")
    assert elsewhere.kept("wiener")[1] == raised


def test_a_raised_version_without_another_result_is_fine(elsewhere, monkeypatch):
    elsewhere.keep("metric")
    monkeypatch.setattr(elsewhere, "versions", lambda _: {"metric": 99})
    assert not elsewhere.complaint("metric")


def test_results_of_other_names_or_shapes_are_other_results(golden):
    assert golden.deviations({"a": np.ones(3)}, {"a": np.ones(4), "b": np.ones(1)}) == {"a": np.inf, "b": np.inf}


class Slower(torch.optim.Adam):
    def __init__(self, parameters, **settings):
        super().__init__(parameters, betas=(0.9, 0.99), **settings)


def test_another_optimiser_is_noticed(golden, monkeypatch):
    monkeypatch.setattr(torch.optim, "Adam", Slower)
    assert "results of engine changed" in golden.complaint("engine")


@pytest.mark.parametrize("name", ["dip", "bpdip", "ours"])
def test_networks_without_their_biases_are_noticed(name, golden, monkeypatch):
    plain = torch.nn.functional.conv2d
    monkeypatch.setattr(
        torch.nn.functional, "conv2d", lambda x, w, _bias=None, *more, **rest: plain(x, w, None, *more, **rest)
    )
    assert f"results of {name} changed" in golden.complaint(name)
