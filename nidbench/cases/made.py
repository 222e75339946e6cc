"""Cases that are made: sharp images, blurred here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from nidbench.contract.dataset import Dataset, Noticed
from nidbench.contract.truth import Truth
from nidbench.errors import InputError
from nidbench.physics.arrays import Image, Kernel, array_hash
from nidbench.physics.case_key import CaseKey
from nidbench.physics.measure import check_image, check_sizes, measure
from nidbench.physics.noise import NoiseSpec
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response

from .case import Case
from .crop import check_crop, middle
from .kernels import ChosenKernel, check_reach, choose_kernels, frame_offset, taps_of
from .request import CaseRequest, choose_images, rotated
from .unchanged import Unchanged


@dataclass(frozen=True)
class Degradation:
    """What happens after the blur.

    Attributes:
        noise: the noise specification, which keys the noise draw.
        response: the camera's response.
        name: the name of both in keys and tables.
    """

    noise: str
    response: Response
    name: str


def degradations(request: CaseRequest, dataset: Dataset, bound: str | None) -> Iterator[Degradation]:
    """Yield the degradations asked for after a blur by a kernel.

    Args:
        request: what is asked for.
        dataset: says which noise and response are usual.
        bound: the noise that the kernel binds; None where it binds none.

    Raises:
        InputError: for a noise or response that breaks a rule.
    """
    usual = Response.parse(dataset.info.response)
    responses = dict.fromkeys(map(Response.parse, request.responses)) or (usual,)
    for asked in request.noises or ((bound,) if bound else dataset.info.noises):
        noise = str(NoiseSpec.parse(asked))
        for response in responses:
            yield Degradation(noise, response, noise if response == usual else f"{noise}+{response}")


class MadeCases:
    """The cases of a dataset of sharp images, or of their middle; those read last are kept for the next case.

    Args:
        request: what is asked for.
        dataset: has the images.

    Attributes:
        chosen: the images asked for, each with one of its kernels.

    Raises:
        UnknownNameError: for an unknown image or kernel.
        InputError: for a limit or kernel error that breaks a rule.
    """

    def __init__(self, request: CaseRequest, dataset: Dataset) -> None:
        self._request, self._dataset = request, dataset
        kernels = choose_kernels(request.kernels, dataset.info.kernels)
        images = choose_images(request, dataset)
        self._notice = dataset.notice(images) if isinstance(dataset, Noticed) else ""
        self.chosen: Sequence[tuple[str, ChosenKernel]] = [
            (image, kernel) for image in images for kernel in rotated(request, dataset, image, kernels)
        ]
        self._unchanged = Unchanged()
        self._image = lru_cache(maxsize=2)(self._load)
        self._x = lru_cache(maxsize=2)(lambda image, response: response.scene(self._image(image)))
        self._hash = lru_cache(maxsize=None)(lambda image, response: array_hash(self._x(image, response)))

    def _load(self, image: str) -> Image:
        whole = check_image(self._dataset.load(image))
        check_crop(image, self._request.crop, whole.shape[1:])
        cut = middle(whole, self._request.crop)
        self._unchanged.check(image, array_hash(cut), f"{self._request.dataset}: image {image}")
        return cut

    def _handed(self, image: str, kernel: ChosenKernel) -> Kernel:
        """Return the kernel that methods are handed; files of estimates are read anew at every call."""
        handed = kernel.handed(image)
        self._unchanged.check((image, kernel.name), array_hash(handed), f"kernel {kernel.name} for image {image}")
        return handed

    def cases(self, image: str, kernel: ChosenKernel) -> Iterator[Case]:
        """Yield the cases of an image under a kernel: one for each degradation and noise draw.

        Raises:
            InputError: for a noise or response that breaks a rule, where the image is too small for the kernel, or the
                crop larger than the image.
        """
        for degradation in degradations(self._request, self._dataset, kernel.noise):
            for seed in self._request.noise_seeds:
                yield self._case(image, kernel, degradation, seed)

    def _case(self, image: str, kernel: ChosenKernel, degradation: Degradation, seed: int) -> Case:
        height, width = self._frame(image, kernel)
        declared, response = self._request.declared, degradation.response
        key = CaseKey(self._request.dataset, self._request.image_name(image), kernel.name, degradation.name, seed)
        # one noise draw, whichever kernel methods are handed and however the camera responds
        draw = replace(key, kernel=kernel.true, noise=degradation.noise)

        def problem() -> Problem:
            x: Image = self._x(image, response)
            y = measure(x, kernel.kernel(), degradation.noise, key=draw, response=response, declared=declared)
            return replace(y, kernel=self._handed(image, kernel))

        def truths() -> Sequence[Truth]:
            true = kernel.kernel()
            shown, offset = response.apply(self._x(image, response)), frame_offset(true, self._handed(image, kernel))
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
            shape=(self._image(image).shape[0], height, width),
            notice=self._notice,
        )

    def _frame(self, image: str, kernel: ChosenKernel) -> tuple[int, int]:
        """Return (H, W) of the x that methods look for.

        Raises:
            InputError: where the image is too small for the kernel that blurs, or y for the one handed to methods.
        """
        true, handed = kernel.kernel(), self._handed(image, kernel)
        try:
            check_sizes(self._image(image), true)
        except InputError as error:
            raise InputError(f"{self._request.dataset}, {self._request.image_name(image)}: {error}") from error
        shown = [length - taps + 1 for length, taps in zip(self._image(image).shape[1:], true.shape, strict=True)]
        if self._request.crop is None:  # an estimate may well be larger than what a small crop leaves
            check_reach(handed, shown, true.shape)
        return shown[0] + handed.shape[0] - 1, shown[1] + handed.shape[1] - 1
