"""The interface of datasets, which hold sharp images, or blurred images and their kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from nidbench.physics.arrays import Image as Image
from nidbench.physics.problem import Problem

from .truth import Truth

if TYPE_CHECKING:
    from nidbench.files.remote import RemoteFile


@dataclass(frozen=True)
class DatasetInfo:
    """Facts of a dataset, and the kernels and noises of its usual experiment.

    Attributes:
        title: the name in the literature.
        kernels: default kernel set.
        noises: default noise specifications.
        source, licence: where the images come from and on what terms.
        response: of the camera, as `identity` or `gamma:2.2`; sharp images are as this camera shows them, see
            `Response.scene`.
    """

    title: str
    kernels: str
    noises: tuple[str, ...]
    source: str = ""
    licence: str = ""
    response: str = "identity"


class Dataset(Protocol):
    """Sharp images by name."""

    info: ClassVar[DatasetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to download; none where the data comes with the package."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading an image."""
        ...

    def load(self, name: str) -> Image:
        """Return a sharp image, Shape (C, H, W), float64 in [0, 1]."""
        ...


@runtime_checkable
class Noticed(Protocol):
    """Implemented by datasets with facts that users must know; `MeasuredDataset` includes it."""

    def notice(self, names: Sequence[str]) -> str:
        """Return what users of these images must know, for the output of `run` and the notes of its tables."""
        ...


@runtime_checkable
class MeasuredDataset(Protocol):
    """A dataset that gives blurred images with their kernels and, where there are any, sharp images.

    Its `info.kernels` is the name of its kernel set, and its `info.noises` is `(MEASURED,)`.
    """

    info: ClassVar[DatasetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to download; none where the data is on this machine."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading an image."""
        ...

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernels that an image was blurred by, as `set/name`, without loading a kernel.

        Where nobody knows the kernel it is `set/unknown` (`UNKNOWN`): `measured` then returns a kernel of one pixel in
        its place, and only a kernel error that `replaces` it makes the image usable.
        """
        ...

    def notice(self, names: Sequence[str]) -> str:
        """Return the facts that users of these images must know, such as where to get missing truths; empty for none.

        Files that a person provided are checked here, before anything is computed.

        Raises:
            DataError: where such a file is not the one that is listed.
        """
        ...

    def measured(self, name: str, kernel: str) -> Problem:
        """Return the measurement of an image with one of its kernels; the same at every call.

        The level of its noise is None where nobody knows it.
        """
        ...

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp images to compare with: none, one, or many of which the best match counts.

        Offsets count from the first pixel of the frame of x: a truth that covers the same pixels as y has the offset
        of `Problem.valid`.
        """
        ...


@runtime_checkable
class KnownTruths(Protocol):
    """Implemented by datasets of blurred images that can identify their truths without reading all of them."""

    def truth_hash(self, name: str, kernel: str) -> str:
        """Return a hash that changes whenever `truths` changes; empty where there are no truths."""
        ...


@runtime_checkable
class FilesByHand(Protocol):
    """Implemented by datasets with files that only a person can download; without them it gives fewer truths.

    `nidbench data` lists these files, adds them and verifies them. `notice` refuses a file that is not as listed.
    """

    def by_hand(self) -> Sequence[RemoteFile]:
        """Return the files that a person has to download."""
        ...


@runtime_checkable
class Labelled(Protocol):
    """Implemented by datasets and kernel errors that take a command-line argument, such as `folder:PATH`.

    The class is called with the argument.

    Attributes:
        argument: the kind of argument, for messages: `PATH`.
        label: name of the argument in keys and tables, and so in the key of the noise: without `/`, and independent of
            the place where the data lies.
    """

    argument: ClassVar[str]

    @property
    def label(self) -> str:
        """Return the name of the argument in keys and tables."""
        ...
