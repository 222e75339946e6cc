"""The interfaces of kernel sets and of kernel errors, which give methods a kernel other than the true one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from nidbench.physics.arrays import Kernel

from .dataset import Labelled

if TYPE_CHECKING:
    from nidbench.files.remote import RemoteFile


#: The name, within its set, of a kernel that nobody knows.
UNKNOWN = "unknown"


class KernelSet(Protocol):
    """Blur kernels by name.

    A set of kernels by formula has a class attribute `formula` with what comes after its name and a colon, `SIGMA` for
    `gaussian:SIGMA`. It lists no names, and `load` takes the numbers as text: `2`.
    """

    info: ClassVar[KernelSetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to download; none for computed kernels."""
        ...

    def names(self) -> Sequence[str]:
        """Return the kernels' names in the order of the literature; none for a formula."""
        ...

    def load(self, name: str) -> Kernel:
        """Return a kernel in the orientation for true convolution, Shape (kh, kw), sum 1."""
        ...


class KernelError(Labelled, Protocol):
    """How the kernel that methods know differs from the one that blurred.

    Attributes:
        replaces: True where the known kernel does not depend on the one that blurred, which may then be `UNKNOWN`.
            A class may leave it out: it counts as False.
    """

    def known_kernel(self, kernel: Kernel, image: str, name: str) -> Kernel:
        """Return the kernel that methods know: of any size, for true convolution, origin at k//2.

        Every call gives the same kernel.

        Args:
            kernel: the one that blurs, Shape (kh, kw), sum 1.
            image: name of the image, without its crop.
            name: name of the kernel with its set, as `levin/4`.
        """
        ...


@dataclass(frozen=True)
class KernelSetInfo:
    """Facts of a kernel set.

    Attributes:
        title: the name in the literature.
        source, licence: where it comes from and on what terms.
        noises: kernel name -> noise specification that belongs to it, for sets of scenarios; otherwise empty.
    """

    title: str
    source: str = ""
    licence: str = ""
    noises: Mapping[str, str] = field(default_factory=dict)
