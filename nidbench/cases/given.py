"""Cases that are given: images that came blurred."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial

from nidbench.contract.dataset import KnownTruths, MeasuredDataset
from nidbench.contract.kernel_set import UNKNOWN
from nidbench.contract.truth import Truth
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.arrays import Kernel, array_hash
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.physics.kernel import normalised
from nidbench.physics.noise import declared_noise
from nidbench.physics.problem import Problem

from .case import Case
from .crop import check_crop, middle_of
from .kernels import ChosenKernel, check_reach, choose_kernels, frame_offset, taps_of
from .request import CaseRequest, choose_images, rotated
from .unchanged import Unchanged

#: Images named in a message, where more lack a kernel.
_NAMED = 3


class GivenCases:
    """The cases of a dataset of blurred images, or of their middle; those read last are kept for the next case.

    Args:
        request: what is asked for.
        dataset: has the images.

    Attributes:
        chosen: the images asked for, each with one of the kernels that blurred it.

    Raises:
        UnknownNameError: for an image or kernel that the dataset has not.
        InputError: where noise, noise draws or a response are asked for, or images whose kernels nobody knows.
    """

    def __init__(self, request: CaseRequest, dataset: MeasuredDataset) -> None:
        _check_given(request, set(dataset.info.noises))
        self._request, self._dataset = request, dataset
        self.chosen: Sequence[tuple[str, ChosenKernel]] = _choose(request, dataset)
        self._notice = dataset.notice(list(dict.fromkeys(image for image, _ in self.chosen)))
        self._unchanged = Unchanged()
        self._measured = lru_cache(maxsize=2)(self._read)

    def cases(self, image: str, kernel: ChosenKernel) -> Iterator[Case]:
        """Yield the one case of an image and a kernel that blurred it.

        Raises:
            InputError: for a crop that leaves too little, or a kernel that is larger than the blurred image.
        """
        seen, _ = self._measured(image, kernel.true)
        identity, handed = array_hash(seen.kernel), _handed(seen.kernel, image, kernel)
        if self._request.crop is None:  # an estimate may well be larger than what a small crop leaves
            check_reach(handed, seen.blurred.shape[1:], seen.kernel.shape)
        noise = declared_noise(seen.noise, self._request.declared)

        def problem() -> Problem:
            return replace(self._measured(image, kernel.true)[0], kernel=handed, noise=noise)

        yield Case(
            key=CaseKey(self._request.dataset, self._request.image_name(image), kernel.name, MEASURED),
            image_hash=_hash_of(seen),
            kernel_hash=identity if kernel.error is None else f"{identity}@{array_hash(handed)}",
            declared=self._request.declared,
            response=seen.response,
            problem=problem,
            truths=lambda: self._truths(image, kernel.true, handed),
            truth_hash=lambda: _truth_hash(self._dataset, image, kernel.true),
            shape=replace(seen, kernel=handed).shape,
            notice=self._notice,
        )

    def _truths(self, image: str, kernel: str, handed: Kernel) -> Sequence[Truth]:
        """Return the sharp images, each at its place in the frame of the x that methods look for."""
        seen, (top, left) = self._measured(image, kernel)
        rows, columns = frame_offset(seen.kernel, handed)
        taps = taps_of(seen.kernel)
        return [truth.moved(rows - top, columns - left, taps) for truth in self._dataset.truths(image, kernel)]

    def _read(self, image: str, kernel: str) -> tuple[Problem, tuple[int, int]]:
        """Return the measurement, or its middle, and where that begins in the frame of the whole."""
        try:
            whole = self._dataset.measured(image, kernel)
            check_reach(whole.kernel, whole.blurred.shape[1:])
            check_crop(image, self._request.crop, whole.frame)
            seen, corner = middle_of(whole, self._request.crop)
        except InputError as error:
            raise InputError(f"image {image!r} with kernel {kernel!r}: {error}") from error
        content = f"{_hash_of(seen)} {array_hash(seen.kernel)}"
        self._unchanged.check((image, kernel), content, f"{self._request.dataset}: image {image}, or kernel {kernel},")
        return seen, corner


def _hash_of(seen: Problem) -> str:
    """Return the SHA-256 of a blurred image and of what is known of its noise."""
    known = f"{array_hash(seen.blurred)} {seen.noise.kind} {seen.noise.level!r}"
    return hashlib.sha256(known.encode()).hexdigest()


def _handed(true: Kernel, image: str, kernel: ChosenKernel) -> Kernel:
    """Return the kernel that methods are handed: the true one, or what the kernel error puts in its place."""
    return true if kernel.error is None else normalised(kernel.error.known_kernel(true, image, kernel.true))


def _check_given(request: CaseRequest, noises: set[str]) -> None:
    remedy = "in a sweep with other datasets, give it an [[experiment]] of its own"
    if not set(request.noises) <= noises:
        raise InputError(
            f"{request.dataset} has blurred images that are given, noise and all, so that noise "
            f"{', '.join(request.noises)} cannot be made: leave --noise out; {remedy}"
        )
    if request.responses:
        raise InputError(
            f"{request.dataset} has blurred images that are given, as a camera stored them, so that its response "
            f"cannot be {', '.join(request.responses)}: leave --response out; {remedy}"
        )
    if request.noise_seeds != (0,):
        raise InputError(
            f"{request.dataset} has one measurement of each image and kernel, so that there are no noise draws "
            f"{', '.join(map(str, request.noise_seeds))}: leave --noise-seeds out; {remedy}"
        )


def _choose(request: CaseRequest, dataset: MeasuredDataset) -> list[tuple[str, ChosenKernel]]:
    """Return the images asked for, each with those of the kernels asked for that blurred it and can be handed over."""
    kernels = choose_kernels(request.kernels, dataset.info.kernels, partial(_blurred_by, request.dataset, dataset))
    images = choose_images(request, dataset)
    blurred = {image: [kernel for kernel in kernels if kernel.true in dataset.kernels(image)] for image in images}
    asked = [(image, kernel) for image in images for kernel in rotated(request, dataset, image, blurred[image])]
    chosen = [(image, kernel) for image, kernel in asked if _can_be_handed(kernel)]
    _check_chosen(request, images, asked, chosen)
    return chosen


def _check_chosen(
    request: CaseRequest,
    images: Sequence[str],
    asked: Sequence[tuple[str, ChosenKernel]],
    chosen: Sequence[tuple[str, ChosenKernel]],
) -> None:
    """Refuse images that were named and whose kernels nobody knows, and a choice that leaves nothing."""
    known = {image for image, _ in chosen}
    lacking = list(dict.fromkeys(image for image, _ in asked if image not in known))
    if lacking and (request.images or not chosen):
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise InputError(
            f"{request.dataset}: nobody knows the kernel of {', '.join(lacking[:_NAMED])}{more}: give an estimate with "
            "--kernels estimated:PATH, or choose other --images"
        )
    if not chosen:
        raise InputError(
            f"{request.dataset}: {', '.join(images)} was not blurred by {', '.join(request.kernels)}: choose other "
            "--images or leave --kernels out"
        )


def _can_be_handed(kernel: ChosenKernel) -> bool:
    """Return whether there is a kernel to hand over: of one that nobody knows, only what takes its place."""
    return not kernel.true.endswith(f"/{UNKNOWN}") or getattr(kernel.error, "replaces", False)


def _blurred_by(name: str, dataset: MeasuredDataset, text: str) -> list[str]:
    """Return which of the kernels that blurred a dataset's images a text stands for: a set, or one of its kernels."""
    there = list(dict.fromkeys(kernel for image in dataset.names() for kernel in dataset.kernels(image)))
    fitting = [kernel for kernel in there if text in (kernel, kernel.partition("/")[0])]
    if not fitting:
        raise UnknownNameError(
            f"{unknown(f'kernel of {name}', text, there)}; its images are given as these kernels blurred them: leave "
            "--kernels out, or choose among them"
        )
    return fitting


def _truth_hash(dataset: MeasuredDataset, image: str, kernel: str) -> str:
    if isinstance(dataset, KnownTruths):
        return dataset.truth_hash(image, kernel)
    lines = [f"{array_hash(truth.image)} {truth.offset} {truth.encoded}" for truth in dataset.truths(image, kernel)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""
