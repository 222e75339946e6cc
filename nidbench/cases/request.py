"""Which measurements of a dataset are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

from nidbench.contract.dataset import Dataset, MeasuredDataset
from nidbench.errors import InputError, UnknownNameError, unknown

from .kernels import ChosenKernel


@dataclass(frozen=True)
class CaseRequest:
    """Which measurements of one dataset are asked for.

    Attributes:
        dataset: registered name, with its argument where it takes one: `folder:PATH`.
        kernels: sets or single kernels, as `kernels.choose_kernels` reads them; empty for the dataset's default.
        noises: noise specifications; empty for the dataset's default, or those bound to the kernels.
        images: names; empty for all.
        limit: at most so many images, in the dataset's order.
        noise_seeds: noise draws.
        declared: what methods are told of the noise level, see `declared_noise`.
        crop: side in pixels of the square cut from the middle of each image, named `02@96`; None for whole images.
            An axis that is not longer stays whole.
        responses: of the camera, see `Response.parse`; empty for the dataset's own. Images are as the camera shows
            them, so that it blurs `Response.scene` of an image, and restorations are compared after g. One that is not
            the dataset's own comes after the noise in a measurement's name: `gaussian:0.01+gamma:2.2:8bit`.
        rotate_kernels: whether image i of the dataset has one of the n kernels only, number i mod n. This chooses some
            of all measurements that use images and kernels alike, the same for an image whatever others are asked for.
    """

    dataset: str
    _: KW_ONLY
    kernels: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    limit: int | None = None
    noise_seeds: tuple[int, ...] = (0,)
    declared: str = "known"
    crop: int | None = None
    responses: tuple[str, ...] = ()
    rotate_kernels: bool = False

    def image_name(self, image: str) -> str:
        """Return the name that an image, or its middle, has in keys: `02@96` has other noise than `02`."""
        return image if self.crop is None else f"{image}@{self.crop}"


def choose_images(request: CaseRequest, dataset: Dataset | MeasuredDataset) -> Sequence[str]:
    """Return the names of the images asked for, in the order of the dataset.

    Raises:
        UnknownNameError: for an image that the dataset has not.
        InputError: for a limit below 1.
    """
    names = dataset.names()
    for name in request.images:
        if name not in names:
            raise UnknownNameError(unknown(f"image of {request.dataset}", name, names))
    if request.limit is not None and request.limit < 1:
        raise InputError(f"limit {request.limit}: give at least 1 image")
    return [name for name in names if not request.images or name in request.images][: request.limit]


def rotated(
    request: CaseRequest, dataset: Dataset | MeasuredDataset, image: str, kernels: Sequence[ChosenKernel]
) -> Sequence[ChosenKernel]:
    """Return which of its kernels an image is asked for with."""
    if not request.rotate_kernels or not kernels:
        return kernels
    return [kernels[dataset.names().index(image) % len(kernels)]]
