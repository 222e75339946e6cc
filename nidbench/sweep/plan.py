"""Makes the plan of a sweep: the cells that a request asks for, with all that is needed to compute them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path

import msgspec

from nidbench.cases.case import Case
from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.compute.computer import Computer, DeadlineError, WorkerDiedError
from nidbench.compute.messages import Hello, MethodFacts, Refusal, Resolve
from nidbench.errors import InputError, NidbenchError
from nidbench.physics.case_key import CaseKey
from nidbench.records import Cell, Planned, Sweep
from nidbench.registry.method_spec import (
    DEFAULT_PRESET,
    WELL_KNOWN_PRESETS,
    MethodSpec,
    parse_methods,
    replaced_preset,
)

from .choices import Chooser, Chosen, Question, check_precision
from .request import Ask, read_seeds


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A cell with all that is needed to compute it.

    Attributes:
        planned: the cell as its sweep asks for it.
        cell: the facts that determine its result.
        case: its measurement and truths, which are made when they are needed.
        source: asks for its case, and maybe for a few others of the same image.
        method: the method that restores.
        device: torch device, `cpu` or `cuda:N`.
        threads: CPU threads that compute it.
    """

    planned: Planned
    cell: Cell
    case: Case
    source: CaseRequest
    method: MethodFacts
    device: str
    threads: int


@dataclass(frozen=True, eq=False)
class Plan:
    """The cells of a sweep in the order of computation: all methods of a case follow each other."""

    sweep: Sweep
    jobs: Sequence[Job]


def make_plan(ask: Ask, computer: Computer, chooser: Chooser | None = None) -> Plan:
    """Return the plan of a sweep.

    Args:
        ask: the request.
        computer: resolves methods, and knows the devices.
        chooser: chooses the precision and the threads; None for one thread and no earlier sweeps.

    Raises:
        NidbenchError: for an unknown name, setting, device or precision, or for data that are missing.
    """
    chooser, name = chooser or Chooser(), ask.sweep_name()
    computer.use_threads(chooser.first_threads(name))
    hello = computer.hello()
    device = choose_device(ask.device, hello)
    check_precision(ask.precision, device, hello)
    wanted = list(_wanted(ask, computer))
    question = Question(
        name=name,
        precision=ask.precision,
        device=device,
        methods=list({id(one.method): one.method for one in wanted}.values()),
        cells=frozenset((str(one.method.spec), one.case.key, one.case.declared, one.seed) for one in wanted),
    )
    chosen = chooser.choose(question, computer)
    jobs: dict[tuple[str, str], Job] = {}
    for one in wanted:
        job = _job(one, device, chosen, hello)
        jobs.setdefault((job.planned.id, job.planned.label), job)
    sweep = Sweep(name, ask.asked(), [job.planned for job in jobs.values()], chosen.choices)
    return Plan(sweep, list(jobs.values()))


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A cell before precision and threads are chosen."""

    method: MethodFacts
    case: Case
    source: CaseRequest
    seed: int


def _wanted(ask: Ask, computer: Computer) -> Iterator[_Wanted]:
    """Yield what a sweep asks for, in the order of computation."""
    asked = [[(spec, each.preset) for spec in parse_methods(each.methods)] for each in ask.experiments]
    methods, names = _Methods(computer, ask.method_file, chain.from_iterable(asked)), _CaseNames()
    for experiment, specs in zip(ask.experiments, asked, strict=True):
        resolved = [methods.facts(spec, preset) for spec, preset in specs]
        seeds = read_seeds("seeds", experiment.seeds)
        for request in experiment.requests():
            for case in cases(request):
                names.check(case, request.dataset)
                for facts, seed in product(resolved, seeds):
                    yield _Wanted(facts, case, request, seed)


class _Methods:
    """Method specifications, resolved in a computing process, every one once for all experiments of a sweep.

    Args:
        computer: resolves them.
        file: a Python file with a further method; None for none.
        asked: specifications, and the preset of those that name none.

    Raises:
        NidbenchError: where one cannot be imported, or its specification breaks a rule.
    """

    def __init__(self, computer: Computer, file: Path | None, asked: Iterable[tuple[MethodSpec, str | None]]) -> None:
        self._computer = computer
        self._file = file
        self._facts: dict[tuple[str, str | None], MethodFacts] = {}
        refused: list[tuple[MethodSpec, str, NidbenchError]] = []
        for spec, preset in asked:
            if (str(spec), preset) in self._facts:
                continue
            try:
                self._facts[str(spec), preset] = self._resolved(spec, preset)
            except NidbenchError as error:
                if spec.preset is not None or preset is None or preset in WELL_KNOWN_PRESETS:
                    raise
                refused.append((spec, preset, error))
        had = {facts.preset for facts in self._facts.values()}
        for spec, preset, refusal in refused:
            if preset not in had:  # of no method: a slip of the pen
                raise refusal
            self._facts[str(spec), preset] = self._without(spec, preset)

    def facts(self, spec: MethodSpec, preset: str | None) -> MethodFacts:
        """Return the facts of a method that was asked for."""
        return self._facts[str(spec), preset]

    def _without(self, spec: MethodSpec, preset: str) -> MethodFacts:
        """Return the facts of a method that lacks a preset which another method of the sweep has."""
        facts = self._resolved(spec, None)
        if facts.preset == DEFAULT_PRESET:  # it has no presets at all
            return facts
        note = "; ".join(filter(None, (facts.note, replaced_preset(preset, facts.preset))))
        return msgspec.structs.replace(facts, note=note)

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


def _job(wanted: _Wanted, device: str, chosen: Chosen, hello: Hello) -> Job:
    facts, case, seed = wanted.method, wanted.case, wanted.seed
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
        precision=chosen.precision,
        device=device.partition(":")[0],
    )
    cell_id = cell.id
    if chosen.kept and cell_id not in chosen.kept and device in hello.bf16:  # what is finished is not computed again
        other = replace(cell, precision="float32" if cell.precision == "bf16" else "bf16")
        if other.id in chosen.kept:
            cell, cell_id = other, other.id
    label = str(facts.spec)
    note = "; ".join(filter(None, (facts.note, case.notice)))
    planned = Planned(
        id=cell_id,
        label=label,
        preset=facts.preset,
        note=note,
        case=case.key,
        declared=case.declared,
        seed=seed,
        method=facts.spec.name,
    )
    return Job(
        planned=planned,
        cell=cell,
        case=case,
        source=wanted.source,
        method=facts,
        device=device,
        threads=chosen.choices.threads,
    )


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
