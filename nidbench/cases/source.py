"""From a request to its cases, whether their blurred images are made here or given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from nidbench.contract.dataset import Dataset, Labelled, MeasuredDataset
from nidbench.errors import InputError
from nidbench.physics.noise import declared_factor
from nidbench.registry.entry_points import load_dataset

from .case import Case
from .given import GivenCases
from .kernels import ChosenKernel
from .made import MadeCases
from .request import CaseRequest


class CaseSource(Protocol):
    """The cases of one dataset that a request asks for.

    Attributes:
        chosen: the images asked for, each with one of its kernels, in the order of their cases.
    """

    chosen: Sequence[tuple[str, ChosenKernel]]

    def cases(self, image: str, kernel: ChosenKernel) -> Iterator[Case]:
        """Yield the cases of an image under one of its kernels."""


def cases(request: CaseRequest) -> Iterator[Case]:
    """Yield the cases asked for, image by image; measurements and truths are made when called for.

    Raises:
        UnknownNameError: for an unknown dataset, kernel or image.
        InputError: for a noise, response or limit that breaks a rule, or an image too small for a kernel.
        DataError: for files that are missing and cannot be fetched.
    """
    _check(request)
    dataset = load_dataset(request.dataset)
    source = case_source(replace(request, dataset=dataset_name(request.dataset, dataset)), dataset)
    for image, kernel in source.chosen:
        yield from source.cases(image, kernel)


def _check(request: CaseRequest) -> None:
    declared_factor(request.declared)
    if request.crop is not None and request.crop < 1:
        raise InputError(f"crop {request.crop}: give the side of a square in pixels, such as 96")


def case_source(request: CaseRequest, dataset: Dataset | MeasuredDataset) -> CaseSource:
    """Return what makes or reads the cases that a request asks of its dataset.

    Raises:
        NidbenchError: as `cases`, for what is asked of the dataset and is not there.
    """
    if isinstance(dataset, MeasuredDataset):
        return GivenCases(request, dataset)
    return MadeCases(request, dataset)


def dataset_name(text: str, dataset: Dataset | MeasuredDataset) -> str:
    """Return the name of a dataset in keys and tables: where a folder lies is no part of what it holds."""
    return f"{text.partition(':')[0]}:{dataset.label}" if isinstance(dataset, Labelled) else text
