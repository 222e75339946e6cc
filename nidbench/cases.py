"""From names to measurements: datasets x images x kernels x noises x noise seeds, or what was measured already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from .contract import (
    MEASURED,
    Case,
    CaseKey,
    Dataset,
    Image,
    Kernel,
    Labelled,
    MeasuredDataset,
    Noise,
    Problem,
    Truth,
    normalised,
)
from .degrade import SMALLEST_VALID, NoiseSpec, check_image, check_sizes, declared_level, measure, parse_response
from .errors import InputError, UnknownNameError
from .kernels import ChosenKernel, choose_kernels
from .records import array_hash
from .registry import load_dataset, unknown


@dataclass(frozen=True)
class CaseRequest:
    """Which measurements of one dataset are asked for.

    Attributes:
        dataset: registered name, with its argument where it takes one: `folder:PATH`.
        kernels: as of `kernels.choose_kernels`; empty for the dataset's default.
        noises: noise specifications; empty for the dataset's default, or those bound to the kernels.
        images: names; empty for all.
        limit: at most so many images, in the dataset's order.
        noise_seeds: noise draws.
        declared: what methods are told of the noise level, see `degrade.measure`.
        crop: side in pixels of the square cut from the middle of each image, named `02@96`; None for whole images.
            An axis that is not longer stays whole.
    """

    dataset: str
    kernels: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    limit: int | None = None
    noise_seeds: tuple[int, ...] = (0,)
    declared: str = "known"
    crop: int | None = None


def cases(request: CaseRequest) -> Iterator[Case]:
    """Yield the cases asked for, image by image; measurements and truths are made when called for.

    Raises:
        UnknownNameError: for a dataset, kernel or image that there is not.
        InputError: for a noise or limit that breaks a rule, or an image too small for a kernel.
        DataError: for files that are missing and cannot be fetched.
    """
    declared_level(request.declared, 0.1)
    if request.crop is not None and request.crop < 1:
        raise InputError(f"crop {request.crop}: give the side of a square in pixels, such as 96")
    dataset = load_dataset(request.dataset)
    request = replace(request, dataset=dataset_name(request.dataset, dataset))
    if isinstance(dataset, MeasuredDataset):
        yield from _measured_cases(request, dataset)
        return
    loaded = _Loaded(dataset, request.crop)
    kernels = choose_kernels(request.kernels, dataset.info.kernels)
    for name in _choose_images(request, dataset):
        for kernel in kernels:
            for noise in _noises(request, dataset, kernel.noise):
                for seed in request.noise_seeds:
                    key = CaseKey(request.dataset, loaded.name(name), kernel.name, noise, seed)
                    yield loaded.case(name, kernel, key, request.declared)


def dataset_name(text: str, dataset: Dataset | MeasuredDataset) -> str:
    """Return the name of a dataset in keys and tables: where a folder lies is no part of what it holds."""
    return f"{text.partition(':')[0]}:{dataset.label}" if isinstance(dataset, Labelled) else text


def _noises(request: CaseRequest, dataset: Dataset, bound: str | None) -> Sequence[str]:
    asked = request.noises or ((bound,) if bound else dataset.info.noises)
    return [str(NoiseSpec.parse(noise)) for noise in asked]


def _choose_images(request: CaseRequest, dataset: Dataset | MeasuredDataset) -> Sequence[str]:
    names = dataset.names()
    for name in request.images:
        if name not in names:
            raise UnknownNameError(unknown(f"image of {request.dataset}", name, names))
    if request.limit is not None and request.limit < 1:
        raise InputError(f"limit {request.limit}: give at least 1 image")
    return [name for name in names if not request.images or name in request.images][: request.limit]


class _Loaded:
    """A dataset, or the middle of its images, that remembers those read last."""

    def __init__(self, dataset: Dataset, crop: int | None) -> None:
        self._crop = crop
        self._response = parse_response(dataset.info.response)
        self.image = lru_cache(maxsize=2)(lambda image: middle(check_image(dataset.load(image)), crop))
        self._hash = lru_cache(maxsize=None)(lambda image: array_hash(self.image(image)))

    def name(self, image: str) -> str:
        """Return the name under which an image, or its middle, is known: another image has other noise."""
        return image if self._crop is None else f"{image}@{self._crop}"

    def case(self, image: str, kernel: ChosenKernel, key: CaseKey, declared: str) -> Case:
        check_sizes(self.image(image), kernel.kernel())
        own = replace(key, kernel=kernel.true)
        sides = zip(self.image(image).shape[1:], kernel.told(image).shape, kernel.kernel().shape, strict=True)
        height, width = (length + told - true for length, told, true in sides)

        def problem() -> Problem:
            x: Image = self.image(image)
            y = measure(x, kernel.kernel(), key.noise, key=own, response=self._response, declared=declared)
            return replace(y, kernel=kernel.told(image))

        def truths() -> Sequence[Truth]:
            return [Truth(self.image(image), told_offset(kernel.kernel(), kernel.told(image)))]

        return Case(
            key=key,
            image_hash=self._hash(image),
            kernel_hash=kernel.identity(image),
            declared=declared,
            response=self._response,
            problem=problem,
            truths=truths,
            pixels=self.image(image).shape[0] * height * width,
        )


def told_offset(true: Kernel, told: Kernel) -> tuple[int, int]:
    """Return where the first pixel of the blurred x is in the frame of a method that is told another kernel.

    Both frames extend y, by (k-1)//2 before it; so y shows the same region of either, that of the true kernel.
    """
    rows, columns = ((own - 1) // 2 - (given - 1) // 2 for own, given in zip(told.shape, true.shape, strict=True))
    return rows, columns


def _measured_cases(request: CaseRequest, dataset: MeasuredDataset) -> Iterator[Case]:
    """Yield the cases of blurred images that are given.

    Raises:
        UnknownNameError: for an image or kernel that the dataset has not.
        InputError: where noise or noise draws are asked for, or a crop that leaves too little.
    """
    _check_given(request, set(dataset.info.noises))
    given = _Given(dataset, request.crop, request.declared)
    kernels = choose_kernels(request.kernels, dataset.info.kernels, partial(_own_kernels, request.dataset, dataset))
    images = _choose_images(request, dataset)
    chosen = [(name, kernel) for name in images for kernel in kernels if kernel.true in dataset.kernels(name)]
    if not chosen:
        raise InputError(
            f"{request.dataset}: {', '.join(images)} was not blurred by {', '.join(request.kernels)}: choose other "
            "--images or leave --kernels out"
        )
    for name, kernel in chosen:
        yield given.case(request.dataset, name, kernel)


def _check_given(request: CaseRequest, noises: set[str]) -> None:
    remedy = "in a sweep with other datasets, give it an [[experiment]] of its own"
    if not set(request.noises) <= noises:
        raise InputError(
            f"{request.dataset} has blurred images that are given, noise and all, so that noise "
            f"{', '.join(request.noises)} cannot be made: leave --noise out; {remedy}"
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


class _Given:
    """A dataset of blurred images that are given, or the middle of each, that remembers the one read last."""

    def __init__(self, dataset: MeasuredDataset, crop: int | None, declared: str) -> None:
        self._dataset = dataset
        self._crop = crop
        self._declared = declared
        self._measured = lru_cache(maxsize=2)(self._read)

    def case(self, dataset: str, image: str, kernel: ChosenKernel) -> Case:
        """Return the case of an image and one of its kernels, which methods are told, or another in its place."""
        seen, _ = self._measured(image, kernel.true)
        known = f"{array_hash(seen.blurred)} {seen.noise.kind} {seen.noise.level!r}"
        true, identity = seen.kernel, array_hash(seen.kernel)
        told = true if kernel.error is None else normalised(kernel.error.told(true, image, kernel.true))
        noise = told_noise(seen.noise, self._declared)

        def problem() -> Problem:
            return replace(self._measured(image, kernel.true)[0], kernel=told, noise=noise)

        def truths() -> Sequence[Truth]:
            top, left = self._measured(image, kernel.true)[1]
            rows, columns = told_offset(true, told)
            return [truth.moved(rows - top, columns - left) for truth in self._dataset.truths(image, kernel.true)]

        height, width = replace(seen, kernel=told).frame
        return Case(
            key=CaseKey(dataset, image if self._crop is None else f"{image}@{self._crop}", kernel.name, MEASURED),
            image_hash=hashlib.sha256(known.encode()).hexdigest(),
            kernel_hash=identity if kernel.error is None else f"{identity}@{array_hash(told)}",
            declared=self._declared,
            response=seen.response,
            problem=problem,
            truths=truths,
            pixels=seen.blurred.shape[0] * height * width,
            notice=self._dataset.notice(),
        )

    def _read(self, image: str, kernel: str) -> tuple[Problem, tuple[int, int]]:
        try:
            return middle_of(self._dataset.measured(image, kernel), self._crop)
        except InputError as error:
            raise InputError(f"image {image!r} with kernel {kernel!r}: {error}") from error


def middle_of(problem: Problem, side: int | None) -> tuple[Problem, tuple[int, int]]:
    """Return the measurement of the square in the middle of x, and where that begins in the frame of x.

    Args:
        problem: the whole measurement.
        side: of the square, in pixels of x: y shows less of it by the kernel. None for all; an axis that is not longer
            stays whole.

    Raises:
        InputError: where y would show less than one SSIM window.
    """
    frame = problem.frame
    wanted = [length if side is None else min(length, side) for length in frame]
    shown = [length - taps + 1 for length, taps in zip(wanted, problem.kernel.shape, strict=True)]
    if min(shown) < SMALLEST_VALID:
        raise InputError(
            f"{wanted[0]}x{wanted[1]} pixels of x and a kernel of {problem.kernel.shape[0]}x{problem.kernel.shape[1]} "
            f"leave {max(shown[0], 0)}x{max(shown[1], 0)} of the blurred image, and a score takes "
            f"{SMALLEST_VALID}x{SMALLEST_VALID}: use a larger --crop or a larger image"
        )
    top, left = (length - part for length, part in zip(frame, wanted, strict=True))
    top, left = top // 2, left // 2
    blurred = problem.blurred[:, top : top + shown[0], left : left + shown[1]]
    return replace(problem, blurred=blurred), (top, left)


def told_noise(noise: Noise, declared: str) -> Noise:
    """Return what a method is told of the noise of a measurement that is given.

    Raises:
        InputError: for a factor on a level that nobody knows.
    """
    if noise.level is not None:
        return replace(noise, level=declared_level(declared, noise.level))
    if declared not in ("known", "estimated"):
        raise InputError(
            f"declared noise level {declared!r}: the level of what was measured is not known; leave it out"
        )
    return noise


def middle(image: Image, side: int | None) -> Image:
    """Return the square in the middle of an image, Shape (C, H, W), or as much of it as there is."""
    if side is None:
        return image
    rows, columns = ((max(0, (length - side) // 2), min(length, side)) for length in image.shape[1:])
    return image[:, rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]
