"""What a sweep asks for, with the names and forms of the command line."""

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
    """What is asked for, with the names and forms of the command line.

    Attributes:
        methods: as `ours,dip@fast[lr=1e-3]`.
        dataset: names, separated by commas.
        kernels, noise, images, response: lists separated by commas; empty for the dataset's own.
        limit: at most so many images of each dataset.
        seeds, noise_seeds: as `0`, `0,3` or `0-4`.
        preset: for methods that name none.
        declared: what methods are told of the noise level: `known`, `estimated`, `x1.2`.
        crop: side of the square cut from the middle of each image, in pixels; None for whole images.
        rotate_kernels: whether each image has one of the kernels only, in turns.
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
        """Yield the measurements of each dataset.

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
    """A whole sweep: experiments and how to compute them.

    Attributes:
        experiments: whose cells are joined.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        precision: `auto` (bf16 where it is native), `float32` or `bf16`.
        method_file: a plain Python file with a method of one's own.
        name: of the sweep; empty for one made from the rest.
    """

    experiments: tuple[Experiment, ...]
    device: str = "auto"
    precision: str = "auto"
    method_file: Path | None = None
    name: str = ""

    def chosen(self, *, device: str, precision: str, method_file: Path | None, name: str) -> Ask:
        """Return the sweep with those of these choices that were made; `auto`, None and empty are none."""
        return replace(
            self,
            device=self.device if device == "auto" else device,
            precision=self.precision if precision == "auto" else precision,
            method_file=method_file or self.method_file,
            name=name or self.name,
        )

    def sweep_name(self) -> str:
        """Return the name: readable, and the same for the same question."""
        if self.name:
            return checked_name("sweep name", self.name)
        question = asdict(replace(self, method_file=str(self.method_file or "")))  # type: ignore[arg-type]
        for experiment in question["experiments"]:
            for name in ("response", "rotate_kernels"):
                if not experiment[name]:  # older than this option: the names of sweeps stay
                    del experiment[name]
        content = json.dumps(question, sort_keys=True)
        first = self.experiments[0]
        # the sweep is a file of this name, which the path of folder:PATH would put elsewhere
        datasets = [re.sub(r"[^\w.-]+", "-", Path(each).name) for each in words(first.dataset)]
        names = "-".join([*dict.fromkeys(spec.name for spec in parse_methods(first.methods)), *datasets])
        return f"{names[:60]}-{hashlib.sha256(content.encode()).hexdigest()[:6]}"

    def asked(self) -> dict[str, Any]:
        """Return what was asked, for the sweep's file."""
        return {
            "experiments": [asdict(experiment) for experiment in self.experiments],
            "device": self.device,
            "precision": self.precision,
            "method_file": str(self.method_file or ""),
        }


def words(text: str) -> tuple[str, ...]:
    """Return the parts of a list separated by commas, without blanks."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_seeds(option: str, text: str) -> tuple[int, ...]:
    """Read seeds: numbers and ranges separated by commas, `0`, `0,3`, `0-4`.

    Raises:
        InputError: where it is something else, or none.
    """
    seeds: list[int] = []
    for part in words(text):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part, re.ASCII)
        if match is None:
            raise InputError(f"--{option} {text!r}: use numbers and ranges such as 0, 0,3 or 0-4")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first > 10_000:
            raise InputError(f"--{option} {text!r}: the range {part} must rise, by at most 10000")
        seeds.extend(range(first, last + 1))
    if not seeds:
        raise InputError(f"--{option} is empty: use numbers and ranges such as 0, 0,3 or 0-4")
    return tuple(dict.fromkeys(seeds))
