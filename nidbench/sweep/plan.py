"""Makes the plan of a sweep: the cells that a request asks for, with all that is needed to compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from nidbench.cases.case import Case
from nidbench.cases.source import cases
from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import Hello, MethodFacts, Refusal, Resolve
from nidbench.errors import InputError, NidbenchError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Cell, Planned, Sweep
from nidbench.registry.method_spec import MethodSpec, parse_methods

from .request import Ask, read_seeds


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A cell with all that is needed to compute it.

    Attributes:
        planned: the cell as its sweep asks for it.
        cell: the facts that determine its result.
        case: its measurement and truths, which are made when they are needed.
        method: the method that restores.
        device: torch device, `cpu` or `cuda:N`.
    """

    planned: Planned
    cell: Cell
    case: Case
    method: MethodFacts
    device: str


@dataclass(frozen=True, eq=False)
class Plan:
    """The cells of a sweep in the order of computation: all methods of a case follow each other."""

    sweep: Sweep
    jobs: Sequence[Job]


def make_plan(ask: Ask, computer: Computer) -> Plan:
    """Return the plan of a sweep.

    Args:
        ask: the request.
        computer: resolves methods, and knows the devices.

    Raises:
        NidbenchError: for an unknown name, setting or device, or for data that are missing.
    """
    hello = computer.hello()
    device = choose_device(ask.device, hello)
    precision = choose_precision(ask.precision, device, hello)
    methods, names = _Methods(computer, ask.method_file), _CaseNames()
    jobs: dict[tuple[str, str], Job] = {}
    for experiment in ask.experiments:
        resolved = [methods.facts(spec, experiment.preset) for spec in parse_methods(experiment.methods)]
        seeds = read_seeds("seeds", experiment.seeds)
        for request in experiment.requests():
            for case in cases(request):
                names.check(case, request.dataset)
                for facts, seed in product(resolved, seeds):
                    job = _job(facts, case, seed, device, precision)
                    jobs.setdefault((job.planned.id, job.planned.label), job)
    sweep = Sweep(ask.sweep_name(), ask.asked(), [job.planned for job in jobs.values()])
    return Plan(sweep, list(jobs.values()))


class _Methods:
    """Resolves method specifications in a computing process, every one once for all experiments of a sweep."""

    def __init__(self, computer: Computer, file: Path | None) -> None:
        self._computer = computer
        self._file = file
        self._facts: dict[tuple[str, str | None], MethodFacts] = {}

    def facts(self, spec: MethodSpec, preset: str | None) -> MethodFacts:
        """Return the facts of a method.

        Raises:
            NidbenchError: where it cannot be imported, or the specification breaks a rule.
        """
        key = str(spec), preset
        if key not in self._facts:
            self._facts[key] = self._resolved(spec, preset)
        return self._facts[key]

    def _resolved(self, spec: MethodSpec, preset: str | None) -> MethodFacts:
        try:
            answer: MethodFacts | Refusal = self._computer.ask(Resolve(spec, preset, self._file), lambda _: None)
        except (DeadlineError, WorkerDiedError) as error:
            place = "" if self._file is None else f" of {self._file}"
            raise NidbenchError(f"{spec}{place} could not be imported: {error}") from None
        if isinstance(answer, Refusal):
            raise NidbenchError(answer.message)
        return answer


class _CaseNames:
    """Refuses names that stand for different data in two experiments of a sweep."""

    def __init__(self) -> None:
        self._datasets: dict[str, str] = {}
        self._hashes: dict[CaseKey, tuple[str, str]] = {}

    def check(self, case: Case, dataset: str) -> None:
        """Refuse a case whose names an earlier case has used for other data.

        Args:
            case: the case.
            dataset: its dataset, as on the command line.

        Raises:
            InputError: naming both.
        """
        known = self._datasets.setdefault(case.key.dataset, dataset)
        if known != dataset:
            raise InputError(
                f"{known} and {dataset} have the same name in tables, {case.key.dataset}: rename one of the folders"
            )
        hashes = case.image_hash, case.kernel_hash
        if self._hashes.setdefault(case.key, hashes) != hashes:
            raise InputError(
                f"two experiments have {case.key} with different images or kernels under that name: rename "
                "one of the folders of files, or make two sweeps"
            )


def _job(facts: MethodFacts, case: Case, seed: int, device: str, precision: str) -> Job:
    cell = Cell(
        method=facts.spec.name,
        version=facts.version,
        settings=facts.settings,
        case=case.key,
        image_hash=case.image_hash,
        kernel_hash=case.kernel_hash,
        declared=case.declared,
        response=str(case.response),
        seed=seed,
        precision=precision,
        device=device.partition(":")[0],
    )
    label = str(facts.spec)
    note = "; ".join(filter(None, (facts.note, case.notice)))
    planned = Planned(
        id=cell.id,
        label=label,
        preset=facts.preset,
        note=note,
        case=case.key,
        declared=case.declared,
        seed=seed,
        method=facts.spec.name,
    )
    return Job(planned=planned, cell=cell, case=case, method=facts, device=device)


def choose_device(option: str, hello: Hello) -> str:
    """Return the torch device of an option; for `auto` it is the first CUDA device, or the CPU.

    Raises:
        InputError: where this machine has no such device.
    """
    if option == "auto":
        return hello.devices[0]
    device = "cuda:0" if option == "cuda" else option
    if device not in hello.devices:
        raise InputError(f"device {option!r} is not here: there are {', '.join(hello.devices)}; or use auto")
    return device


def choose_precision(option: str, device: str, hello: Hello) -> str:
    """Return the precision of an option; for `auto` it is bf16 where the device has it natively, else float32.

    Raises:
        InputError: for another word.
    """
    if option == "auto":
        return "bf16" if device in hello.bf16 else "float32"
    if option not in ("float32", "bf16"):
        raise InputError(f"precision {option!r}: use auto, float32 or bf16")
    return option
