"""The words of the command line as Python has them: text, lists of text, numbers, ranges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np

from nidbench.errors import InputError
from nidbench.sweep.request import Experiment

from .given import text_of, whole_number

Words: TypeAlias = "str | Iterable[str]"
"""One or several names, as text separated by commas or as a list."""

Seeds: TypeAlias = "str | int | Iterable[int]"
"""Seeds as text, `0`, `0,3` or `0-4`, as a number, or as numbers such as `range(5)`."""


def as_words(option: str, value: Words) -> str:
    """Return names as the command line has them, separated by commas.

    Raises:
        InputError: where it is neither text nor a list of text.
    """
    return _joined(option, value, str, 'text, such as "tv,wiener", or a list, such as ["tv", "wiener"]')


def as_seeds(option: str, value: Seeds) -> str:
    """Return seeds as the command line has them.

    Raises:
        InputError: where it is neither text, nor whole numbers.
    """
    numbers = [value] if isinstance(value, int | np.integer) else value
    return _joined(option, numbers, (int, np.integer), 'a number, numbers such as range(5), or text such as "0-4"')


def experiment_of(
    *,
    methods: Words,
    dataset: Words,
    kernels: Words,
    rotate_kernels: bool,
    noise: Words,
    response: Words,
    images: Words,
    limit: int | None,
    crop: int | None,
    noise_seeds: Seeds,
    declared: str,
    seeds: Seeds = "0",
    preset: str | None = None,
) -> Experiment:
    """Return what is asked for, each word as of `nidbench.run`.

    Raises:
        InputError: for a word of another type, or a number below 1.
    """
    return Experiment(
        methods=as_words("methods", methods),
        dataset=as_words("dataset", dataset),
        kernels=as_words("kernels", kernels),
        rotate_kernels=rotate_kernels,
        noise=as_words("noise", noise),
        response=as_words("response", response),
        images=as_words("images", images),
        limit=None if limit is None else whole_number("limit", limit, 1),
        crop=None if crop is None else whole_number("crop", crop, 1),
        seeds=as_seeds("seeds", seeds),
        noise_seeds=as_seeds("noise_seeds", noise_seeds),
        preset=None if preset is None else text_of("preset", preset, "fast"),
        declared=text_of("declared", declared, "known"),
    )


def _joined(option: str, value: object, kind: type | tuple[type, ...], rule: str) -> str:
    if isinstance(value, str):
        return value
    items = list(value) if isinstance(value, Iterable) and not isinstance(value, bytes) else [value]
    if not items or any(isinstance(item, bool) or not isinstance(item, kind) for item in items):
        raise InputError(f"{option} is {value!r}: give {rule}")
    return ",".join(map(str, items))
