"""A fingerprint of a method's source: the same after editing comments, another after editing what it computes with."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path

#: Where the search for sources ends: packages of other distributions are told by their versions instead.
OWN = "nidbench"


def fingerprint(target: str) -> str:
    """Return the fingerprint of a registered method, 16 hexadecimal digits, without importing it.

    It covers the method's module and all modules of nidbench, or beside it, that it imports.

    Args:
        target: `module:attribute`, or the path of a Python file.
    """
    module = target.partition(":")[0]
    start = Path(target) if target.endswith(".py") else _source(module)
    if start is None:
        return ""
    found: dict[Path, str] = {}
    _collect(start, "" if target.endswith(".py") else module, found)
    digest = hashlib.sha256()
    for text in sorted(f"{path.parent.name}/{path.name}\n{content}\n" for path, content in found.items()):
        digest.update(text.encode())
    return digest.hexdigest()[:16]


def _collect(path: Path, module: str, found: dict[Path, str]) -> None:
    if path in found:
        return
    content = path.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # broken by an edit: another source than before, whatever it says
        found[path] = hashlib.sha256(content).hexdigest()
        return
    found[path] = ast.dump(_without_docstrings(tree))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for imported in _imports(tree, package):
        source = _source(imported)
        if source is not None:
            _collect(source, imported, found)


def _imports(tree: ast.AST, package: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (parent, node.module)))
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)  # where a module is what is imported
    return {name for name in names if name.partition(".")[0] in (OWN, package.partition(".")[0])}


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
