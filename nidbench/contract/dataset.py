"""Datasets: sharp images, or blurred ones that are given."""

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
    """What a dataset is and which experiment it stands for.

    Attributes:
        title: the name in the literature.
        kernels: default kernel set.
        noises: default noise specifications.
        source, licence: where the images come from and on what terms.
        response: of the camera, as `identity` or `gamma:2.2`; sharp images are as it shows them, see `Response.scene`.
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
        """Return the files to fetch, none for data that ships."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading one."""
        ...

    def load(self, name: str) -> Image:
        """Return a sharp image, Shape (C, H, W), float64 in [0, 1]."""
        ...


@runtime_checkable
class Noticed(Protocol):
    """A dataset that whoever uses it has to know something of adds this; `MeasuredDataset` has it."""

    def notice(self, names: Sequence[str]) -> str:
        """Return what there is to know of these images, for the run's output and the notes of its tables."""
        ...


@runtime_checkable
class MeasuredDataset(Protocol):
    """Blurred images that are given, not made, with their kernels and, where there are any, sharp images.

    Its `info.kernels` is the name of its own kernels, its `info.noises` is `(MEASURED,)`.
    """

    info: ClassVar[DatasetInfo]

    def files(self) -> Sequence[RemoteFile]:
        """Return the files to fetch, none for data that is at hand."""
        ...

    def names(self) -> Sequence[str]:
        """Return the images' names in the order of the literature, without loading one."""
        ...

    def kernels(self, name: str) -> Sequence[str]:
        """Return the kernels that an image was blurred by, as `set/name`, without loading one.

        Where nobody knows the kernel this is `set/unknown` (`UNKNOWN`): `measured` then has one pixel for it, and only
        a kernel error that `replaces` it makes the image usable.
        """
        ...

    def notice(self, names: Sequence[str]) -> str:
        """Return what whoever uses these images has to know, such as that they have no truth and how to get it.

        Nothing where there is nothing to know. What a person provided is checked here, before anything is computed.

        Raises:
            DataError: where it is not what it should be.
        """
        ...

    def measured(self, name: str, kernel: str) -> Problem:
        """Return an image as one of its kernels blurred it, with what is known of the noise; the same at every call.

        The level of the noise is None where nobody knows it.
        """
        ...

    def truths(self, name: str, kernel: str) -> Sequence[Truth]:
        """Return the sharp images to compare with: none, one or many, of which the best match counts.

        Offsets count from the first pixel of the frame of x: a truth that shows what y shows has those of
        `Problem.valid`.
        """
        ...


@runtime_checkable
class KnownTruths(Protocol):
    """A dataset of blurred images whose sharp ones are known by a hash without reading them all adds this."""

    def truth_hash(self, name: str, kernel: str) -> str:
        """Return a hash that changes wherever `truths` would; empty where there are none."""
        ...


@runtime_checkable
class FilesByHand(Protocol):
    """A dataset some of whose files only a person can get adds this. It works without them, with less to tell.

    `nidbench data` names them, takes them and verifies them. What is there and is not as listed, `notice` refuses.
    """

    def by_hand(self) -> Sequence[RemoteFile]:
        """Return these files."""
        ...


@runtime_checkable
class Labelled(Protocol):
    """What is made from `name:ARGUMENT` on the command line adds this: its class is called with the argument.

    Attributes:
        argument: what the argument is, for messages: `PATH`.
        label: stands for it in keys and tables, and so keys noise: without `/`, the same wherever the data lies.
    """

    argument: ClassVar[str]

    @property
    def label(self) -> str:
        """Return the label."""
        ...
