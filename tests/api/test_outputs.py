"""Measurements made again for tables, pictures and figures: with a truth, with many, with none."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from nidbench.api.outputs import write_sheets
from nidbench.cases.source import cases
from nidbench.records import Planned, Store, Sweep
from nidbench.rescoring.measurements import Measurements
from nidbench.sweep.request import Experiment


@pytest.fixture
def sweep(tmp_path, pictures):
    """A sweep over two blurred images that are given, one of them with a truth."""
    for name in ("with", "without"):
        folder = tmp_path / "mine"
        files = {"blurred": pictures.blobs((1, 40, 46)), "kernels": pictures.lopsided()[None] / 255}
        if name == "with":
            files["truth"] = pictures.blobs((1, 40, 46), seed=1)
        for kind, image in files.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{name}.png").write_bytes(pictures.encoded(image))
    experiment = Experiment("dip", f"folder:{tmp_path / 'mine'}")
    (request,) = experiment.requests()
    keys = [case.key for case in cases(request)]
    cells = [
        Planned(id=key.image, label="dip", preset="fast", note="", case=key, declared="known", seed=0, method="dip")
        for key in keys
    ]
    return Sweep("given", {"experiments": [asdict(experiment)]}, cells)


def test_measurements_are_made_again_with_their_truths(sweep, pictures):
    measurements = Measurements(sweep)
    with_truth, without = (measurements.named(planned.case) for planned in sweep.cells)
    assert list(without.truths()) == []
    assert without.truth_hash() == ""
    (truth,) = with_truth.truths()
    assert np.array_equal(truth.image, pictures.blobs((1, 40, 46), seed=1))
    assert with_truth.problem().blurred.shape == (1, 40, 46)


def test_sheets_are_drawn_without_a_truth_too(sweep, make_record, tmp_path):
    store = Store(tmp_path / "results")
    cells = []
    for planned in sweep.cells:
        case = Measurements(sweep).named(planned.case)
        own = {"image_hash": case.image_hash, "kernel_hash": case.kernel_hash, "case": case.key}
        record = make_record("dip", truth_hash=case.truth_hash())
        cell = replace(record.cell, **own)
        store.write(replace(record, id=cell.id, cell=cell), {"image": np.full((1, 44, 52), 0.5)})
        cells.append(replace(planned, id=cell.id))
    sheets, count = write_sheets(store, replace(sweep, cells=cells), 9)
    assert count == len(sheets) == 2
    assert all(sheet.is_file() for sheet in sheets)
