"""From names to measurements: datasets x images x kernels x noises x noise seeds, or what was measured already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from nidbench.contract.dataset import Dataset, Labelled, MeasuredDataset, Noticed
from nidbench.errors import InputError
from nidbench.physics.noise import declared_factor
from nidbench.registry.entry_points import load_dataset

from .case import Case
from .given import given_cases
from .kernels import choose_kernels
from .made import MadeCases, degradations
from .request import CaseRequest, choose_images, rotated


def cases(request: CaseRequest) -> Iterator[Case]:
    """Yield the cases asked for, image by image; measurements and truths are made when called for.

    Raises:
        UnknownNameError: for a dataset, kernel or image that there is not.
        InputError: for a noise, response or limit that breaks a rule, or an image too small for a kernel.
        DataError: for files that are missing and cannot be fetched.
    """
    declared_factor(request.declared)
    if request.crop is not None and request.crop < 1:
        raise InputError(f"crop {request.crop}: give the side of a square in pixels, such as 96")
    dataset = load_dataset(request.dataset)
    request = replace(request, dataset=dataset_name(request.dataset, dataset))
    if isinstance(dataset, MeasuredDataset):
        yield from given_cases(request, dataset)
        return
    kernels, images = choose_kernels(request.kernels, dataset.info.kernels), choose_images(request, dataset)
    loaded = MadeCases(dataset, request, dataset.notice(images) if isinstance(dataset, Noticed) else "")
    for name in images:
        for kernel in rotated(request, dataset, name, kernels):
            for degradation in degradations(request, dataset, kernel.noise):
                for seed in request.noise_seeds:
                    yield loaded.case(name, kernel, degradation, seed)


def dataset_name(text: str, dataset: Dataset | MeasuredDataset) -> str:
    """Return the name of a dataset in keys and tables: where a folder lies is no part of what it holds."""
    return f"{text.partition(':')[0]}:{dataset.label}" if isinstance(dataset, Labelled) else text
