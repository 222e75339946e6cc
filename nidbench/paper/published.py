"""The paper's numbers: Tables 2 to 9 of Chen, Quan, Pang, Ji, IJCV 2022, as data, by the names methods have here."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import pandas as pd

#: The paper's names of methods -> labels here. Others cannot be run, or not as the paper ran them: IBM3D is of an
#: unnamed version, and of the rest neither code nor weights can be had.
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
    "DMSP": "dmsp",
    "EPLL": "epll",
    "SelfDeblur": "selfdeblur",
}

#: Of them what is run only where it is asked for by name -> why.
BY_NAME_ONLY = {"epll": "its authors' mixture was never run here: --methods epll asks for it"}


@cache
def numbers() -> pd.DataFrame:
    """Return all numbers: table, dataset, kernels, noise, method, category, psnr (dB), ssim, label ("" if none)."""
    with (files("nidbench.paper") / "published.csv").open(encoding="utf-8") as file:
        texts = ("table", "dataset", "kernels", "noise", "method", "category")
        frame = pd.read_csv(file, dtype=dict.fromkeys(texts, "str"), keep_default_na=False, na_values={"ssim": [""]})
    frame["label"] = frame["method"].map(LABELS).fillna("")
    return frame


def published(table: str, dataset: str, kernels: str, noise: str) -> dict[str, float]:
    """Return the PSNR, in dB, of each method of a row of a table that can be run here, by label; none for no such row.

    Args:
        table: `table2` to `table9`.
        dataset: as the paper's row has it, see `conditions.Condition.key`.
        kernels: likewise.
        noise: likewise.
    """
    frame = numbers()
    rows = frame[(frame["table"] == table) & (frame["dataset"] == dataset) & (frame["kernels"] == kernels)]
    runnable = rows[(rows["noise"] == noise) & (rows["label"] != "")]
    return dict(zip(runnable["label"].tolist(), runnable["psnr"].tolist(), strict=True))
