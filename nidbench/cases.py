"""From names to measurements: datasets x images x kernels x noises x noise seeds, or what was measured already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from .contract import (
    MEASURED,
    UNKNOWN,
    Case,
    CaseKey,
    Dataset,
    Image,
    Kernel,
    KnownTruths,
    Labelled,
    MeasuredDataset,
    Noticed,
    Problem,
    Response,
    Truth,
    normalised,
)
from .degrade import SMALLEST_VALID, NoiseSpec, check_image, check_sizes, declared_factor, measure, told_noise
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
        declared: what methods are told of the noise level, see `degrade.told_noise`.
        crop: side in pixels of the square cut from the middle of each image, named `02@96`; None for whole images.
            An axis that is not longer stays whole.
        responses: of the camera, see `Response.parse`; empty for the dataset's own. Images are as the camera shows
            them, so that it blurs `Response.scene` of an image, and restorations are compared after g. One that is not
            the dataset's own comes after the noise in a measurement's name: `gaussian:0.01+gamma:2.2:8bit`.
        rotate_kernels: whether image i of the dataset has one of the n kernels only, number i mod n: a part of all
            measurements that uses images and kernels alike, the same for each image whatever others are asked for.
    """

    dataset: str
    kernels: tuple[str, ...] = ()
    noises: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    limit: int | None = None
    noise_seeds: tuple[int, ...] = (0,)
    declared: str = "known"
    crop: int | None = None
    responses: tuple[str, ...] = ()
    rotate_kernels: bool = False


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
        yield from _measured_cases(request, dataset)
        return
    kernels, images = choose_kernels(request.kernels, dataset.info.kernels), _choose_images(request, dataset)
    loaded = _Loaded(dataset, request, dataset.notice(images) if isinstance(dataset, Noticed) else "")
    for name in images:
        for kernel in _rotated(request, dataset, name, kernels):
            for degradation in _degradations(request, dataset, kernel.noise):
                for seed in request.noise_seeds:
                    yield loaded.case(name, kernel, degradation, seed)


def dataset_name(text: str, dataset: Dataset | MeasuredDataset) -> str:
    """Return the name of a dataset in keys and tables: where a folder lies is no part of what it holds."""
    return f"{text.partition(':')[0]}:{dataset.label}" if isinstance(dataset, Labelled) else text


@dataclass(frozen=True)
class _Degradation:
    """What happens after the blur.

    Attributes:
        noise: which keys the noise draw.
        response: of the camera.
        name: of both in keys and tables.
    """

    noise: str
    response: Response
    name: str


def _degradations(request: CaseRequest, dataset: Dataset, bound: str | None) -> Iterator[_Degradation]:
    own = Response.parse(dataset.info.response)
    responses = dict.fromkeys(map(Response.parse, request.responses)) or (own,)
    for asked in request.noises or ((bound,) if bound else dataset.info.noises):
        noise = str(NoiseSpec.parse(asked))
        for response in responses:
            yield _Degradation(noise, response, noise if response == own else f"{noise}+{response}")


def _choose_images(request: CaseRequest, dataset: Dataset | MeasuredDataset) -> Sequence[str]:
    names = dataset.names()
    for name in request.images:
        if name not in names:
            raise UnknownNameError(unknown(f"image of {request.dataset}", name, names))
    if request.limit is not None and request.limit < 1:
        raise InputError(f"limit {request.limit}: give at least 1 image")
    return [name for name in names if not request.images or name in request.images][: request.limit]


def _rotated(
    request: CaseRequest, dataset: Dataset | MeasuredDataset, image: str, kernels: Sequence[ChosenKernel]
) -> Sequence[ChosenKernel]:
    """Return which of its kernels an image is asked for with."""
    if not request.rotate_kernels or not kernels:
        return kernels
    return [kernels[dataset.names().index(image) % len(kernels)]]


class _Loaded:
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

    def case(self, image: str, kernel: ChosenKernel, degradation: _Degradation, seed: int) -> Case:
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
            return [Truth(shown, offset, encoded=response.kind != "identity", taps=_taps(true))]

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


