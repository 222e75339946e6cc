"""A fingerprint of a method's source: the same after editing comments, another after editing what it computes with."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
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
    for path in sorted(found, key=lambda path: (path.parent.name, path.name)):
        digest.update(f"{path.parent.name}/{path.name}\n{found[path]}\n".encode())
    return digest.hexdigest()[:16]


def _collect(path: Path, module: str, found: dict[Path, str]) -> None:
    if path in found:
        return
    tree = ast.parse(path.read_text())
    found[path] = ast.dump(_without_docstrings(tree))
    for imported in _imports(tree, module.rpartition(".")[0]):
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
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):  # not a module: a name inside one
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return tree
