"""Which kernels blur, and which ones methods are handed.

`levin` is a whole set, `levin/4` one of its kernels. `levin/4@perturbed:noise=0.1` blurs with it and hands methods
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
        name: the name in keys and tables: `levin/4`, or `levin@perturbed:noise=0.1/4` where methods are handed
            another.
        true: the name of the kernel that blurs, `levin/4`: the measurement is the same whatever methods are handed.
        noise: the noise that is bound to the kernel, or None.
        error: how the kernel that methods are handed differs, or None.
    """

    name: str
    true: str
    noise: str | None = None
    error: KernelError | None = None

    def kernel(self) -> Kernel:
        """Return the kernel that blurs."""
        return _kernel(self.true)

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
        true = _kernel_hash(self.true)
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
        UnknownNameError: for a set, kernel or kernel error that there is not.
        InputError: for a kernel error that breaks a rule, or two of the same name.
    """
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
        for name, noise in _registered(true) if blurred_by is None else [(name, None) for name in blurred_by(true)]:
            set_name, _, in_set = name.partition("/")
            key = f"{set_name}{suffix}/{in_set}"
            chosen.setdefault(key, ChosenKernel(key, name, noise, error))
    return list(chosen.values())


def _split(text: str, default: str) -> tuple[str, str]:
    """Return the kernels that blur and the kernel error, empty where there is none."""
    true, _, error = text.partition("@")
    return (default, text) if ":" in true else (true or default, error)


def _registered(text: str) -> list[tuple[str, str | None]]:
    """Return name and bound noise of each kernel that `levin` or `levin/4` stands for."""
    set_name, _, only = text.partition("/")
    kernel_set = _kernel_set(set_name)
    names = kernel_set.names()
    if only and only not in names:
        raise UnknownNameError(unknown(f"kernel of {set_name}", only, names))
    bound = kernel_set.info.noises
    return [(f"{set_name}/{name}", bound.get(name)) for name in names if not only or name == only]


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
