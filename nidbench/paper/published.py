"""The paper's numbers: Tables 2 to 9 of Chen, Quan, Pang, Ji, IJCV 2022, as data, by the names methods have here."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: The paper's names of methods -> labels here. Others cannot be run, see `QUOTED`.
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

_UNKNOWN_WEIGHTS = "its weights come from a link, and no hash of them is known to pin a download by"
_LARGE_WEIGHTS = "its weights are large files of its authors' repository, and no adapter reads them here"
_MATLAB = "its authors' program is for MATLAB and for research only, and no independent version is here"
_COMPILED = "its authors' program is in C++, and no independent version is here"

#: The paper's names of methods that are quoted only -> why they cannot be run here.
QUOTED = {
    "IBM3D": "the paper does not say whether it means IDD-BM3D or BM3D deblurring, which is bm3d here",
    "IRCNN": _LARGE_WEIGHTS,
    "CPCR": _LARGE_WEIGHTS,
    "RGDN": _LARGE_WEIGHTS,
    "DPDNN": "its models are for single kernels, and the paper trained its own",
    "NNet": "the public models are for images of 32x32 pixels, and the paper trained its own",
    "VEM": _UNKNOWN_WEIGHTS,
    "TLS": _UNKNOWN_WEIGHTS,
    "ASN": _UNKNOWN_WEIGHTS,
    "Cho et al.": _UNKNOWN_WEIGHTS,
    "DWDN": "the paper trained its own weights, which are not public",
    "VST-BM3D": "the paper does not say how it is put together for deblurring, and no code of it is known",
    "RWL2": "no code of it is known, and the paper does not give its settings",
    "MRD": _COMPILED,
    "Pan-L0": _MATLAB,
    "Pan-DCP": _MATLAB,
    "Yang & Ji": "no code of it is known",
    "Anger-L0": _COMPILED,
    "Anger-HN": _COMPILED,
}

#: Of `LABELS` what is run only where it is asked for by name -> why.
BY_NAME_ONLY = {"epll": "its authors' mixture was never run here: --methods epll asks for it"}


@cache
def _rows() -> Sequence[Mapping[str, str]]:
    """Return the rows of the file, as text: lists of tables need no pandas."""
    with (files("nidbench.paper") / "published.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def numbers() -> pd.DataFrame:
    """Return all numbers: table, dataset, kernels, noise, method, category, psnr (dB), ssim, label ("" if none)."""
    import pandas as pd

    scores = ({"psnr": float(row["psnr"]), "ssim": float(row["ssim"] or "nan")} for row in _rows())
    frame = pd.DataFrame([{**row, **numeric} for row, numeric in zip(_rows(), scores, strict=True)])
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
    wanted = {"table": table, "dataset": dataset, "kernels": kernels, "noise": noise}
    rows = [row for row in _rows() if wanted.items() <= row.items() and row["method"] in LABELS]
    return {LABELS[row["method"]]: float(row["psnr"]) for row in rows}
