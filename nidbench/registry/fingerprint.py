"""What a method's source says without being imported: its version, and a fingerprint that comments do not change."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path


def fingerprint(target: str) -> str:
    """Return the fingerprint of a method's source, 16 hexadecimal digits: of its file and those beside it it imports.

    Args:
        target: `module:attribute`, or the path of a Python file.
    """
    start = Path(target) if target.endswith(".py") else _source(target.partition(":")[0])
    found: dict[Path, str] = {}
    if start is not None:
        _collect(start, found)
    digest = hashlib.sha256()
    for text in sorted(f"{path.name}\n{content}\n" for path, content in found.items()):
        digest.update(text.encode())
    return digest.hexdigest()[:16] if found else ""


def stated_version(target: str) -> int | None:
    """Return the version that a method's `info` states, 1 where it states none; None where the source does not tell.

    Args:
        target: as of `fingerprint`.
    """
    module, _, attribute = target.partition(":")
    path = Path(target) if target.endswith(".py") else _source(module)
    try:
        tree = ast.parse(path.read_bytes()) if path is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return None
    infos = [
        node.value
        for each in tree.body
        if isinstance(each, ast.ClassDef) and attribute in ("", each.name)
        for node in each.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and "info" in _names(node)
    ]
    return _version(infos[0]) if len(infos) == 1 else None


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [each.id for each in targets if isinstance(each, ast.Name)]


def _version(info: ast.expr | None) -> int | None:
    """Return the version that a call of `MethodInfo` gives by name, 1 where it gives none."""
    plain = isinstance(info, ast.Call) and len(info.args) < 5 and all(each.arg for each in info.keywords)
    if not plain or not isinstance(info, ast.Call):
        return None
    given = [each.value for each in info.keywords if each.arg == "version"]
    if not given:
        return 1
    return given[0].value if isinstance(given[0], ast.Constant) and type(given[0].value) is int else None


def _collect(path: Path, found: dict[Path, str]) -> None:
    if path in found or not path.is_file():
        return
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # broken by an edit: another source than before, whatever it says
        found[path] = hashlib.sha256(content).hexdigest()
        return
    found[path] = ast.dump(_without_docstrings(tree))
    for name in _imports(tree):
        _collect(path.parent / f"{name}.py", found)


def _imports(tree: ast.AST) -> set[str]:
    """Return the first names of what is imported, as a file beside this one may have them."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update([node.module] if node.module else [alias.name for alias in node.names])
    return {name.partition(".")[0] for name in names}


def _source(module: str) -> Path | None:
    """Return a module's file, found as `import` finds it but without importing the packages that it is in."""
    folders: Sequence[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _find(name, folders)
        if spec is None:  # not a module: a name inside one
            return None
        if spec.origin is None:  # a folder without __init__.py
            folders = [str(Path(folder, part)) for folder in (sys.path if folders is None else folders)]
        else:
            folders = spec.submodule_search_locations or []
    return Path(spec.origin) if spec is not None and spec.origin is not None and spec.origin.endswith(".py") else None


def _find(name: str, folders: Sequence[str] | None) -> ModuleSpec | None:
    try:
        found = (finder.find_spec(name, folders) for finder in sys.meta_path)
        return next((spec for spec in found if spec is not None), None)
    except KeyError:  # a folder without __init__.py inside another, of which Python wants the outer one imported
        return ModuleSpec(name, None)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return tree
