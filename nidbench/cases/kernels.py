"""Which kernels blur, and which ones methods are told.

`levin` is a whole set, `levin/4` one of its kernels. `levin/4@perturbed:noise=0.1` blurs with it and tells methods
another; `perturbed:noise=0.1` does so with the dataset's own kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from nidbench.contract.kernel_set import KernelError, KernelSet
from nidbench.errors import InputError, UnknownNameError, unknown
from nidbench.physics.arrays import Kernel, array_hash
from nidbench.physics.kernel import normalised
from nidbench.registry.entry_points import load_kernel_error, load_kernels


@dataclass(frozen=True)
class ChosenKernel:
    """A kernel as it is asked for.

    Attributes:
        name: in keys and tables: `levin/4`, or `levin@perturbed:noise=0.1/4` where methods are told another.
        true: the one that blurs, `levin/4`: the measurement is the same whatever methods are told.
        noise: what is bound to it, or None.
        error: how the kernel told differs, or None.
    """

    name: str
    true: str
    noise: str | None = None
    error: KernelError | None = None

    def kernel(self) -> Kernel:
        """Return the kernel that blurs."""
        return _kernel(self.true)

    def told(self, image: str) -> Kernel:
        """Return the kernel that methods are told for an image.

        Raises:
            InputError: where there is none, or what there is is not a kernel.
        """
        if self.error is None:
            return self.kernel()
        return normalised(self.error.known_kernel(self.kernel(), image, self.true))

    def identity(self, image: str) -> str:
        """Return the SHA-256 of the kernel, followed by that of the kernel told where that is another."""
        true = _kernel_hash(self.true)
        return true if self.error is None else f"{true}@{array_hash(self.told(image))}"


def choose_kernels(
    texts: Sequence[str], default: str, own: Callable[[str], Sequence[str]] | None = None
) -> list[ChosenKernel]:
    """Return the kernels asked for, each once.

    Args:
        texts: as on the command line; none for the default.
        default: the dataset's own.
        own: for images that were blurred already: makes the kernels they were blurred by, as `set/name`, of a set or
            single kernel. Their arrays are the dataset's to load.

    Raises:
        UnknownNameError: for a set, kernel or kernel error that there is not.
        InputError: for a kernel error that breaks a rule, or two of the same name.
    """
    chosen: dict[str, ChosenKernel] = {}
    errors: dict[str, KernelError] = {}
    for text in texts or (default,):
        true, told = _split(text, default)
        error = load_kernel_error(told) if told else None
        suffix = f"@{told.partition(':')[0]}:{error.label}" if error else ""
        if error is not None and errors.setdefault(suffix, error) != error:
            raise InputError(f"{told} has the name of another kernel error in tables, {suffix[1:]}: rename its folder")
        for set_name, name, noise in _named(true) if own is None else [(*_parts(each), None) for each in own(true)]:
            key = f"{set_name}{suffix}/{name}"
            chosen.setdefault(key, ChosenKernel(key, f"{set_name}/{name}", noise, error))
    return list(chosen.values())


def _parts(name: str) -> tuple[str, str]:
    set_name, _, own = name.partition("/")
    return set_name, own


def _split(text: str, default: str) -> tuple[str, str]:
    """Return the kernels that blur and the kernel error, empty where there is none."""
    true, _, told = text.partition("@")
    return (default, text) if ":" in true else (true or default, told)


def _named(text: str) -> list[tuple[str, str, str | None]]:
    """Return set, name and bound noise of each kernel of `levin` or `levin/4`."""
    set_name, _, only = text.partition("/")
    kernel_set = _kernel_set(set_name)
    names = kernel_set.names()
    if only and only not in names:
        raise UnknownNameError(unknown(f"kernel of {set_name}", only, names))
    bound = kernel_set.info.noises
    return [(set_name, name, bound.get(name)) for name in names if not only or name == only]


@lru_cache(maxsize=16)
def _kernel_set(name: str) -> KernelSet:
    return load_kernels(name)


@lru_cache(maxsize=64)
def _kernel(name: str) -> Kernel:
    set_name, _, own = name.partition("/")
    return normalised(_kernel_set(set_name).load(own))


@lru_cache(maxsize=64)
def _kernel_hash(name: str) -> str:
    return array_hash(_kernel(name))


def check_reach(told: Kernel, shown: Sequence[int], true: Sequence[int] = (0, 0)) -> None:
    """Refuse a kernel that is larger than the blurred image: most of what it blurs would not be seen.

    Args:
        told: the kernel.
        shown: (h, w) of y.
        true: (kh, kw) of the one that blurred; where that is larger than y, the kernel may be so, too.

    Raises:
        InputError: naming both sizes.
    """
    if any(given > seen >= own for given, seen, own in zip(told.shape, shown, true, strict=True)):
        raise InputError(
            f"the kernel of {told.shape[0]}x{told.shape[1]} is larger than the blurred image of {shown[0]}x{shown[1]}: "
            "cut off its border of 0, or give the kernel's file if this is another picture"
        )


def told_offset(true: Kernel, told: Kernel) -> tuple[int, int]:
    """Return where the first pixel of the blurred x is in the frame of a method that is told another kernel.

    Both frames extend y, by (k-1)//2 before it; so y shows the same region of either, that of the true kernel.
    """
    rows, columns = ((own - 1) // 2 - (given - 1) // 2 for own, given in zip(told.shape, true.shape, strict=True))
    return rows, columns


def taps_of(kernel: Kernel) -> tuple[int, int]:
    """Return the rows and columns of a kernel."""
    rows, columns = kernel.shape
    return rows, columns
