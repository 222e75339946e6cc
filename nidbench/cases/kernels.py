"""Which kernels blur, and which ones methods are handed.

`levin` is a whole set, `levin/4` one of its kernels; `gaussian:2`, `disk:3` and `motion:15:30` are kernels by formula,
and `psf.npy` is one of a file. `levin/4@perturbed:noise=0.1` blurs with it and hands methods another;
`perturbed:noise=0.1` does so with the dataset's own kernels.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from nidbench.contract.kernel_set import KernelError, KernelSet
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.images import KERNEL_SUFFIXES, KernelFile, expanded
from nidbench.images.psf import WORDS
from nidbench.physics.arrays import Kernel, array_hash
from nidbench.physics.kernel import normalised
from nidbench.registry.entry_points import Registry, load_kernel_error, load_kernels

#: Name of the set of kernels that are files.
FILE = "file"


@dataclass(frozen=True)
class ChosenKernel:
    """A kernel as it is asked for.

    Attributes:
        name: the name in keys and tables: `levin/4`, or `levin@perturbed:noise=0.1/4` where methods are handed
            another.
        true: the name of the kernel that blurs, `levin/4`: the measurement is the same whatever methods are handed.
        noise: the noise that is bound to the kernel, or None.
        error: how the kernel that methods are handed differs, or None.
        file: the file that it is, or None for a kernel of a set.
    """

    name: str
    true: str
    noise: str | None = None
    error: KernelError | None = None
    file: KernelFile | None = None

    def kernel(self) -> Kernel:
        """Return the kernel that blurs.

        Raises:
            InputError: for a file that holds no kernel, or numbers of a formula beyond their limits.
        """
        return self._kernel

    @cached_property
    def _kernel(self) -> Kernel:
        # a file is read once for this choice, and again for the next: it may be another one by then
        return _kernel(self.true) if self.file is None else self.file.kernel()

    def true_hash(self) -> str:
        """Return the SHA-256 of the kernel that blurs."""
        return _kernel_hash(self.true) if self.file is None else array_hash(self.kernel())

    def handed(self, image: str) -> Kernel:
        """Return the kernel that methods are handed for an image.

        Raises:
            InputError: where the kernel error has none for the image, or one that is no kernel.
        """
        if self.error is None:
            return self.kernel()
        return normalised(self.error.known_kernel(self.kernel(), image, self.true))

    def identity(self, image: str) -> str:
        """Return the SHA-256 of the kernel, followed by that of the kernel handed where that is another."""
        true = self.true_hash()
        return true if self.error is None else f"{true}@{array_hash(self.handed(image))}"


def choose_kernels(
    texts: Sequence[str], default: str, blurred_by: Callable[[str], Sequence[str]] | None = None
) -> list[ChosenKernel]:
    """Return the kernels asked for, each once.

    Args:
        texts: as on the command line; none for the default.
        default: the kernels of the dataset.
        blurred_by: for images that are given blurred: returns which of the kernels that they were blurred by, as
            `set/name`, a set or single kernel stands for. The dataset loads their arrays. None for images that are
            blurred here.

    Raises:
        UnknownNameError: for an unknown set, kernel or kernel error.
        InputError: for a kernel error that breaks a rule, two of the same name, a kernel that two files or
            formulas give, a file that holds no kernel, or one whose name was cut at a comma.
    """
    _check_commas(texts)
    chosen: dict[str, ChosenKernel] = {}
    errors: dict[str, KernelError] = {}
    for text in texts or (default,):
        true, error_text = _split(text, default)
        error = load_kernel_error(error_text) if error_text else None
        suffix = f"@{error_text.partition(':')[0]}:{error.label}" if error else ""
        if error is not None and errors.setdefault(suffix, error) != error:
            raise InputError(
                f"{error_text} has the name of another kernel error in tables, {suffix[1:]}: rename its folder"
            )
        found = _found(true) if blurred_by is None else [ChosenKernel(name, name) for name in blurred_by(true)]
        for kernel in found:
            set_name, _, in_set = kernel.name.partition("/")
            key = f"{set_name}{suffix}/{in_set}"
            known = chosen.setdefault(key, replace(kernel, name=key, error=error))
            if known.file != kernel.file:
                raise InputError(f"{known.file} and {kernel.file} have one name in tables, {key}: rename one of them")
    if blurred_by is None:
        _check_twins(list(chosen.values()))
    return list(chosen.values())


def _check_commas(texts: Sequence[str]) -> None:
    """Refuse a file whose name was taken for several kernels, as it has a comma in it."""
    for last, text in enumerate(texts):
        if not KernelFile.is_meant(text) or _is_file(KernelFile.parse(text).path):
            continue
        for first in range(last):
            for comma in (",", ", "):  # blanks around items are gone
                whole = comma.join(texts[first : last + 1])
                if _is_file(KernelFile.parse(whole).path):
                    raise InputError(
                        f"commas separate kernels, so that {whole} is taken for {last + 1 - first}: give this file, or "
                        "its folder, a name without a comma"
                    )


def _is_file(path: Path) -> bool:
    return os.path.isfile(expanded(path))  # noqa: PTH113 - of a text that can be no path it is False, where `Path` raises


def _check_twins(chosen: Sequence[ChosenKernel]) -> None:
    """Refuse a kernel that two formulas or files give: it would count twice, and as two."""
    known: dict[tuple[str, KernelError | None], str] = {}
    for kernel in chosen:
        if kernel.file is not None or _is_formula(kernel.true):
            name = str(kernel.file or kernel.name.replace("/", ":", 1))
            first = known.setdefault((kernel.true_hash(), kernel.error), name)
            if first != name:
                raise InputError(f"{first} and {name} are one kernel, which would count twice: name it once")


def _is_formula(name: str) -> bool:
    return bool(getattr(_kernel_set(name.partition("/")[0]), "formula", ""))


def _split(text: str, default: str) -> tuple[str, str]:
    """Return the kernels that blur and the kernel error, empty where there is none."""
    if KernelFile.is_meant(text):
        return text, ""
    _check_word(text)
    true, _, error = text.partition("@")
    set_name, colon, _ = true.partition(":")
    is_error = colon and not KernelFile.is_meant(true) and set_name not in Registry.installed("kernel set").targets
    return (default, text) if is_error else (true or default, error)


def _check_word(text: str) -> None:
    """Refuse a kernel file with something else than the words that may come after its name."""
    path, _, word = text.rpartition(":")
    if path and "@" not in text and KernelFile.is_meant(path):
        raise InputError(f"kernel {text!r}: {word!r} is none of the words after a file, {', '.join(WORDS)}: use these")


def _found(text: str) -> list[ChosenKernel]:
    """Return each kernel that `levin`, `levin/4`, `gaussian:2` or `psf.npy` stands for, with the noise it binds.

    Raises:
        UnknownNameError: for an unknown set or kernel.
        InputError: for a file that does not exist, or a formula without its numbers.
    """
    if KernelFile.is_meant(text):
        file = KernelFile.parse(text)
        name = f"{FILE}/{file.label}"
        return [ChosenKernel(name, name, file=file)]
    _check_word(text)
    if os.path.isfile(text):  # noqa: PTH113 - of a text that can be no path it is False, where `Path` raises
        raise InputError(
            f"kernel file {text} is none of {', '.join(KERNEL_SUFFIXES)}: give it the suffix that it has, or save "
            'numbers that are text as an array: numpy.save("psf.npy", numpy.loadtxt("psf.txt"))'
        )
    set_name, mark, only = re.fullmatch(r"([^/:]*)([/:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    kernel_set = _meant_set(set_name, text)
    form = getattr(kernel_set, "formula", "")
    if form:
        if not only:
            raise InputError(f"kernel {text!r} lacks its numbers: write {set_name}:{form}")
        kernel_set.load(only)
        return [ChosenKernel(f"{set_name}/{only}", f"{set_name}/{only}")]
    if mark == ":":
        raise InputError(f"kernel set {text!r}: {set_name} takes no argument after a colon, write {set_name}")
    names = kernel_set.names()
    if only and only not in names:
        raise UnknownNameError(unknown(f"kernel of {set_name}", only, names))
    bound = kernel_set.info.noises
    chosen = [name for name in names if not only or name == only]
    return [ChosenKernel(f"{set_name}/{name}", f"{set_name}/{name}", bound.get(name)) for name in chosen]


def _meant_set(name: str, text: str) -> KernelSet:
    """Return a kernel set; where there is none, say that a text that looks like a path is no file either.

    Raises:
        UnknownNameError: for an unknown set.
        InputError: likewise, where the text ends as the name of a file does.
    """
    try:
        return _kernel_set(name)
    except UnknownNameError as error:
        suffixes = ", ".join(KERNEL_SUFFIXES)
        if re.search(r"\.[^\W\d]\w*$", text):
            raise InputError(
                f"kernel {text!r} is neither of a set nor a file that is there: check the path; kernel files are "
                f"{suffixes}"
            ) from error
        if "/" in text:
            raise UnknownNameError(f"{error}; nor is there a file {text}, of {suffixes}") from error
        raise


def one_kernel(text: str) -> Kernel:
    """Return the only kernel that a text stands for: `psf.tif`, `gaussian:2`, `levin/4`.

    Raises:
        UnknownNameError: for an unknown set or kernel.
        InputError: where it stands for several, or for none.
    """
    found = _found(text)
    if len(found) != 1:
        names = ", ".join(kernel.name for kernel in found)
        raise InputError(f"kernel {text!r} stands for {len(found)} kernels ({names}): choose one")
    return found[0].kernel()


@lru_cache(maxsize=16)
def _kernel_set(name: str) -> KernelSet:
    return load_kernels(name)


@lru_cache(maxsize=64)
def _kernel(name: str) -> Kernel:
    set_name, _, in_set = name.partition("/")
    return normalised(_kernel_set(set_name).load(in_set))


@lru_cache(maxsize=64)
def _kernel_hash(name: str) -> str:
    return array_hash(_kernel(name))


def check_reach(kernel: Kernel, shown: Sequence[int], true: Sequence[int] = (0, 0)) -> None:
    """Refuse a kernel that is larger than the blurred image: most of what it blurs would not be seen.

    Args:
        kernel: the kernel that methods are handed.
        shown: (h, w) of y.
        true: (kh, kw) of the one that blurred; where that is larger than y, the kernel may be so, too.

    Raises:
        InputError: naming both sizes.
    """
    if any(taps > seen >= blurring for taps, seen, blurring in zip(kernel.shape, shown, true, strict=True)):
        raise InputError(
            f"the kernel of {kernel.shape[0]}x{kernel.shape[1]} is larger than the blurred image of "
            f"{shown[0]}x{shown[1]}: cut off its border of 0, or give the kernel's file if this is another picture"
        )


def frame_offset(true: Kernel, handed: Kernel) -> tuple[int, int]:
    """Return where the first pixel of the blurred x is in the frame of a method that is handed another kernel.

    Both frames extend y, by (k-1)//2 before it; so y shows the same region of either, that of the true kernel.

    Args:
        true: the kernel that blurred, Shape (kh, kw).
        handed: the kernel that methods are handed; of any size.
    """
    (rows, columns), (true_rows, true_columns) = handed.shape, true.shape
    return (rows - 1) // 2 - (true_rows - 1) // 2, (columns - 1) // 2 - (true_columns - 1) // 2


def taps_of(kernel: Kernel) -> tuple[int, int]:
    """Return the rows and columns of a kernel."""
    rows, columns = kernel.shape
    return rows, columns
