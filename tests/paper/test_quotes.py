"""The paper's numbers beside a sweep's own, each in the row of its method."""

import io

import pandas as pd
import pytest

from nidbench.analysis.cells import SweepCells
from nidbench.errors import InputError, UnknownNameError
from nidbench.paper.published import published
from nidbench.paper.quotes import columns_beside
from nidbench.report.results_table import render

PUBLISHED = published("table2", "set12", "levin", "gaussian:0.05")


def shown(cells, name, **where):
    """Return the PSNR and SSIM of the paper in each row of the table: (noise, method) -> texts."""
    text = render(cells, beside=list(columns_beside(name=name)), **where)
    header, _, *rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"
    ]
    places = [header.index(title) for title in ("PSNR paper", "SSIM paper")]
    found, noise = {}, ""
    for cells_of_row in rows:
        noise = cells_of_row[header.index("noise")] or noise
        found[noise, cells_of_row[header.index("method")]] = tuple(cells_of_row[place] for place in places)
    return found


def test_every_method_of_the_table_has_its_number(make_record, make_store):
    records = [
        make_record(method, image, dataset="set12", noise=noise)
        for method in ("ours", "ours:no-sa", "fdn", "tv")
        for image in ("01", "02")
        for noise in ("gaussian:0.05", "gaussian:0.04")
    ]
    found = shown(SweepCells.read(*make_store(*records)), "table2")
    assert found["gaussian:0.05", "ours"] == (f"{PUBLISHED['ours']:.2f}", "0.770")
    assert found["gaussian:0.05", "fdn"] == (f"{PUBLISHED['fdn']:.2f}", "0.757")
    nothing = ("\N{EN DASH}", "\N{EN DASH}")
    assert [found["gaussian:0.05", method] for method in ("input", "tv", "ours:no-sa")] == [nothing] * 3
    assert {found["gaussian:0.04", method] for method in ("input", "tv", "ours", "fdn")} == {nothing}


def test_a_table_without_anything_of_the_sweep_is_refused(make_record, make_store):
    cells = SweepCells.read(*make_store(make_record("ours", "cat", dataset="folder")))
    with pytest.raises(
        InputError, match="table2 has no method of the sweep where that was measured; it has levin levin"
    ):
        shown(cells, "table2")
    with pytest.raises(UnknownNameError, match="table12"):
        shown(cells, "table12")


def test_a_blind_method_beside_two_sets_of_estimates_has_its_number_once(make_record, make_store):
    """Its cells count beside each set in a comparison, and are one row of a table."""
    blind = [make_record("selfdeblur", image, dataset="set12", noise="gaussian:0.01") for image in ("01", "02")]
    told = [
        make_record("ours", "01", dataset="set12", noise="gaussian:0.01", kernel=f"levin@estimated:{name}/1")
        for name in ("a", "b")
    ]
    text = render(SweepCells.read(*make_store(*blind, *told)), "csv", beside=list(columns_beside(name="table6")))
    rows = pd.read_csv(io.StringIO(text))
    assert rows[rows["method"] == "selfdeblur"]["published_psnr"].notna().tolist() == [True]
    assert rows[rows["method"] == "ours"]["published_psnr"].notna().all()