def check_reach(told: Kernel, shown: Sequence[int], true: Sequence[int] = (0, 0)) -> None:
    """Refuse a kernel that is larger than the blurred image: most of what it blurs would not be seen.

    Args:
        told: the kernel.
        shown: (h, w) of y.
        true: (kh, kw) of the one that blurred; where that is larger than y, the kernel may be so, too.

    Raises:
        InputError: naming both sizes.
    """
    if any(given > seen >= own for given, seen, own in zip(told.shape, shown, true, strict=True)):
        raise InputError(
            f"the kernel of {told.shape[0]}x{told.shape[1]} is larger than the blurred image of {shown[0]}x{shown[1]}: "
            "cut off its border of 0, or give the kernel's file if this is another picture"
        )


def told_offset(true: Kernel, told: Kernel) -> tuple[int, int]:
    """Return where the first pixel of the blurred x is in the frame of a method that is told another kernel.

    Both frames extend y, by (k-1)//2 before it; so y shows the same region of either, that of the true kernel.
    """
    rows, columns = ((own - 1) // 2 - (given - 1) // 2 for own, given in zip(told.shape, true.shape, strict=True))
    return rows, columns


def _taps(kernel: Kernel) -> tuple[int, int]:
    rows, columns = kernel.shape
    return rows, columns


def _measured_cases(request: CaseRequest, dataset: MeasuredDataset) -> Iterator[Case]:
    """Yield the cases of blurred images that are given.

    Raises:
        UnknownNameError: for an image or kernel that the dataset has not.
        InputError: where noise, noise draws or a response are asked for, or a crop that leaves too little.
    """
    _check_given(request, set(dataset.info.noises))
    chosen = _choose_measured(request, dataset)
    notice = dataset.notice(list(dict.fromkeys(name for name, _ in chosen)))
    given = _Given(dataset, request.crop, request.declared, notice)
    for name, kernel in chosen:
        yield given.case(request.dataset, name, kernel)


def _choose_measured(request: CaseRequest, dataset: MeasuredDataset) -> list[tuple[str, ChosenKernel]]:
    """Return the images asked for, each with those of the kernels asked for that blurred it and can be told."""
    kernels = choose_kernels(request.kernels, dataset.info.kernels, partial(_own_kernels, request.dataset, dataset))
    images = _choose_images(request, dataset)
    blurred = {name: [kernel for kernel in kernels if kernel.true in dataset.kernels(name)] for name in images}
    own = [(name, kernel) for name in images for kernel in _rotated(request, dataset, name, blurred[name])]
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


class _Given:
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
        told = true if kernel.error is None else normalised(kernel.error.told(true, image, kernel.true))
        if self._crop is None:  # an estimate may well be larger than what a small crop leaves
            check_reach(told, seen.blurred.shape[1:], true.shape)
        noise = told_noise(seen.noise, self._declared)

        def problem() -> Problem:
            return replace(self._measured(image, kernel.true)[0], kernel=told, noise=noise)

        def truths() -> Sequence[Truth]:
            top, left = self._measured(image, kernel.true)[1]
            rows, columns = told_offset(true, told)
            sharp = self._dataset.truths(image, kernel.true)
            return [truth.moved(rows - top, columns - left, _taps(true)) for truth in sharp]

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


def check_crop(image: str, side: int | None, size: Sequence[int]) -> None:
    """Refuse a crop larger than an image, which would be the same pixels under another name, with other noise.

    Raises:
        InputError: naming the size, (H, W) of x.
    """
    if side is not None and side > max(size):
        raise InputError(
            f"crop {side}: image {image} has {size[0]}x{size[1]} pixels, less than that: give a smaller --crop, or "
            "leave it out"
        )


def middle(image: Image, side: int | None) -> Image:
    """Return the square in the middle of an image, Shape (C, H, W), or as much of it as there is."""
    if side is None:
        return image
    rows, columns = ((max(0, (length - side) // 2), min(length, side)) for length in image.shape[1:])
    return image[:, rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]
