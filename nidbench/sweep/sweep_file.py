"""Reads and writes sweep files: requests of sweeps in TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from nidbench.errors import InputError, unknown
from nidbench.registry.method_spec import parse_methods
from nidbench.system.toml_file import read_toml

from .request import Ask, Experiment, words

#: Options of the whole sweep, which stand above the experiments.
_OF_THE_SWEEP = tuple(field.name for field in fields(Ask) if field.name != "experiments")

#: Options that mean something where they are empty, such as the kernels of the dataset.
_MAY_BE_EMPTY = {field.name for kind in (Ask, Experiment) for field in fields(kind) if field.default == ""}


def read_ask(path: Path) -> Ask:
    """Return the request in a TOML file.

    Options stand at the top of the file. Where a single grid is not enough, `[[experiment]]` tables have the options
    that differ. Keys are those of the command line, and lists may be TOML lists.

    Raises:
        InputError: where the file cannot be read, a key is unknown, doubled or misplaced, or a value breaks its rule.
    """
    content = read_toml(path)
    blocks = content.pop("experiment", [{}])
    if not (isinstance(blocks, list) and blocks and all(isinstance(block, dict) for block in blocks)):
        raise InputError(f"{path}: 'experiment' is no list of tables: write [[experiment]] above every experiment")
    shared = _by_name(path, content)
    options = {name: _option_of_the_sweep(path, name, shared.pop(name)) for name in _OF_THE_SWEEP if name in shared}
    if "method_file" in options:
        options["method_file"] = path.parent / options["method_file"]
    return Ask(tuple(_experiment(path, shared, _by_name(path, block)) for block in blocks), **options)


def _by_name(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table under the names of options, whose keys may have `-` in the place of `_`."""
    keys: dict[str, str] = {}
    for key in table:
        name = key.replace("-", "_")
        if name in keys:
            raise InputError(f"{path}: {keys[name]!r} and {key!r} are one option, given twice: keep one of them")
        keys[name] = key
    return {name: table[key] for name, key in keys.items()}


def _experiment(path: Path, shared: Mapping[str, Any], block: Mapping[str, Any]) -> Experiment:
    for name in _OF_THE_SWEEP:
        if name in block:
            raise InputError(
                f"{path}: {name!r} is in an [[experiment]], and holds for the whole sweep: write it above the first one"
            )
    known = [field.name for field in fields(Experiment)]
    values: dict[str, Any] = {}
    for name, value in {**shared, **block}.items():
        if name not in known:
            raise InputError(f"{path}: {unknown('key', name, [*known, *_OF_THE_SWEEP, 'experiment'])}")
        values[name] = _option(path, name, value)
    for required in ("methods", "dataset"):
        if required not in values:
            raise InputError(f"{path}: no {required!r} was given")
    return Experiment(**values)


def _option_of_the_sweep(path: Path, name: str, value: Any) -> Any:
    if isinstance(value, list):
        raise InputError(f"{path}: {name} = {value!r}: a sweep has one; give it as text")
    return _option(path, name, value)


def _option(path: Path, name: str, value: Any) -> str | int:
    """Return the value of an option: a number for `limit` and `crop`, a bool for `rotate_kernels`, else text.

    A list becomes text with commas.
    """
    if name == "rotate_kernels":
        if type(value) is not bool:
            raise InputError(f"{path}: {name} = {value!r}: give true or false")
        return value
    if name in ("limit", "crop"):
        if type(value) is not int:
            raise InputError(f"{path}: {name} = {value!r}: give a whole number, such as 2")
        return value
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str | int | float) for item in items):
        raise InputError(f"{path}: {name} = {value!r}: give text, a number or a list of these")
    text = ",".join(map(str, items))
    if not words(text) and name not in _MAY_BE_EMPTY:
        raise InputError(f"{path}: {name} = {value!r} is empty: {_filled(name)}")
    return text


def _filled(name: str) -> str:
    required = any(field.name == name and field.default is MISSING for field in fields(Experiment))
    return "name one or more" if required else "give it a value, or leave the line out"


def ask_text(ask: Ask, about: Sequence[str] = ()) -> str:
    """Return the text of a sweep file, with the options that all experiments share at the top.

    Args:
        ask: the request.
        about: lines of comment at the beginning.
    """
    options = {"name": ask.name, "device": ask.device, "precision": ask.precision}
    options = {key: value for key, value in options.items() if value not in ("", "auto")}
    if ask.method_file is not None:
        options["method_file"] = str(ask.method_file.resolve())
    blocks = [_changed_options(experiment) for experiment in ask.experiments]
    shared = {key: value for key, value in blocks[0].items() if all(block.get(key) == value for block in blocks)}
    lines = [*(f"# {line}" for line in about), *_toml(options), *_toml(shared)]
    for block in blocks if len(blocks) > 1 else ():
        lines += ["[[experiment]]", *_toml({key: value for key, value in block.items() if key not in shared})]
    return "\n".join(lines) + "\n"


def _changed_options(experiment: Experiment) -> dict[str, Any]:
    """Return the options of an experiment that differ from the defaults, with lists as lists."""
    defaults = {field.name: field.default for field in fields(Experiment)}
    values = {name: value for name, value in asdict(experiment).items() if value != defaults[name]}
    lists = {name: list(words(values[name])) for name in ("kernels", "noise", "images", "response") if name in values}
    return values | lists | {"methods": [str(spec) for spec in parse_methods(experiment.methods)]}


def _toml(values: Mapping[str, Any]) -> list[str]:
    # JSON writes text, numbers and lists of text as TOML does
    return [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
