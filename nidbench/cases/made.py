"""Cases that are made: sharp images, blurred here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nidbench.contract.dataset import Dataset
from nidbench.contract.truth import Truth
from nidbench.physics.arrays import Image, array_hash
from nidbench.physics.case_key import CaseKey
from nidbench.physics.measure import check_image, check_sizes, measure
from nidbench.physics.noise import NoiseSpec
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response

from .case import Case
from .crop import check_crop, middle
from .kernels import ChosenKernel, check_reach, taps_of, told_offset
from .request import CaseRequest


@dataclass(frozen=True)
class Degradation:
    """What happens after the blur.

    Attributes:
        noise: which keys the noise draw.
        response: of the camera.
        name: of both in keys and tables.
    """

    noise: str
    response: Response
    name: str


def degradations(request: CaseRequest, dataset: Dataset, bound: str | None) -> Iterator[Degradation]:
    """Yield what may happen after a blur by a kernel that binds this noise, or none."""
    own = Response.parse(dataset.info.response)
    responses = dict.fromkeys(map(Response.parse, request.responses)) or (own,)
    for asked in request.noises or ((bound,) if bound else dataset.info.noises):
        noise = str(NoiseSpec.parse(asked))
        for response in responses:
            yield Degradation(noise, response, noise if response == own else f"{noise}+{response}")


class MadeCases:
    """A dataset, or the middle of its images, that remembers those read last."""

    def __init__(self, dataset: Dataset, request: CaseRequest, notice: str) -> None:
        self._dataset, self._request, self._notice = dataset, request, notice
        self.image = lru_cache(maxsize=2)(self._load)
        self._x = lru_cache(maxsize=2)(lambda image, response: response.scene(self.image(image)))
        self._hash = lru_cache(maxsize=None)(lambda image, response: array_hash(self._x(image, response)))

    def _load(self, image: str) -> Image:
        whole = check_image(self._dataset.load(image))
        check_crop(image, self._request.crop, whole.shape[1:])
        return middle(whole, self._request.crop)

    def name(self, image: str) -> str:
        """Return the name under which an image, or its middle, is known: another image has other noise."""
        return image if self._request.crop is None else f"{image}@{self._request.crop}"

    def case(self, image: str, kernel: ChosenKernel, degradation: Degradation, seed: int) -> Case:
        """Return the case of an image under a kernel, a degradation and a noise draw.

        Raises:
            InputError: where the image is too small for the kernel, or the crop larger than the image.
        """
        height, width = self._frame(image, kernel)
        declared, response = self._request.declared, degradation.response
        key = CaseKey(self._request.dataset, self.name(image), kernel.name, degradation.name, seed)
        # one noise draw, whatever methods are told of the kernel and however the camera responds
        draw = replace(key, kernel=kernel.true, noise=degradation.noise)

        def problem() -> Problem:
            x: Image = self._x(image, response)
            y = measure(x, kernel.kernel(), degradation.noise, key=draw, response=response, declared=declared)
            return replace(y, kernel=kernel.told(image))

        def truths() -> Sequence[Truth]:
            true = kernel.kernel()
            shown, offset = response.apply(self._x(image, response)), told_offset(true, kernel.told(image))
            return [Truth(shown, offset, encoded=response.kind != "identity", taps=taps_of(true))]

        return Case(
            key=key,
            image_hash=self._hash(image, response),
            kernel_hash=kernel.identity(image),
            declared=declared,
            response=response,
            problem=problem,
            truths=truths,
            truth_hash=lambda: self._hash(image, response),  # x is the truth
            shape=(self.image(image).shape[0], height, width),
            notice=self._notice,
        )

    def _frame(self, image: str, kernel: ChosenKernel) -> tuple[int, int]:
        """Return (H, W) of the x that methods look for.

        Raises:
            InputError: where the image is too small for the kernel, or the one told too large for y.
        """
        true, told = kernel.kernel(), kernel.told(image)
        check_sizes(self.image(image), true)
        shown = [length - taps + 1 for length, taps in zip(self.image(image).shape[1:], true.shape, strict=True)]
        if self._request.crop is None:  # an estimate may well be larger than what a small crop leaves
            check_reach(told, shown, true.shape)
        return shown[0] + told.shape[0] - 1, shown[1] + told.shape[1] - 1
