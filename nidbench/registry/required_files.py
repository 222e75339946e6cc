"""The files that a dataset, kernel set or method needs, and the terms of their use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nidbench.contract.dataset import FilesByHand, MeasuredDataset
from nidbench.contract.method import NeedsFiles
from nidbench.errors import UnknownNameError, unknown
from nidbench.files.remote import RemoteFile

from .entry_points import Registry, load_dataset, load_kernels, load_method


def files_of(name: str) -> list[RemoteFile]:
    """Return the files to download for a dataset with its kernels, for a kernel set, or for a method.

    Raises:
        UnknownNameError: where the name is unknown.
    """
    return [file for owner in _owners(name) if isinstance(owner, NeedsFiles) for file in owner.files()]


def by_hand_of(name: str) -> list[RemoteFile]:
    """Return the files of a name that a person has to download.

    Raises:
        UnknownNameError: where the name is unknown.
    """
    return [file for owner in _owners(name) if isinstance(owner, FilesByHand) for file in owner.by_hand()]


def terms_of(name: str) -> Iterator[str]:
    """Yield lines with the licences and sources of a name: of a dataset also those of its kernels.

    Raises:
        UnknownNameError: where the name is unknown.
    """
    for owner in _owners(name):
        info = owner.info
        source = getattr(info, "source", "") or getattr(info, "paper", "")
        yield f"{info.title}: licence {info.licence or 'not known'}" + (f"; from {source}" if source else "")


def _owners(name: str) -> list[Any]:
    """Return the dataset, kernel set or method of a name; with a dataset its default kernel set."""
    datasets, kernels, methods = map(Registry.installed, ("dataset", "kernel set", "method"))
    if name.partition(":")[0] in datasets.targets:
        dataset = load_dataset(name)
        if isinstance(dataset, MeasuredDataset):  # it includes its kernels
            return [dataset]
        return [dataset, load_kernels(dataset.info.kernels.partition("/")[0])]
    if name in kernels.targets:
        return [load_kernels(name)]
    if name in methods.targets:
        return [load_method(methods, name)]
    known = {*datasets.targets, *kernels.targets, *methods.targets}
    raise UnknownNameError(unknown("dataset, kernel set or method", name, known))
