"""The paper's numbers, against what its text says of them."""

import re
from pathlib import Path

from nidbench.paper.published import BY_NAME_ONLY, LABELS, QUOTED, numbers, published
from nidbench.registry.entry_points import Registry, load_method, methods
from nidbench.registry.method_spec import MethodSpec, parse_methods, resolve

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "docs" / "methods").is_dir())


def test_a_cell_of_table_2():
    found = published("table2", "set12", "levin", "gaussian:0.05")
    assert (found["ours"], found["dip"], found["fid"]) == (26.56, 24.06, 23.18)
    assert "IBM3D" not in found


def test_the_ablations_of_table_9_in_their_order():
    ablations = published("table9", "sun", "levin", "gaussian:0.05")
    assert min(ablations, key=ablations.__getitem__) == "ours:no-dropout"
    assert max(ablations, key=ablations.__getitem__) == "ours"


def test_table_8_repeats_set12_of_tables_2_and_4():
    """Its caption names another dataset."""
    for table, noise in (("table2", "gaussian:0.03"), ("table4", "poisson:128")):
        assert published("table8", "set12", "levin", noise)["ours"] == published(table, "set12", "levin", noise)["ours"]


def test_every_number_is_a_plausible_psnr_and_ssim():
    frame = numbers()
    assert len(frame) == 422
    assert frame["psnr"].between(7, 40).all()
    assert frame["ssim"].dropna().between(0, 1).all()
    assert not frame.duplicated(["table", "dataset", "kernels", "noise", "method"]).any()


def test_every_label_is_a_method_of_nidbench():
    known = Registry.installed("method").names()
    for label in LABELS.values():
        (spec,) = parse_methods(label)
        assert spec.name in known
        assert resolve(MethodSpec(spec.name, None, spec.variants), load_method(methods(), spec.name), None)


def test_every_system_either_runs_or_has_a_reason_why_not():
    assert set(numbers()["method"]) == LABELS.keys() | QUOTED.keys()
    assert not LABELS.keys() & QUOTED.keys()
    assert BY_NAME_ONLY.keys() <= set(LABELS.values())
    page = (ROOT / "docs" / "methods" / "index.md").read_text()
    assert dict(re.findall(r"^\| (?!\[)([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)).items() >= QUOTED.items()


def test_what_the_paper_has_not_is_nothing():
    assert published("table2", "sample", "levin", "gaussian:0.05") == {}
    assert published("table2", "set12", "levin", "gaussian:0.02") == {}
