"""Reads a method's source without importing it: its version, and a fingerprint that comments do not change."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path


def fingerprint(target: str) -> str:
    """Return the fingerprint of a method's source, 16 hexadecimal digits; empty where there is no source.

    It covers the file of the method and the files of the same folder that it imports.

    Args:
        target: `module:attribute`, or the path of a Python file.
    """
    start = Path(target) if target.endswith(".py") else source_file(target.partition(":")[0])
    sources: dict[Path, str] = {}
    if start is not None:
        _collect(start, sources)
    digest = hashlib.sha256()
    for text in sorted(f"{path.name}\n{content}\n" for path, content in sources.items()):
        digest.update(text.encode())
    return digest.hexdigest()[:16] if sources else ""


def stated_version(target: str) -> int | None:
    """Return the version in the `info` of a method's source: 1 where it states none, None where this is not clear.

    Args:
        target: as in `fingerprint`.
    """
    infos = stated_infos(target)
    return _version(infos[0]) if len(infos) == 1 else None


def stated_infos(target: str) -> list[ast.expr | None]:
    """Return what the class of a target is given as `info` in its source; none where there is no source to read.

    Args:
        target: as in `fingerprint`.
    """
    module, _, attribute = target.partition(":")
    path = Path(target) if target.endswith(".py") else source_file(module)
    try:
        tree = ast.parse(path.read_bytes()) if path is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return []
    return [
        node.value
        for definition in tree.body
        if isinstance(definition, ast.ClassDef) and attribute in ("", definition.name)
        for node in definition.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and "info" in _names(node)
    ]


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _version(info: ast.expr | None) -> int | None:
    """Return the argument `version` of a call of `MethodInfo`: 1 where it has none, None where that is unclear."""
    plain = isinstance(info, ast.Call) and len(info.args) < 5 and all(keyword.arg for keyword in info.keywords)
    if not plain or not isinstance(info, ast.Call):
        return None
    versions = [keyword.value for keyword in info.keywords if keyword.arg == "version"]
    if not versions:
        return 1
    version = versions[0]
    return version.value if isinstance(version, ast.Constant) and type(version.value) is int else None


def _collect(path: Path, sources: dict[Path, str]) -> None:
    """Add a file, and those of its folder that it imports, without comments and docstrings."""
    if path in sources or not path.is_file():
        return
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # broken by an edit: its bytes differ from before in any case
        sources[path] = hashlib.sha256(content).hexdigest()
        return
    sources[path] = ast.dump(_without_docstrings(tree))
    for name in _imports(tree):
        _collect(path.parent / f"{name}.py", sources)


def _imports(tree: ast.AST) -> set[str]:
    """Return the first names of imported modules, which may be those of files in the same folder."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update([node.module] if node.module else [alias.name for alias in node.names])
    return {name.partition(".")[0] for name in names}


def source_file(module: str) -> Path | None:
    """Return the file of a module, searched as by `import` but without importing its packages; None for no source."""
    folders: Sequence[str] | None = None
    name = ""
    for level in module.split("."):
        name = f"{name}.{level}" if name else level
        spec = _find(name, folders)
        if spec is None:  # not a module, but a name inside one
            return None
        if spec.origin is None:  # a folder without __init__.py
            folders = [str(Path(folder, level)) for folder in (sys.path if folders is None else folders)]
        else:
            folders = spec.submodule_search_locations or []
    return Path(spec.origin) if spec is not None and spec.origin is not None and spec.origin.endswith(".py") else None


def _find(name: str, folders: Sequence[str] | None) -> ModuleSpec | None:
    try:
        specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
        return next((spec for spec in specs if spec is not None), None)
    except KeyError:  # nested folders without __init__.py: Python expects the outer one to be imported
        return ModuleSpec(name, None)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return tree
