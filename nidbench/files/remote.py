"""Files to download, and the manifests that list their URLs, sizes and hashes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from nidbench.errors import DataError

#: Name of a hash in `hashlib` -> its name in messages.
_HASHES = {"sha256": "SHA-256", "md5": "MD5", "git-blob-sha1": "git blob id"}

#: What the column sha256 of a manifest begins with where it has the id that git gives a file's content.
GIT_BLOB = "git-blob-sha1:"

#: What the column bytes begins with where only a least size is known.
AT_LEAST = ">="


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
        git_blob: the id that git gives its content, hexadecimal, for a file that is known by its repository only. A
            pointer to a large file (Git LFS) may have the id, too, so that `least` belongs to it.
        least: the fewest bytes that it can have, where `bytes` is 0.
    """

    dataset: str
    path: str
    url: str
    sha256: str
    bytes: int
    md5: str = ""
    git_blob: str = ""
    least: int = 0

    def __str__(self) -> str:
        return f"{self.dataset}/{self.path}"

    @property
    def hash(self) -> tuple[str, str]:
        """The kind of the hash of its content, named as in `hashlib` or `git-blob-sha1`, and its value."""
        if self.git_blob:
            return "git-blob-sha1", self.git_blob
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    def may_have(self, size: int) -> bool:
        """Return whether its content can be so many bytes."""
        return size == self.bytes if self.bytes else size >= self.least

    @property
    def known_by(self) -> str:
        """The size and the hash of its content, for messages: `1120 bytes, SHA-256 cb2d...`."""
        kind, value = self.hash
        size = f"{self.bytes} bytes, " if self.bytes else f"at least {self.least} bytes, " if self.least else ""
        return f"{size}{_HASHES[kind]} {value}"


def read_manifest(manifest: Traversable, dataset: str) -> list[RemoteFile]:
    """Return the files of a dataset, in the order of the manifest.

    Args:
        manifest: CSV with the columns dataset, path, sha256, bytes and url (or several urls, separated by blanks);
            package data (`importlib.resources.files(...) / "files.csv"`) or a `Path`. `git-blob-sha1:` and an id in
            place of a SHA-256, and `>=` before a size, make a file known by its git blob.
        dataset: the dataset whose rows to read.

    Raises:
        DataError: where the manifest cannot be read or has no row for the dataset.
    """
    try:
        rows = list(csv.DictReader(manifest.read_text(encoding="utf-8").splitlines()))
        files = [_file(row) for row in rows if row["dataset"] == dataset]
    except (OSError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"cannot read {manifest} ({reason}): columns are dataset,path,sha256,bytes,url") from error
    if not files:
        raise DataError(f"{manifest} lists no file of {dataset!r}: add its rows dataset,path,sha256,bytes,url")
    return files


def _file(row: dict[str, str]) -> RemoteFile:
    if None in row.values():  # an empty column is one that was left empty, and a lacking one is damage
        raise ValueError(f"the row of {row['path']} is cut off")
    known, size = row["sha256"], row["bytes"]
    if not known.startswith(GIT_BLOB):
        return RemoteFile(row["dataset"], row["path"], row["url"], known, int(size))
    blob, least = known.removeprefix(GIT_BLOB), int(size.removeprefix(AT_LEAST))
    exact = 0 if size.startswith(AT_LEAST) else least
    return RemoteFile(row["dataset"], row["path"], row["url"], "", exact, git_blob=blob, least=least)
