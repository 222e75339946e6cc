"""From names to measurements: datasets x images x kernels x noises x noise seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from .contract import Case, CaseKey, Dataset, Image, Kernel, KernelSet, Problem, Truth, normalised
from .degrade import NoiseSpec, check_image, check_sizes, declared_level, measure, parse_response
from .errors import InputError, UnknownNameError
from .records import array_hash
from .registry import load_dataset, load_kernels, unknown


@dataclass(frozen=True)
class CaseRequest:
    """Which measurements of one dataset are asked for.

    Attributes:
        dataset: registered name.
        kernels: kernel sets or single kernels, `levin` or `levin/4`; empty for the dataset's default.
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
    dataset = load_dataset(request.dataset)
    loaded = _Loaded(dataset, request.crop)
    kernels = _choose_kernels(request.kernels or (dataset.info.kernels,))
    for name in _choose_images(request, dataset):
        for kernel, noises in kernels:
            for noise in _noises(request, dataset, noises):
                for seed in request.noise_seeds:
                    key = CaseKey(request.dataset, loaded.name(name), kernel, noise, seed)
                    yield loaded.case(name, key, request.declared)


def _noises(request: CaseRequest, dataset: Dataset, bound: str | None) -> Sequence[str]:
    asked = request.noises or ((bound,) if bound else dataset.info.noises)
    return [str(NoiseSpec.parse(noise)) for noise in asked]


def _choose_images(request: CaseRequest, dataset: Dataset) -> Sequence[str]:
    names = dataset.names()
    for name in request.images:
        if name not in names:
            raise UnknownNameError(unknown(f"image of {request.dataset}", name, names))
    if request.limit is not None and request.limit < 1:
        raise InputError(f"limit {request.limit}: give at least 1 image")
    return [name for name in names if not request.images or name in request.images][: request.limit]


def _choose_kernels(texts: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the chosen kernels, as `set/name`, with the noise bound to each."""
    chosen: dict[str, str | None] = {}
    for text in texts:
        set_name, _, only = text.partition("/")
        kernel_set = _kernel_set(set_name)
        names = kernel_set.names()
        if only and only not in names:
            raise UnknownNameError(unknown(f"kernel of {set_name}", only, names))
        chosen |= {f"{set_name}/{name}": kernel_set.info.noises.get(name) for name in names if not only or name == only}
    return list(chosen.items())


@lru_cache(maxsize=16)
def _kernel_set(name: str) -> KernelSet:
    return load_kernels(name)


@lru_cache(maxsize=64)
def _kernel(name: str) -> Kernel:
    set_name, _, own = name.partition("/")
    return normalised(_kernel_set(set_name).load(own))


@lru_cache(maxsize=64)
def _kernel_hash(name: str) -> str:
    return array_hash(_kernel(name))


class _Loaded:
    """A dataset, or the middle of its images, that remembers those read last."""

    def __init__(self, dataset: Dataset, crop: int | None) -> None:
        if crop is not None and crop < 1:
            raise InputError(f"crop {crop}: give the side of a square in pixels, such as 96")
        self._crop = crop
        self._response = parse_response(dataset.info.response)
        self.image = lru_cache(maxsize=2)(lambda image: middle(check_image(dataset.load(image)), crop))
        self._hash = lru_cache(maxsize=None)(lambda image: array_hash(self.image(image)))

    def name(self, image: str) -> str:
        """Return the name under which an image, or its middle, is known: another image has other noise."""
        return image if self._crop is None else f"{image}@{self._crop}"

    def case(self, image: str, key: CaseKey, declared: str) -> Case:
        check_sizes(self.image(image), _kernel(key.kernel))

        def problem() -> Problem:
            x: Image = self.image(image)
            return measure(x, _kernel(key.kernel), key.noise, key=key, response=self._response, declared=declared)

        def truths() -> Sequence[Truth]:
            return [Truth(self.image(image))]

        pixels = int(self.image(image).size)
        return Case(key, self._hash(image), _kernel_hash(key.kernel), declared, self._response, problem, truths, pixels)


def middle(image: Image, side: int | None) -> Image:
    """Return the square in the middle of an image, Shape (C, H, W), or as much of it as there is."""
    if side is None:
        return image
    rows, columns = ((max(0, (length - side) // 2), min(length, side)) for length in image.shape[1:])
    return image[:, rows[0] : rows[0] + rows[1], columns[0] : columns[0] + columns[1]]
