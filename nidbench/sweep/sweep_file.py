"""Sweep files: what a sweep asks for, in TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from nidbench.errors import InputError
from nidbench.registry.method_spec import parse_methods
from nidbench.system.toml_file import read_toml

from .request import Ask, Experiment, words


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
