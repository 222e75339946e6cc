"""Finds methods, datasets and kernel sets by name, through entry points; only what is loaded is imported."""

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

#: Kind of what is registered -> its entry point group.
GROUPS = {
    "method": "nidbench.methods",
    "dataset": "nidbench.datasets",
    "kernel set": "nidbench.kernels",
    "kernel error": "nidbench.kernel_errors",
}


@dataclass(frozen=True)
class Registry:
    """The entries of a group.

    Attributes:
        kind: kind of the entries: a key of `GROUPS`.
        targets: name -> `module:attribute`, or the path of a Python file.
    """

    kind: str
    targets: Mapping[str, str]

    @classmethod
    def installed(cls, kind: str) -> Registry:
        """Return the installed entries of a kind, built-in and third-party ones.

        Raises:
            NidbenchError: where two distributions register the same name.
        """
        registry = cls(kind, {})
        for point in entry_points(group=GROUPS[kind]):
            if registry.targets.get(point.name) != point.value:  # a distribution may be listed twice
                registry = registry.with_target(point.name, point.value)
        return registry

    def with_target(self, name: str, target: str) -> Registry:
        """Return the registry with a further entry.

        Raises:
            NidbenchError: where the name is taken; the message names both targets.
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
        """Return the target of a name.

        Raises:
            UnknownNameError: where the name is unknown; the message lists the near misses and all names.
        """
        if name not in self.targets:
            is_folder = self.kind == "dataset" and Path(name).is_dir()
            way_out = f"; a folder of images is folder:{name}" if is_folder else ""
            raise UnknownNameError(unknown(self.kind, name, self.targets) + way_out)
        return self.targets[name]

    def load(self, name: str) -> Any:
        """Import and return the entry of a name.

        Raises:
            UnknownNameError: where the name is unknown.
            NidbenchError: where the entry cannot be imported.
        """
        target = self.target(name)
        module_name, _, attribute = target.partition(":")
        try:
            module = _load_file(Path(target)) if target.endswith(".py") else importlib.import_module(module_name)
        except NidbenchError:
            raise
        except (Exception, SystemExit) as error:  # third-party code may raise anything at its import
            raise NidbenchError(
                f"{self.kind} {name!r} ({target}) cannot be imported: {type(error).__name__}: {error}"
                f"{import_remedy(target, error)}"
            ) from error
        if target.endswith(".py"):
            return _only_method(module, target)
        if not hasattr(module, attribute):
            raise NidbenchError(f"{self.kind} {name!r}: {module_name} has no {attribute!r}; correct the entry point")
        return getattr(module, attribute)


def methods(file: Path | None = None) -> Registry:
    """Return the registry of methods, with the method of a Python file under the stem of its name.

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
    """Return the class of a method.

    Raises:
        UnknownNameError: where the name is unknown.
        InputError: where the entry is not a frozen dataclass with `info` and `restore`.
        NidbenchError: where it cannot be imported.
    """
    entry = registry.load(name)
    if not _is_method(entry):
        raise InputError(
            f"method {name!r} ({registry.target(name)}) is not a frozen dataclass with `info: ClassVar[MethodInfo]` "
            "and `restore(problem, run)`: see the example in nidbench.contract"
        )
    return cast("type[Method]", entry)


def declared_versions(names: Iterable[str], file: str | None = None) -> dict[str, int]:
    """Return the versions that methods declare today, by name; without methods that are no longer registered.

    A version is read from the source where it is stated there, so that the libraries of the method are not imported. A
    plain file is never imported: a table of results that came from elsewhere must not run what their sweep names.

    Args:
        names: names of methods.
        file: path of a Python file with a further method.
    """
    try:
        registry = methods(Path(file) if file else None)
    except NidbenchError:  # the file no longer exists, or its name is taken now
        registry = methods()
    versions = {name: _declared_version(registry, name) for name in names if name in registry.targets}
    return {name: version for name, version in versions.items() if version is not None}


def _declared_version(registry: Registry, name: str) -> int | None:
    target = registry.targets[name]
    version = stated_version(target)
    if version is not None or target.endswith(".py"):
        return version
    try:
        return load_method(registry, name).info.version
    except NidbenchError:  # broken by an edit: its earlier results cannot be called old
        return None


def load_dataset(text: str) -> Dataset | MeasuredDataset:
    """Return a dataset, such as `set12` or `folder:PATH`, before any of its data is read.

    Raises:
        UnknownNameError: where the name is unknown.
        InputError: where the argument after the colon is missing, or the dataset takes none.
    """
    dataset: Dataset | MeasuredDataset = _create("dataset", text)
    return dataset


def load_kernels(text: str) -> KernelSet:
    """Return a kernel set before any of its data is read; errors are those of `load_dataset`."""
    kernels: KernelSet = _create("kernel set", text)
    return kernels


def load_kernel_error(text: str) -> KernelError:
    """Return a kernel error, such as `perturbed:noise=0.1` or `estimated:PATH`; errors are those of `load_dataset`."""
    error: KernelError = _create("kernel error", text)
    return error


def _create(kind: str, text: str) -> Any:
    name, colon, argument = text.partition(":")
    factory: Callable[..., Any] = Registry.installed(kind).load(name)
    parameter = getattr(factory, "argument", "")
    if parameter and not argument:
        raise InputError(f"{kind} {text!r} has no argument: write {name}:{parameter}")
    if colon and not parameter:
        raise InputError(f"{kind} {text!r}: {name} takes no argument after a colon, write {name}")
    return factory(argument) if parameter else factory()


def _load_file(path: Path) -> ModuleType:
    name = f"nidbench method file {path.stem}"  # not a name that can be imported, so that it hides no module
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module there
    spec.loader.exec_module(module)
    return module


def import_remedy(target: str, error: BaseException) -> str:
    """Return what to do about a module that a method's file lacks, to follow the error; empty of other errors.

    Args:
        target: the path of the file; of a method that is none, nothing is to be said.
        error: what was raised when the file was imported, or when the method ran.
    """
    if not (target.endswith(".py") and isinstance(error, ImportError)):
        return ""
    missing = str(error.name or "").partition(".")[0]
    beside = Path(target).parent / missing
    is_relative = "relative import" in str(error)
    if is_relative or (missing and (beside.is_dir() or beside.with_suffix(".py").is_file())):
        return (
            ". A method is one file, and nothing beside it is imported, as edits there would go unnoticed: put what it "
            "needs into the file, or install the other module as a package, with pip install"
        )
    return ". Install the package that has it" if isinstance(error, ModuleNotFoundError) else ""


def _only_method(module: ModuleType, target: str) -> type:
    classes = [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and isinstance(getattr(value, "info", None), MethodInfo)
    ]
    if len(classes) != 1:
        names = ", ".join(method_class.__name__ for method_class in classes) or "none"
        raise InputError(f"{target} must define one class with `info: ClassVar[MethodInfo]`, it has {names}")
    return cast("type", classes[0])


def _is_method(entry: object) -> bool:
    parameters = getattr(entry, "__dataclass_params__", None)
    return (
        inspect.isclass(entry)
        and is_dataclass(entry)
        and bool(getattr(parameters, "frozen", False))
        and isinstance(getattr(entry, "info", None), MethodInfo)
        and callable(getattr(entry, "restore", None))
    )
