"""Files to download, and the manifests that list their URLs, sizes and hashes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from nidbench.errors import DataError

#: Name of a hash in `hashlib` -> its name in messages.
_HASHES = {"sha256": "SHA-256", "md5": "MD5"}


@dataclass(frozen=True)
class RemoteFile:
    """A file to download, by nidbench or by hand.

    Attributes:
        dataset: the dataset or method that needs it; its folder in the cache.
        path: its place in that folder, with `/` between folders.
        url: its address, `https://...`. Several addresses of the same bytes, separated by blanks, are tried in their
            order. It is empty for a file that only a person can download.
        sha256: hash of its content, hexadecimal; empty where its publisher gives `md5` instead.
        bytes: its size; 0 where nobody published it.
        md5: hash of its content, hexadecimal.
    """

    dataset: str
    path: str
    url: str
    sha256: str
    bytes: int
    md5: str = ""

    def __str__(self) -> str:
        return f"{self.dataset}/{self.path}"

    @property
    def hash(self) -> tuple[str, str]:
        """The kind of the hash of its content, named as in `hashlib`, and its value."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    @property
    def known_by(self) -> str:
        """The size and the hash of its content, for messages: `1120 bytes, SHA-256 cb2d...`."""
        kind, value = self.hash
        return (f"{self.bytes} bytes, " if self.bytes else "") + f"{_HASHES[kind]} {value}"


def read_manifest(manifest: Traversable, dataset: str) -> list[RemoteFile]:
    """Return the files of a dataset, in the order of the manifest.

    Args:
        manifest: CSV with the columns dataset, path, sha256, bytes and url (or several urls, separated by blanks);
            package data (`importlib.resources.files(...) / "files.csv"`) or a `Path`.
        dataset: the dataset whose rows to read.

    Raises:
        DataError: where the manifest cannot be read or has no row for the dataset.
    """
    try:
        rows = list(csv.DictReader(manifest.read_text(encoding="utf-8").splitlines()))
        files = [
            RemoteFile(dataset, row["path"], row["url"], row["sha256"], int(row["bytes"]))
            for row in rows
            if row["dataset"] == dataset
        ]
    except (OSError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"cannot read {manifest} ({reason}): columns are dataset,path,sha256,bytes,url") from error
    if not files:
        raise DataError(f"{manifest} lists no file of {dataset!r}: add its rows dataset,path,sha256,bytes,url")
    return files
