"""The request of a sweep, with the names and forms of the command line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nidbench.cases.request import CaseRequest
from nidbench.errors import InputError
from nidbench.records import checked_name
from nidbench.registry.method_spec import parse_methods


@dataclass(frozen=True)
class Experiment:
    """A grid of methods and measurements, with the names and forms of the command line.

    Attributes:
        methods: specifications such as `ours,dip@fast[lr=1e-3]`.
        dataset: names, separated by commas.
        kernels, noise, images, response: lists separated by commas; empty for those of the dataset.
        limit: largest number of images of a dataset.
        seeds, noise_seeds: numbers and ranges such as `0`, `0,3` or `0-4`.
        preset: preset of methods that name none.
        declared: what methods know of the noise level: `known`, `estimated`, `x1.2`.
        crop: side in pixels of the square that is cut from the middle of an image; None for whole images.
        rotate_kernels: True to give every image only one of the kernels, in turns.
    """

    methods: str
    dataset: str
    kernels: str = ""
    noise: str = ""
    images: str = ""
    limit: int | None = None
    seeds: str = "0"
    noise_seeds: str = "0"
    preset: str | None = None
    declared: str = "known"
    crop: int | None = None
    response: str = ""
    rotate_kernels: bool = False

    def requests(self) -> Iterator[CaseRequest]:
        """Yield a request of cases for every dataset.

        Raises:
            InputError: where no dataset is named.
        """
        names = words(self.dataset)
        if not names:
            raise InputError("no dataset was given: use --dataset sample")
        for dataset in names:
            yield CaseRequest(
                dataset=dataset,
                kernels=words(self.kernels),
                noises=words(self.noise),
                images=words(self.images),
                limit=self.limit,
                noise_seeds=read_seeds("noise-seeds", self.noise_seeds),
                declared=self.declared,
                crop=self.crop,
                responses=words(self.response),
                rotate_kernels=self.rotate_kernels,
            )


@dataclass(frozen=True)
class Ask:
    """The request of a sweep: experiments, and how to compute them.

    Attributes:
        experiments: experiments whose cells make the sweep.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto` (see `nidbench.sweep.choices`), `float32` or `bf16`.
        method_file: a Python file with a further method; None for none.
        name: name of the sweep; empty to make one from the other values.
    """

    experiments: tuple[Experiment, ...]
    device: str = "auto"
    precision: str = "auto"
    method_file: Path | None = None
    name: str = ""

    def chosen(self, *, device: str, precision: str, method_file: Path | None, name: str) -> Ask:
        """Return the request with other choices; `auto`, None and empty values keep those of this request."""
        return replace(
            self,
            device=self.device if device == "auto" else device,
            precision=self.precision if precision == "auto" else precision,
            method_file=method_file or self.method_file,
            name=name or self.name,
        )

    def sweep_name(self) -> str:
        """Return the name of the sweep: readable, and equal for equal requests.

        Raises:
            InputError: for a name that cannot be that of a file.
        """
        if self.name:
            return checked_name("sweep name", self.name)
        request = asdict(replace(self, method_file=str(self.method_file or "")))  # type: ignore[arg-type]
        for experiment in request["experiments"]:
            for name in ("response", "rotate_kernels"):
                if not experiment[name]:  # sweeps from before this option keep their names
                    del experiment[name]
        content = json.dumps(request, sort_keys=True)
        first = self.experiments[0]
        # the name is that of the sweep's file, which must not contain the path of folder:PATH
        datasets = [re.sub(r"[^\w.-]+", "-", Path(dataset).name) for dataset in words(first.dataset)]
        names = "-".join([*dict.fromkeys(spec.name for spec in parse_methods(first.methods)), *datasets])
        return f"{names[:60]}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"

    def asked(self) -> dict[str, Any]:
        """Return the request as plain data, for the file of the sweep."""
        return {
            "experiments": [asdict(experiment) for experiment in self.experiments],
            "device": self.device,
            "precision": self.precision,
            "method_file": str(self.method_file or ""),
        }


def words(text: str) -> tuple[str, ...]:
    """Return the items of a list separated by commas, without blanks."""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def read_seeds(option: str, text: str) -> tuple[int, ...]:
    """Return seeds from numbers and ranges separated by commas: `0`, `0,3`, `0-4`.

    Args:
        option: name of the option, for messages.
        text: its value.

    Raises:
        InputError: where the text has another form, or holds no seed.
    """
    seeds: list[int] = []
    for span in words(text):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", span, re.ASCII)
        if match is None:
            raise InputError(f"--{option} {text!r}: use numbers and ranges such as 0, 0,3 or 0-4, of at most 10 digits")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 10_000:
            raise InputError(f"--{option} {text!r}: the range {span} must rise, by at most 10000")
        seeds.extend(range(first, last + 1))
    if not seeds:
        raise InputError(f"--{option} is empty: use numbers and ranges such as 0, 0,3 or 0-4")
    return tuple(dict.fromkeys(seeds))
