"""What is registered by name, made from Python: methods, datasets, and the check of a method of one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from nidbench.contract.method import Method
from nidbench.errors import InputError, NidbenchError

from .given import method_of, text_of

if TYPE_CHECKING:
    from nidbench.cases.case import Case
    from nidbench.contract.conformance import Finding
    from nidbench.contract.dataset import Dataset, MeasuredDataset
    from nidbench.registry.entry_points import Registry

    from .words import Seeds, Words


def load_method(name: str, *, preset: str | None = None, method_file: str | Path | None = None) -> Method:
    """Return a method with all of its settings.

    Args:
        name: `name[@preset][:variant...][[key=value,...]]`, as on the command line: `ours@fast`, `dip[lr=0.005]`.
        preset: for a name that has none.
        method_file: a Python file with a method of your own, whose stem is its name.

    Raises:
        UnknownNameError: for an unknown method, preset or variant; the message lists the near misses.
        InputError: for a setting that breaks a rule.
    """
    from nidbench.registry.entry_points import load_method as load
    from nidbench.registry.entry_points import methods
    from nidbench.registry.method_spec import parse_methods, resolve

    specs = parse_methods(text_of("name", name, "ours@fast"))
    if len(specs) != 1:
        raise InputError(f"{name!r} names {len(specs)} methods: give one")
    registry = methods(None if method_file is None else Path(method_file).resolve())
    return resolve(specs[0], load(registry, specs[0].name), preset).method


def load_dataset(name: str) -> Dataset | MeasuredDataset:
    """Return a dataset, nothing of it read yet.

    Args:
        name: such as `set12` or `folder:PATH`.

    Raises:
        UnknownNameError: for an unknown dataset; the message lists the near misses.
        InputError: for an argument that breaks a rule.
    """
    from nidbench.registry.entry_points import load_dataset as load

    return load(text_of("name", name, "set12"))


def load_cases(
    dataset: str,
    *,
    kernels: Words = "",
    rotate_kernels: bool = False,
    noise: Words = "",
    response: Words = "",
    images: Words = "",
    limit: int | None = None,
    crop: int | None = None,
    noise_seeds: Seeds = "0",
    declared: str = "known",
) -> Iterator[Case]:
    """Yield the cases of a dataset, the same bytes as in a sweep with these words.

    `case.problem()` is what methods are handed, `case.truths()` what they are not handed, `case.key` names both.

    Args:
        dataset: such as `set12` or `folder:PATH`.
        kernels: kernel sets or kernels; empty for the dataset's own.
        rotate_kernels: whether image i has kernel i mod n only.
        noise: `gaussian:SIGMA`, `poisson:PEAK` or `bsnr:DB`, separated by commas; empty for the dataset's own.
        response: of the camera; empty for the dataset's own.
        images: names of images, separated by commas; empty for all.
        limit: at most so many images.
        crop: side in pixels of a square from the middle of each image.
        noise_seeds: noise draws: `0`, `0,3` or `0-4`, a number, or numbers such as `range(5)`.
        declared: noise level that methods are given: `known`, `estimated` or a factor such as `x1.2`.

    Raises:
        UnknownNameError: for an unknown dataset, kernel or image.
        InputError: for a noise, response or limit that breaks a rule, or an image too small for a kernel.
        DataError: for files that are missing and cannot be fetched.
    """
    from nidbench.cases.source import cases

    from .words import experiment_of

    experiment = experiment_of(
        methods="",
        dataset=text_of("dataset", dataset, "set12"),
        kernels=kernels,
        rotate_kernels=rotate_kernels,
        noise=noise,
        response=response,
        images=images,
        limit=limit,
        crop=crop,
        noise_seeds=noise_seeds,
        declared=declared,
    )
    for request in experiment.requests():
        yield from cases(request)


@dataclass(frozen=True)
class Findings:
    """What the conformance checks found in a method.

    Attributes:
        findings: one for each check, in their order.
    """

    findings: Sequence[Finding]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(finding.passed for finding in self.findings)

    def lines(self) -> list[str]:
        """Return a line for each check."""
        return [finding_line(finding) for finding in self.findings]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def finding_line(finding: Finding) -> str:
    """Return a finding as a line of text."""
    return f"{'ok  ' if finding.passed else 'FAIL'} {finding.name} ({finding.seconds:.1f} s) {finding.message}"


def check(method: Method | str | Path, *, device: str = "cpu") -> Findings:
    """Return what the conformance checks find in a method: shapes, determinism, no state, resume, and more.

    Args:
        method: an instance with cheap settings, which is checked in this process and restores about twenty images of
            64x48; or a name or a Python file, whose preset `smoke` is checked in a process of its own, as in a sweep,
            so that what ends the process is a finding, too.
        device: torch device.

    Raises:
        NidbenchError: for an unknown method, or one that cannot be made.
    """
    from nidbench.contract import conformance

    if isinstance(method, str | Path):
        return Findings(list(findings_apart(method, device)))
    return Findings(conformance.check(method_of(method), device=device))


def findings_apart(
    method: str | Path, device: str = "cpu", note: Callable[[str], None] = lambda _line: None
) -> Iterator[Finding]:
    """Yield what the conformance checks find in a method, as they end; they run in a process of their own.

    Args:
        method: a name or a Python file.
        device: torch device.
        note: takes what is to be known of the method, where there is anything.

    Raises:
        NidbenchError: for an unknown method, or one that cannot be made.
    """
    from nidbench.compute.checking import check_apart
    from nidbench.compute.child_process import ChildProcess
    from nidbench.compute.messages import Refusal, Resolve
    from nidbench.contract import conformance
    from nidbench.registry.method_spec import MethodSpec

    _, name = registry_of(method)
    spec, file = MethodSpec(name), Path(method).resolve() if str(method).endswith(".py") else None
    with tempfile.TemporaryDirectory() as folder, closing(ChildProcess(Path(folder) / "log", 1)) as computer:
        answer = computer.ask(Resolve(spec, "smoke", file), lambda _: None)
        if isinstance(answer, Refusal):
            raise NidbenchError(answer.message)
        if answer.note:
            note(answer.note)
        names = [conformance.title(check) for check in conformance.checks()]
        yield from check_apart(computer, spec, "smoke", file, device, names)


def registry_of(method: str | Path) -> tuple[Registry, str]:
    """Return the registry that has a method, and its name there; `method` is a name or a Python file.

    Raises:
        NidbenchError: where the file cannot be read.
    """
    from nidbench.registry.entry_points import methods

    file = Path(method) if str(method).endswith(".py") else None
    return methods(file), file.stem if file else str(method)
