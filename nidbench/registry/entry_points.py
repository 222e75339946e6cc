"""Names to methods, datasets and kernel sets, through entry points: nothing is imported until asked for by name."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from nidbench.contract.dataset import Dataset, MeasuredDataset
from nidbench.contract.kernel_set import KernelError, KernelSet
from nidbench.contract.method import Method, MethodInfo
from nidbench.errors import InputError, NidbenchError, UnknownNameError, unknown

from .fingerprint import stated_version

#: What there is to register, and the entry point group where it is.
GROUPS = {
    "method": "nidbench.methods",
    "dataset": "nidbench.datasets",
    "kernel set": "nidbench.kernels",
    "kernel error": "nidbench.kernel_errors",
}


@dataclass(frozen=True)
class Registry:
    """What is registered in one group.

    Attributes:
        kind: what it holds, for messages: one of `GROUPS`.
        targets: name -> where it is, as `module:attribute` or a file.
    """

    kind: str
    targets: Mapping[str, str]

    @classmethod
    def installed(cls, kind: str) -> Registry:
        """Return what is installed in the group of a kind, built-in and third-party alike.

        Raises:
            NidbenchError: where two distributions register the same name.
        """
        registry = cls(kind, {})
        for point in entry_points(group=GROUPS[kind]):
            if registry.targets.get(point.name) != point.value:  # one distribution may be listed twice
                registry = registry.with_target(point.name, point.value)
        return registry

    def with_target(self, name: str, target: str) -> Registry:
        """Return the registry with one more entry.

        Raises:
            NidbenchError: where the name is taken, naming both.
        """
        if name in self.targets:
            raise NidbenchError(
                f"{self.kind} {name!r} is registered twice, as {self.targets[name]} and as {target}: rename one of them"
            )
        return Registry(self.kind, {**self.targets, name: target})

    def names(self) -> list[str]:
        """Return the names, sorted."""
        return sorted(self.targets)

    def target(self, name: str) -> str:
        """Return where a name leads.

        Raises:
            UnknownNameError: with the near misses and all known names.
        """
        if name not in self.targets:
            raise UnknownNameError(unknown(self.kind, name, self.targets))
        return self.targets[name]

    def load(self, name: str) -> Any:
        """Import what a name stands for.

        Raises:
            UnknownNameError: where nothing has the name.
            NidbenchError: where it cannot be imported.
        """
        target = self.target(name)
        module_name, _, attribute = target.partition(":")
        try:
            module = _load_file(Path(target)) if target.endswith(".py") else importlib.import_module(module_name)
        except NidbenchError:
            raise
        except (Exception, SystemExit) as error:  # whatever third-party code raises while it is imported
            raise NidbenchError(
                f"{self.kind} {name!r} ({target}) cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if target.endswith(".py"):
            return _only_method(module, target)
        if not hasattr(module, attribute):
            raise NidbenchError(f"{self.kind} {name!r}: {module_name} has no {attribute!r}; correct the entry point")
        return getattr(module, attribute)


def methods(file: Path | None = None) -> Registry:
    """Return the registry of methods, with that of a plain file under the file's stem.

    Raises:
        InputError: where the file does not exist.
        NidbenchError: where its name is taken.
    """
    registry = Registry.installed("method")
    if file is None:
        return registry
    if file.suffix != ".py" or not file.is_file():
        raise InputError(f"method file {file} is not a Python file: give the path of one, such as my_method.py")
    return registry.with_target(file.stem, str(file.resolve()))


def load_method(registry: Registry, name: str) -> type[Method]:
    """Return a method's class.

    Raises:
        InputError: where what is registered is not a frozen dataclass with `info` and `restore`.
    """
    found = registry.load(name)
    if not _is_method(found):
        raise InputError(
            f"method {name!r} ({registry.target(name)}) is not a frozen dataclass with `info: ClassVar[MethodInfo]` "
            "and `restore(problem, run)`: see the example in nidbench.contract"
        )
    return cast("type[Method]", found)


def declared_versions(names: Iterable[str], file: str | None = None) -> dict[str, int]:
    """Return the version that each method declares today, of those that are still registered or in a method file.

    Read from their sources where they say it there, which takes no import of what they compute with.
    """
    try:
        registry = methods(Path(file) if file else None)
    except NidbenchError:  # the file is gone, or its name taken since
        registry = methods()
    found = {name: _declared_version(registry, name) for name in names if name in registry.targets}
    return {name: version for name, version in found.items() if version is not None}


def _declared_version(registry: Registry, name: str) -> int | None:
    said = stated_version(registry.targets[name])
    if said is not None:
        return said
    try:
        return load_method(registry, name).info.version
    except NidbenchError:  # broken by an edit: what it computed before cannot be called old
        return None


def load_dataset(text: str) -> Dataset | MeasuredDataset:
    """Return a dataset, as `set12` or `folder:PATH`, nothing of it read yet.

    Raises:
        UnknownNameError: where nothing has the name.
        InputError: where what stands after the colon is missing, or is more than the dataset takes.
    """
    dataset: Dataset | MeasuredDataset = _made("dataset", text)
    return dataset


def load_kernels(text: str) -> KernelSet:
    """Return a kernel set, nothing of it read yet. Raises as `load_dataset` does."""
    kernels: KernelSet = _made("kernel set", text)
    return kernels


def load_kernel_error(text: str) -> KernelError:
    """Return a kernel error, as `perturbed:noise=0.1` or `estimated:PATH`. Raises as `load_dataset` does."""
    error: KernelError = _made("kernel error", text)
    return error


def _made(kind: str, text: str) -> Any:
    name, colon, argument = text.partition(":")
    factory: Callable[..., Any] = Registry.installed(kind).load(name)
    wanted = getattr(factory, "argument", "")
    if wanted and not argument:
        raise InputError(f"{kind} {text!r} does not say which: write {name}:{wanted}")
    if colon and not wanted:
        raise InputError(f"{kind} {text!r}: {name} takes nothing after a colon, write {name}")
    return factory(argument) if wanted else factory()


def _load_file(path: Path) -> ModuleType:
    name = f"nidbench method file {path.stem}"  # nothing imports it by that name, so that it hides no other module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def _only_method(module: ModuleType, target: str) -> type:
    found = [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and isinstance(getattr(value, "info", None), MethodInfo)
    ]
    if len(found) != 1:
        names = ", ".join(each.__name__ for each in found) or "none"
        raise InputError(f"{target} must define one class with `info: ClassVar[MethodInfo]`, it has {names}")
    return cast("type", found[0])


def _is_method(found: object) -> bool:
    parameters = getattr(found, "__dataclass_params__", None)
    return (
        inspect.isclass(found)
        and is_dataclass(found)
        and bool(getattr(parameters, "frozen", False))
        and isinstance(getattr(found, "info", None), MethodInfo)
        and callable(getattr(found, "restore", None))
    )
