"""What the sources of methods and data sets say of them, read without importing anything: for lists and completion."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass

from .fingerprint import stated_infos


@dataclass(frozen=True)
class Stated:
    """What `info` says in a source.

    Attributes:
        title: the name in the literature; empty where the source does not say it in so many words.
        presets, variants: names.
        blind: whether it says that the method finds the kernel itself.
    """

    title: str = ""
    presets: Sequence[str] = ()
    variants: Sequence[str] = ()
    blind: bool = False


def stated(target: str) -> Stated:
    """Return what the source of a registered class says; nothing where it is said in another way than by literals.

    Args:
        target: `module:attribute`, or the path of a Python file.
    """
    infos = stated_infos(target)
    if len(infos) != 1 or not isinstance(infos[0], ast.Call):
        return Stated()
    given = {keyword.arg: keyword.value for keyword in infos[0].keywords}
    title = infos[0].args[0] if infos[0].args else given.get("title")
    text = title.value if isinstance(title, ast.Constant) and isinstance(title.value, str) else ""
    blind = given.get("blind")
    is_blind = isinstance(blind, ast.Constant) and blind.value is True
    return Stated(text, _keys(given.get("presets")), _keys(given.get("variants")), is_blind)


def _keys(node: ast.expr | None) -> list[str]:
    keys = node.keys if isinstance(node, ast.Dict) else []
    return [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def meanings(kind: type) -> dict[str, str]:
    """Return what the settings of a dataclass mean, by name: from `Attributes:` of its docstring, or `#:` at a field.

    Those of its base classes count where its own say nothing, and so do those of a class beside its module that the
    docstring names, as in "see `_effort.Effort`". Settings that are explained nowhere are left out.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if is_dataclass(base):
            for named in _named_classes(base):
                found |= _documented(named) | _properties(named)
            found |= _commented(base) | _documented(base)
    names = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    return {name: text for name, text in found.items() if name in names}


def _named_classes(kind: type) -> Iterator[type]:
    """Yield the classes that a docstring names with their modules, of those that its own module has imported."""
    package = kind.__module__.rpartition(".")[0]
    for module, name in re.findall(r"`(_\w+)\.([A-Z]\w+)`", kind.__doc__ or ""):
        found = getattr(sys.modules.get(f"{package}.{module}"), name, None)
        if isinstance(found, type):
            yield found


def _properties(kind: type) -> dict[str, str]:
    """Return name -> docstring of the properties of a protocol, which a class of settings has as fields."""
    found = [(name, value) for base in reversed(kind.__mro__) for name, value in vars(base).items()]
    return {name: " ".join((value.__doc__ or "").split()) for name, value in found if isinstance(value, property)}


def _documented(kind: type) -> dict[str, str]:
    """Return name -> text of the section `Attributes:` of a docstring."""
    section = re.search(r"^Attributes:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(kind.__doc__ or ""), re.M | re.S)
    entries = re.findall(r"^    ([\w, ]+):\s(.*?)(?=^    \S|\Z)", section[1] if section else "", re.M | re.S)
    return {name.strip(): " ".join(text.split()) for names, text in entries for name in names.split(",")}


def _commented(kind: type) -> dict[str, str]:
    """Return name -> text of comments `#:` on the lines of fields."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # made without a file
        return {}
    return dict(re.findall(r"^    (\w+)\s*:[^#\n]*?#:\s*(.+?)\s*$", source, re.M))
