"""What a packed file says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import msgspec

from nidbench.errors import PackError
from nidbench.records import FORMAT

#: Raised when a newer nidbench packs what an older one cannot take.
PACK_FORMAT = 1

#: Name of the manifest in a packed file.
MANIFEST = "nidbench-pack.json"


@dataclass(frozen=True)
class Packing:
    """A file in a packed file, as the manifest knows it.

    Attributes:
        bytes: its size.
        sha256: its SHA-256.
    """

    bytes: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Manifest:
    """What a packed file holds.

    Attributes:
        nidbench: the version that packed it.
        arrays: which arrays were asked for, of `pack.Arrays`.
        files: name in the packed file -> its size and hash.
        environments: how many cells were computed in which environment: `cells`, and `environment` as of their logs.
        records: format of the records.
    """

    nidbench: str
    arrays: str
    files: Mapping[str, Packing]
    environments: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    records: int = FORMAT

    @property
    def total(self) -> int:
        """The bytes of all files."""
        return sum(file.bytes for file in self.files.values())

    def to_json(self) -> str:
        """Return the manifest as JSON text, the same for the same content."""
        return json.dumps({"format": PACK_FORMAT, **asdict(self)}, indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: bytes, place: object) -> Manifest:
        """Read `to_json`'s text.

        Args:
            text: the text.
            place: the packed file, for messages.

        Raises:
            PackError: where it is no manifest, or of a newer format.
        """
        try:
            content = json.loads(text)
            newer = content["format"] > PACK_FORMAT or content["records"] > FORMAT
            if not newer:
                return msgspec.convert(content, cls)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PackError(f"{place}: its manifest {MANIFEST} is damaged ({error}): ask for the file again") from error
        raise PackError(
            f"{place} was packed by a newer nidbench (format {content['format']} with records of format "
            f"{content['records']}; this one takes {PACK_FORMAT} and {FORMAT}): upgrade with pip install -U nidbench"
        )
