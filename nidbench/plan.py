"""From options to cells: what a sweep asks for, and which cells that is."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .cases import CaseRequest, cases
from .contract import Case, CaseKey
from .errors import InputError, NidbenchError
from .messages import Hello, MethodFacts, Refusal, Resolve
from .records import Cell, Planned, Sweep, checked_name
from .specs import MethodSpec, parse_methods
from .supervise import Computer, DeadlineError, WorkerDiedError
from .toml_file import read_toml


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
                dataset,
                words(self.kernels),
                words(self.noise),
                words(self.images),
                self.limit,
                read_seeds("noise-seeds", self.noise_seeds),
                self.declared,
                self.crop,
                words(self.response),
                self.rotate_kernels,
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


@dataclass(frozen=True, eq=False)
class Job:
    """A cell with all that it takes to compute it."""

    planned: Planned
    cell: Cell
    case: Case
    facts: MethodFacts
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
        facts.spec.name,
        facts.version,
        facts.settings,
        case.key,
        case.image_hash,
        case.kernel_hash,
        case.declared,
        str(case.response),
        seed,
        precision,
        device.partition(":")[0],
    )
    label = str(facts.spec)
    note = "; ".join(filter(None, (facts.note, case.notice)))
    planned = Planned(cell.id, label, facts.preset, note, case.key, case.declared, seed, facts.spec.name)
    return Job(planned, cell, case, facts, device)


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


def read_ask(path: Path) -> Ask:
    """Read a sweep from a TOML file.

    Options stand at the top; where one grid is not enough, `[[experiment]]` tables say what differs. Keys are the
    command line's, lists may be TOML lists.

    Raises:
        InputError: where the file cannot be read, or a key or value is not known.
    """
    content = read_toml(path)
    blocks = content.pop("experiment", [{}])
    if not (isinstance(blocks, list) and blocks and all(isinstance(block, dict) for block in blocks)):
        raise InputError(f"{path}: 'experiment' is no list of tables: write [[experiment]] above each")
    names = [name for name in ("device", "precision", "name", "method_file") if name in content]
    own: dict[str, Any] = {name: _option(path, name, content.pop(name)) for name in names}
    if "method_file" in own:
        own["method_file"] = path.parent / own["method_file"]
    return Ask(tuple(_experiment(path, {**content, **block}) for block in blocks), **own)


def _experiment(path: Path, content: Mapping[str, Any]) -> Experiment:
    known = [each.name for each in fields(Experiment)]
    values: dict[str, Any] = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in known:
            raise InputError(
                f"{path}: unknown key {key!r}; there are {', '.join(known)}, device, precision, name, method_file"
            )
        values[name] = _option(path, name, value)
    for required in ("methods", "dataset"):
        if required not in values:
            raise InputError(f"{path}: no {required!r} was given")
    return Experiment(**values)


def _option(path: Path, name: str, value: Any) -> str | int:
    """Return a value as the command line has it: a number for `limit` and `crop`, yes or no for `rotate_kernels`.

    Else text, with commas for lists.
    """
    if name == "rotate_kernels":
        if type(value) is not bool:
            raise InputError(f"{path}: {name} = {value!r}: give true or false")
        return value
    if name in ("limit", "crop"):
        if type(value) is not int:
            raise InputError(f"{path}: {name} = {value!r}: give a whole number, such as 2")
        return value
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float) for part in parts):
        raise InputError(f"{path}: {name} = {value!r}: give text, a number or a list of these")
    return ",".join(map(str, parts))


def ask_text(ask: Ask, about: Sequence[str] = ()) -> str:
    """Return a sweep as `read_ask` reads it; what all experiments share stands at the top.

    Args:
        ask: the sweep.
        about: lines of comment before it.
    """
    own = {"name": ask.name, "device": ask.device, "precision": ask.precision}
    own = {key: value for key, value in own.items() if value not in ("", "auto")}
    if ask.method_file is not None:
        own["method_file"] = str(ask.method_file.resolve())
    blocks = [_told(experiment) for experiment in ask.experiments]
    shared = {key: value for key, value in blocks[0].items() if all(block.get(key) == value for block in blocks)}
    lines = [*(f"# {line}" for line in about), *_toml(own), *_toml(shared)]
    for block in blocks if len(blocks) > 1 else ():
        lines += ["[[experiment]]", *_toml({key: value for key, value in block.items() if key not in shared})]
    return "\n".join(lines) + "\n"


def _told(experiment: Experiment) -> dict[str, Any]:
    """Return what of an experiment is not the default, lists as lists."""
    known = {each.name: each.default for each in fields(Experiment)}
    values = {name: value for name, value in asdict(experiment).items() if value != known[name]}
    lists = {name: list(words(values[name])) for name in ("kernels", "noise", "images", "response") if name in values}
    return values | lists | {"methods": [str(spec) for spec in parse_methods(experiment.methods)]}


def _toml(values: Mapping[str, Any]) -> list[str]:
    # text, numbers and lists of text are written in JSON as in TOML
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
