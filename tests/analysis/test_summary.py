"""Means of methods: over images, each of which counts once."""

import numpy as np
import pandas as pd
import pytest
from frames import cells_frame

from nidbench.analysis.cells import _TYPES, _UNKNOWN
from nidbench.analysis.differences import differences_frame
from nidbench.analysis.summary import source_lines, summary_frame


def cells_of(kernels: dict[str, int]) -> pd.DataFrame:
    """Return cells of two methods on images under so many kernels each; `wide` is ahead on the first image alone."""
    random, rows = np.random.default_rng(0), []
    for number, (image, count) in enumerate(kernels.items()):
        for kernel in range(count):
            base = 25 + random.normal()
            for method, ahead in (("wide", -0.5 if number else 0.6), ("tall", 0.0)):
                rows.append(
                    {**_UNKNOWN, "label": method, "preset": "p", "dataset": "d", "image": image, "kernel_set": "s"}
                    | {"kernel": f"s/{kernel}", "noise": "gaussian:0.01", "declared": "known", "status": "done"}
                    | {"psnr": base + ahead + random.normal(0, 0.02), "ssim": 0.5, "input_psnr": base - 5}
                    | {"input_ssim": 0.3, "seconds": 1.0, "iterations": 1.0, "noise_seed": 0, "seed": 0}
                )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def test_mean_interval_difference_and_leader_are_of_one_quantity_where_images_have_other_numbers_of_cells():
    cells = cells_of({"0": 60} | {str(number): 1 for number in range(1, 10)})
    rows = summary_frame(cells).set_index("method")
    for method in ("wide", "tall"):
        row = rows.loc[method]
        by_image = cells[cells["label"] == method].groupby("image")["psnr"].mean()
        assert row["psnr"] == pytest.approx(by_image.mean())
        assert row["psnr_low"] < row["psnr"] < row["psnr_high"]
        assert "images have 1 to 60 cells, and each counts once in means" in row["notes"]
    inputs = cells[cells["label"] == "tall"].groupby("image")["input_psnr"].mean()
    assert rows.loc["input", "psnr"] == pytest.approx(inputs.mean())
    (difference,) = differences_frame(cells, "tall").to_dict("records")
    assert difference["difference"] == pytest.approx(rows.loc["wide", "psnr"] - rows.loc["tall", "psnr"])
    assert rows.loc["tall", "psnr"] > rows.loc["wide", "psnr"]
    assert rows.loc["tall", "best"]


def test_images_of_equal_numbers_of_cells_have_the_plain_mean_and_no_note():
    cells = cells_of({str(number): 3 for number in range(6)})
    rows = summary_frame(cells).set_index("method")
    plain = cells.groupby("label")["psnr"].mean()
    assert rows.loc["wide", "psnr"] == pytest.approx(plain["wide"])
    assert "counts once" not in str(rows.loc["wide", "notes"])


def test_cells_that_were_computed_in_different_ways_are_told_of_where_tables_have_no_column_for_it(
    make_record, make_store
):
    records = [make_record(method, image) for method in ("ours", "dip", "ddec") for image in ("cat", "dog")]
    cells = cells_frame(*make_store(*records, make_record("ours", "cow", status="failed", error="no")))
    assert source_lines(cells) == []
    ways = ["bf16", "bf16", "bf16", "float32", "float32", "float32", ""]
    mixed = cells.assign(precision=ways, device=["cuda:0", "cuda:0", "cpu", "cpu", "cpu", "cpu", ""])
    assert source_lines(mixed) == [
        "ours: computed in bf16",
        "ours: computed on cuda:0",
        "dip: computed in bf16 and float32",
        "dip, ddec: computed on cpu",
        "ddec: computed in float32",
    ]
