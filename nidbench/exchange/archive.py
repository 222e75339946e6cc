"""Packed files: ZIP archives that are the same bytes for the same content, and are read without trusting them."""

from __future__ import annotations

import hashlib
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nidbench.errors import PackError

from .manifest import MANIFEST, Manifest, Packing
from .names import check_name, shown
from .source import MOST_TEXT, Source

_BLOCK = 1 << 20

#: What `zipfile` raises for archives that are damaged, encrypted, or packed in a way that it does not know.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, struct.error)


class ArchiveWriter:
    """Writes a packed file, one file of it after the other.

    Use it in a `with` statement: after an error, what was begun is let go of while its file is still open.

    Args:
        file: where to.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(file, "w", zipfile.ZIP_STORED)
        self._files: dict[str, Packing] = {}

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def add(self, name: str, content: bytes) -> None:
        """Write a file."""
        self._write(name, content)
        self._files[name] = Packing(len(content), hashlib.sha256(content).hexdigest())

    def close(self, *, nidbench: str, arrays: str, environments: Sequence[Mapping[str, Any]]) -> Manifest:
        """Write the manifest, which is of these values and of what was written, and return it."""
        manifest = Manifest(nidbench, arrays, self._files, environments)
        self._write(MANIFEST, manifest.to_json().encode())
        self._archive.close()
        return manifest

    def _write(self, name: str, content: bytes) -> None:
        # nothing of the machine or the day, and no compression, whose bytes differ between versions of zlib
        entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
        self._archive.writestr(entry, content)


class Archive(Source):
    """A packed file.

    Use it in a `with` statement. Only files of the names that packed files have are ever looked at, what is compressed
    is refused, and no more is read than the manifest says, nor more than is allowed.

    Args:
        place: the file.
        most: bytes that all files in it may have together.

    Raises:
        PackError: where it is no packed file, is cut off or made up, is of a newer format, or holds too much.
    """

    def __init__(self, place: Path, most: int) -> None:
        super().__init__(place, most)
        with _reading(place):
            self._archive = zipfile.ZipFile(place)
        try:
            self._entries = self._checked_entries()
            self.manifest = self._read_manifest()
        except BaseException:
            self._archive.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def names(self) -> Collection[str]:
        """The names of all files."""
        return self.manifest.files.keys()

    def _checked_entries(self) -> dict[str, zipfile.ZipInfo]:
        entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._archive.infolist():
            name = entry.orig_filename  # `filename` is without what `zipfile` dislikes
            if name in entries:
                raise PackError(f"{self.place} holds {shown(name)} twice: nothing of it is taken")
            self._check_entry(name, entry)
            entries[name] = entry
        return entries

    def _check_entry(self, name: str, entry: zipfile.ZipInfo) -> None:
        if name != MANIFEST:
            check_name(self.place, name)
        where = f"{self.place}: {shown(name)}"
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise PackError(
                f"{where} is compressed, and could be of any size: nidbench pack compresses nothing; ask for the file "
                "as it was packed"
            )
        if entry.flag_bits & 1:
            raise PackError(f"{where} is encrypted: ask for the file as it was packed")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            raise PackError(f"{where} is a link or another special file: nothing of it is taken")

    def _read_manifest(self) -> Manifest:
        if MANIFEST not in self._entries:
            raise PackError(f"{self.place} is no packed sweep, it has no {MANIFEST}: give a file of nidbench pack")
        manifest = Manifest.from_json(self._bytes_of(MANIFEST, MOST_TEXT), self.place)
        listed, there = set(manifest.files), set(self._entries) - {MANIFEST}
        for name in sorted(listed ^ there):
            fault = "lacks" if name in listed else "does not list"
            raise PackError(f"{self.place} {fault} {shown(name)}: {self.remedy}")
        self.check_total(manifest.total)
        return manifest

    def _content(self, name: str, most: int) -> bytes:
        packing = self.manifest.files[name]
        content = self._bytes_of(name, min(most, packing.bytes))
        if len(content) != packing.bytes or hashlib.sha256(content).hexdigest() != packing.sha256:
            raise PackError(
                f"{self.place}: {name} is not what was packed, its SHA-256 is another than {packing.sha256}: it was "
                f"damaged or altered; {self.remedy}"
            )
        return content

    def _bytes_of(self, name: str, most: int) -> bytes:
        blocks, size = [], 0
        with _reading(self.place), self._archive.open(self._entries[name]) as file:
            while block := file.read(_BLOCK):
                size += len(block)
                if size > most:
                    raise PackError(f"{self.place}: {name} has more than {most} bytes: {self.remedy}")
                blocks.append(block)
        return b"".join(blocks)


@contextmanager
def _reading(place: Path) -> Iterator[None]:
    """Turn what reading an archive raises into an error that says what to do."""
    try:
        yield
    except PackError:
        raise
    except FileNotFoundError:
        raise PackError(f"{place} is not there: give a file of nidbench pack, or a results folder") from None
    except _DAMAGE as error:
        reason = shown(str(error))
        raise PackError(
            f"{place} cannot be read as a packed sweep ({reason}): it is another file, or cut off; ask for it again"
        ) from error
