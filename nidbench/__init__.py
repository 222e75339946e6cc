"""nidbench: which dataset-free deconvolution method is better, by how much beyond luck, and at what cost.

>>> import nidbench as nb
>>> results = nb.run(methods="ours,dip", dataset="sample", preset="fast")  # doctest: +SKIP
>>> results.summary, results.differences  # doctest: +SKIP

The names below are all there is to know to use it; each is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str  # read from the installed package when it is asked for
    from nidbench.api.comparing import psnr as psnr
    from nidbench.api.comparing import ssim as ssim
    from nidbench.api.exchanging import merge as merge
    from nidbench.api.exchanging import pack as pack
    from nidbench.api.files import Report as Report
    from nidbench.api.files import restore_file as restore_file
    from nidbench.api.registered import Findings as Findings
    from nidbench.api.registered import check as check
    from nidbench.api.registered import load_cases as load_cases
    from nidbench.api.registered import load_dataset as load_dataset
    from nidbench.api.registered import load_method as load_method
    from nidbench.api.restoring import measure as measure
    from nidbench.api.restoring import restore as restore
    from nidbench.api.restoring import score as score
    from nidbench.api.results import Restoration as Restoration
    from nidbench.api.results import Results as Results
    from nidbench.api.results import ResultsFolder as ResultsFolder
    from nidbench.api.results import open_results as open_results
    from nidbench.api.sweeping import run as run
    from nidbench.exchange import Merged as Merged
    from nidbench.exchange import Packed as Packed

#: Public name -> the module that it is imported from.
_HOMES = {
    "Findings": "nidbench.api.registered",
    "Merged": "nidbench.exchange",
    "Packed": "nidbench.exchange",
    "Report": "nidbench.api.files",
    "Restoration": "nidbench.api.results",
    "Results": "nidbench.api.results",
    "ResultsFolder": "nidbench.api.results",
    "check": "nidbench.api.registered",
    "load_cases": "nidbench.api.registered",
    "load_dataset": "nidbench.api.registered",
    "load_method": "nidbench.api.registered",
    "measure": "nidbench.api.restoring",
    "merge": "nidbench.api.exchanging",
    "open_results": "nidbench.api.results",
    "pack": "nidbench.api.exchanging",
    "psnr": "nidbench.api.comparing",
    "restore": "nidbench.api.restoring",
    "restore_file": "nidbench.api.files",
    "run": "nidbench.api.sweeping",
    "score": "nidbench.api.restoring",
    "ssim": "nidbench.api.comparing",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("nidbench")
    if name not in _HOMES:
        raise AttributeError(f"module 'nidbench' has no attribute {name!r}: there are {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
