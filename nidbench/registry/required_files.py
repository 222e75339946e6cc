"""Which files a name on the command line stands for, and on what terms they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nidbench.contract.dataset import FilesByHand, MeasuredDataset
from nidbench.contract.method import NeedsFiles
from nidbench.errors import UnknownNameError, unknown
from nidbench.files.remote import RemoteFile

from .entry_points import Registry, load_dataset, load_kernels, load_method


def files_of(name: str) -> list[RemoteFile]:
    """Return what to fetch of a dataset (with its default kernels, or its own), of a kernel set, or of a method.

    Raises:
        UnknownNameError: where nothing has the name.
    """
    return [file for owner in _owners(name) if isinstance(owner, NeedsFiles) for file in owner.files()]


def by_hand_of(name: str) -> list[RemoteFile]:
    """Return those files of a name that only a person can get.

    Raises:
        UnknownNameError: where nothing has the name.
    """
    return [file for owner in _owners(name) if isinstance(owner, FilesByHand) for file in owner.by_hand()]


def terms_of(name: str) -> Iterator[str]:
    """Yield on what terms the files of a name come, a line for each of what it stands for."""
    for owner in _owners(name):
        info = owner.info
        source = getattr(info, "source", "") or getattr(info, "paper", "")
        yield f"{info.title}: licence {info.licence or 'not known'}" + (f"; from {source}" if source else "")


def _owners(name: str) -> list[Any]:
    """Return the dataset, kernel set or method of a name, and of a dataset the kernels that it is blurred by."""
    datasets, kernels, methods = map(Registry.installed, ("dataset", "kernel set", "method"))
    if name.partition(":")[0] in datasets.targets:
        dataset = load_dataset(name)
        own = [] if isinstance(dataset, MeasuredDataset) else [load_kernels(dataset.info.kernels.partition("/")[0])]
        return [dataset, *own]
    if name in kernels.targets:
        return [load_kernels(name)]
    if name in methods.targets:
        return [load_method(methods, name)]
    known = {*datasets.targets, *kernels.targets, *methods.targets}
    raise UnknownNameError(unknown("dataset, kernel set or method", name, known))
