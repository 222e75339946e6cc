"""The paper's numbers: Tables 2 to 9 of Chen, Quan, Pang, Ji, IJCV 2022, as data, by the names methods have here."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

from .errors import InputError, UnknownNameError
from .registry import unknown

#: The paper's names of methods -> labels here. Others cannot be run, or not as the paper ran them.
LABELS = {
    "Ours": "ours",
    "w/o SA": "ours:no-sa",
    "w/o Dropout": "ours:no-dropout",
    "w/o Aggregat.": "ours:no-aggregation",
    "w/o Replace.": "ours:no-replacement",
    "w/o Masking": "ours:no-masking",
    "DIP": "dip",
    "DIKP": "dikp",
    "DDec": "ddec",
    "BPDIP": "bpdip",
    "FID": "fid",
    "FCNN": "fcnn",
    "FDN": "fdn",
}


@cache
def tables() -> pd.DataFrame:
    """Return all numbers: table, dataset, kernels, noise, method, category, psnr (dB), ssim, label ("" if none)."""
    with (files("nidbench") / "published.csv").open(encoding="utf-8") as file:
        texts = ("table", "dataset", "kernels", "noise", "method", "category")
        frame = pd.read_csv(file, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values={"ssim": [""]})
    frame["label"] = frame["method"].map(LABELS).fillna("")
    return frame


def published(table: str, dataset: str, kernels: str, noise: str) -> dict[str, float]:
    """Return the PSNR, in dB, of each method of a table that can be run here, by label.

    Where the table has one dataset only, that one stands for any: an order of ablations, say, is a claim beyond it.

    Args:
        table: `table2` to `table9`.
        dataset: name as here, such as `set12`.
        kernels: name of the set, such as `levin`.
        noise: as on the command line, such as `gaussian:0.05`.

    Raises:
        UnknownNameError: for another table.
        InputError: for a dataset, kernels or noise that the table has not.
    """
    frame = tables()
    if table not in set(frame["table"]):
        raise UnknownNameError(unknown("table of the paper", table, frame["table"].unique()))
    rows = frame[frame["table"] == table]
    if rows["dataset"].nunique() > 1:
        rows = rows[rows["dataset"] == dataset]
    found = rows[(rows["kernels"] == kernels) & (rows["noise"] == noise)]
    if found.empty:
        there = sorted({" ".join(filter(None, each)) for each in rows[["dataset", "kernels", "noise"]].to_numpy()})
        raise InputError(f"{table} has no {dataset} {kernels} {noise}: it has {'; '.join(there) or 'another dataset'}")
    runnable = found[found["label"] != ""]
    return dict(zip(runnable["label"].tolist(), runnable["psnr"].tolist(), strict=True))
