"""From options to cells: what a sweep asks for, and which cells that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """A cell with all that it takes to compute it.

    Attributes:
        planned: as its sweep asks for it.
        cell: what determines its result.
        case: its measurement and truths, made when asked for.
        method: who restores.
        device: torch device, `cpu` or `cuda:N`.
    """

    planned: Planned
    cell: Cell
    case: Case
    method: MethodFacts
    device: str


@dataclass(frozen=True, eq=False)
class Plan:
    """The cells of a sweep, in order: image by image, so that all methods of a case come together."""

    sweep: Sweep
    jobs: Sequence[Job]


def make_plan(ask: Ask, computer: Computer) -> Plan:
    """Return the cells of a sweep.

    Raises:
        NidbenchError: for names, settings, devices or data that there are not.
    """
    hello = computer.hello()
    device = choose_device(ask.device, hello)
    precision = choose_precision(ask.precision, device, hello)
    jobs: dict[tuple[str, str], Job] = {}
    folders: dict[str, str] = {}
    bytes_of: dict[CaseKey, tuple[str, str]] = {}
    for experiment in ask.experiments:
        asked = [
            _facts(computer, spec, experiment.preset, ask.method_file) for spec in parse_methods(experiment.methods)
        ]
        seeds = read_seeds("seeds", experiment.seeds)
        for request in experiment.requests():
            for case in cases(request):
                if folders.setdefault(case.key.dataset, request.dataset) != request.dataset:
                    raise InputError(
                        f"{folders[case.key.dataset]} and {request.dataset} have the same name in tables, "
                        f"{case.key.dataset}: rename one of the folders"
                    )
                own = case.image_hash, case.kernel_hash
                if bytes_of.setdefault(case.key, own) != own:
                    raise InputError(
                        f"two experiments have {case.key} with different images or kernels under that name: rename "
                        "one of the folders of files, or make a sweep of each"
                    )
                for facts in asked:
                    for seed in seeds:
                        job = _job(facts, case, seed, device, precision)
                        jobs.setdefault((job.planned.id, job.planned.label), job)
    sweep = Sweep(ask.sweep_name(), ask.asked(), [job.planned for job in jobs.values()])
    return Plan(sweep, list(jobs.values()))


def _facts(computer: Computer, spec: MethodSpec, preset: str | None, file: Path | None) -> MethodFacts:
    try:
        answer = computer.ask(Resolve(spec, preset, file), lambda _: None)
    except (DeadlineError, WorkerDiedError) as error:
        where = "" if file is None else f" of {file}"
        raise NidbenchError(f"{spec}{where} could not be imported: {error}") from None
    if isinstance(answer, Refusal):
        raise NidbenchError(answer.message)
    facts: MethodFacts = answer
    return facts


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


def choose_device(wanted: str, hello: Hello) -> str:
    """Return a device: for `auto`, the first CUDA device where there is one.

    Raises:
        InputError: where there is no such device here.
    """
    if wanted == "auto":
        return hello.devices[0]
    device = "cuda:0" if wanted == "cuda" else wanted
    if device not in hello.devices:
        raise InputError(f"device {wanted!r} is not here: there are {', '.join(hello.devices)}; or use auto")
    return device


def choose_precision(wanted: str, device: str, hello: Hello) -> str:
    """Return a precision: for `auto`, bf16 where the device has it natively.

    Raises:
        InputError: for another word.
    """
    if wanted == "auto":
        return "bf16" if device in hello.bf16 else "float32"
    if wanted not in ("float32", "bf16"):
        raise InputError(f"precision {wanted!r}: use auto, float32 or bf16")
    return wanted
