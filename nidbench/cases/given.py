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
from nidbench.physics.arrays import array_hash
from nidbench.physics.case_key import MEASURED, CaseKey
from nidbench.physics.kernel import normalised
from nidbench.physics.noise import declared_noise
from nidbench.physics.problem import Problem

from .case import Case
from .crop import check_crop, middle_of
from .kernels import ChosenKernel, check_reach, choose_kernels, taps_of, told_offset
from .request import CaseRequest, choose_images, rotated


def given_cases(request: CaseRequest, dataset: MeasuredDataset) -> Iterator[Case]:
    """Yield the cases of blurred images that are given.

    Raises:
        UnknownNameError: for an image or kernel that the dataset has not.
        InputError: where noise, noise draws or a response are asked for, or a crop that leaves too little.
    """
    _check_given(request, set(dataset.info.noises))
    chosen = _choose_measured(request, dataset)
    notice = dataset.notice(list(dict.fromkeys(name for name, _ in chosen)))
    given = GivenCases(dataset, request.crop, request.declared, notice)
    for name, kernel in chosen:
        yield given.case(request.dataset, name, kernel)


def _choose_measured(request: CaseRequest, dataset: MeasuredDataset) -> list[tuple[str, ChosenKernel]]:
    """Return the images asked for, each with those of the kernels asked for that blurred it and can be told."""
    kernels = choose_kernels(request.kernels, dataset.info.kernels, partial(_own_kernels, request.dataset, dataset))
    images = choose_images(request, dataset)
    blurred = {name: [kernel for kernel in kernels if kernel.true in dataset.kernels(name)] for name in images}
    own = [(name, kernel) for name in images for kernel in rotated(request, dataset, name, blurred[name])]
    chosen = [(name, kernel) for name, kernel in own if _can_be_told(kernel)]
    lacking = dict.fromkeys(name for name, _ in own if name not in {name for name, _ in chosen})
    if lacking and (request.images or not chosen):
        named = ", ".join([*lacking][:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        raise InputError(
            f"{request.dataset}: nobody knows the kernel of {named}: give an estimate with --kernels estimated:PATH, "
            "or choose other --images"
        )
    if not chosen:
        raise InputError(
            f"{request.dataset}: {', '.join(images)} was not blurred by {', '.join(request.kernels)}: choose other "
            "--images or leave --kernels out"
        )
    return chosen


def _can_be_told(kernel: ChosenKernel) -> bool:
    """Return whether there is a kernel to tell: of one that nobody knows, only what takes its place."""
    return not kernel.true.endswith(f"/{UNKNOWN}") or getattr(kernel.error, "replaces", False)


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


def _own_kernels(name: str, dataset: MeasuredDataset, text: str) -> list[str]:
    """Return which of the kernels that a dataset's images were blurred by a text stands for: a set, or one of it."""
    own = list(dict.fromkeys(kernel for image in dataset.names() for kernel in dataset.kernels(image)))
    found = [kernel for kernel in own if text in (kernel, kernel.partition("/")[0])]
    if not found:
        raise UnknownNameError(
            f"{unknown(f'kernel of {name}', text, own)}; its images are given as these kernels blurred them: leave "
            "--kernels out, or choose among them"
        )
    return found


class GivenCases:
    """A dataset of blurred images that are given, or the middle of each, that remembers the one read last."""

    def __init__(self, dataset: MeasuredDataset, crop: int | None, declared: str, notice: str) -> None:
        self._dataset = dataset
        self._notice = notice
        self._crop = crop
        self._declared = declared
        self._measured = lru_cache(maxsize=2)(self._read)

    def case(self, dataset: str, image: str, kernel: ChosenKernel) -> Case:
        """Return the case of an image and one of its kernels, which methods are told, or another in its place."""
        seen, _ = self._measured(image, kernel.true)
        known = f"{array_hash(seen.blurred)} {seen.noise.kind} {seen.noise.level!r}"
        true, identity = seen.kernel, array_hash(seen.kernel)
        told = true if kernel.error is None else normalised(kernel.error.known_kernel(true, image, kernel.true))
        if self._crop is None:  # an estimate may well be larger than what a small crop leaves
            check_reach(told, seen.blurred.shape[1:], true.shape)
        noise = declared_noise(seen.noise, self._declared)

        def problem() -> Problem:
            return replace(self._measured(image, kernel.true)[0], kernel=told, noise=noise)

        def truths() -> Sequence[Truth]:
            top, left = self._measured(image, kernel.true)[1]
            rows, columns = told_offset(true, told)
            sharp = self._dataset.truths(image, kernel.true)
            return [truth.moved(rows - top, columns - left, taps_of(true)) for truth in sharp]

        height, width = replace(seen, kernel=told).frame
        return Case(
            key=CaseKey(dataset, image if self._crop is None else f"{image}@{self._crop}", kernel.name, MEASURED),
            image_hash=hashlib.sha256(known.encode()).hexdigest(),
            kernel_hash=identity if kernel.error is None else f"{identity}@{array_hash(told)}",
            declared=self._declared,
            response=seen.response,
            problem=problem,
            truths=truths,
            truth_hash=lambda: _truth_hash(self._dataset, image, kernel.true),
            shape=(seen.blurred.shape[0], height, width),
            notice=self._notice,
        )

    def _read(self, image: str, kernel: str) -> tuple[Problem, tuple[int, int]]:
        try:
            whole = self._dataset.measured(image, kernel)
            check_reach(whole.kernel, whole.blurred.shape[1:])
            check_crop(image, self._crop, whole.frame)
            return middle_of(whole, self._crop)
        except InputError as error:
            raise InputError(f"image {image!r} with kernel {kernel!r}: {error}") from error


def _truth_hash(dataset: MeasuredDataset, image: str, kernel: str) -> str:
    if isinstance(dataset, KnownTruths):
        return dataset.truth_hash(image, kernel)
    told = [f"{array_hash(truth.image)} {truth.offset} {truth.encoded}" for truth in dataset.truths(image, kernel)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest() if told else ""
