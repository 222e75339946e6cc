"""Files from elsewhere: pinned by URL and SHA-256, downloaded whole or not at all, kept in a cache.

    NIDBENCH_DATA         the cache; without it, the user's cache folder
    NIDBENCH_DATA_MIRROR  takes the place of `https://` in every URL, for sites without internet: `http://host/` or
                          `file:///folder/`, where each file lies under host/path

A file in the cache is hashed at every use: that costs less than decoding it, and an altered file never passes.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote

from .errors import DataError

State: TypeAlias = Literal["ok", "missing", "altered"]

#: Files downloaded side by side: small files are bound by round trips, and sites refuse visitors with many connections.
DOWNLOADS = 4

#: What every address of a file would run into.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes:
        dataset: who it belongs to; the folder in the cache.
        path: where it lies in that folder, parts separated by `/`.
        url: where it comes from, `https://...`; several addresses of the same bytes, separated by blanks, are tried in
            their order; empty for what only a person can get.
        sha256: of its content, hexadecimal.
        bytes: its size.
        licence: on what terms, where known.
    """

    dataset: str
    path: str
    url: str
    sha256: str
    bytes: int
    licence: str = ""

    def __str__(self) -> str:
        return f"{self.dataset}/{self.path}"


def read_manifest(manifest: Traversable, dataset: str) -> list[RemoteFile]:
    """Return the files of one dataset, in the order of the manifest.

    Args:
        manifest: CSV with the columns dataset, path, sha256, bytes and url (or several urls, separated by blanks), and
            licence if wanted; package data
            (`importlib.resources.files(...) / "files.csv"`) or a `Path`.
        dataset: whose rows.

    Raises:
        DataError: where the manifest cannot be read or has no row for the dataset.
    """
    try:
        rows = list(csv.DictReader(manifest.read_text(encoding="utf-8").splitlines()))
        files = [
            RemoteFile(dataset, row["path"], row["url"], row["sha256"], int(row["bytes"]), row.get("licence") or "")
            for row in rows
            if row["dataset"] == dataset
        ]
    except (OSError, KeyError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"cannot read {manifest} ({reason}): columns are dataset,path,sha256,bytes,url") from error
    if not files:
        raise DataError(f"{manifest} lists no file of {dataset!r}: add its rows dataset,path,sha256,bytes,url")
    return files


def cache_folder() -> Path:
    """Return where files are kept: `NIDBENCH_DATA`, else `nidbench` in the user's cache folder."""
    if chosen := os.environ.get("NIDBENCH_DATA"):
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("nidbench"))


def destination(file: RemoteFile) -> Path:
    """Return where a file lies, or would lie, in the cache."""
    return cache_folder() / file.dataset / file.path


def sources(file: RemoteFile) -> list[str]:
    """Return the URLs a file is fetched from, in their order, the mirror considered.

    Raises:
        DataError: where `NIDBENCH_DATA_MIRROR` is not the base of a URL.
    """
    mirror = os.environ.get("NIDBENCH_DATA_MIRROR")
    if not mirror:
        return file.url.split()
    if not mirror.startswith(("http://", "https://", "file:///")):
        raise DataError(f"NIDBENCH_DATA_MIRROR is {mirror!r}: give http://host/, https://host/ or file:///folder/")
    return [f"{mirror.rstrip('/')}/{url.removeprefix('https://')}" for url in file.url.split()]


def state(file: RemoteFile) -> State:
    """Return how a file is in the cache: `ok`, `missing`, or `altered` where size or SHA-256 differ.

    Raises:
        DataError: where it is there and cannot be read.
    """
    path = destination(file)
    try:
        if path.stat().st_size != file.bytes:
            return "altered"
        with path.open("rb") as content:
            return "ok" if hashlib.file_digest(content, "sha256").hexdigest() == file.sha256 else "altered"
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError as error:
        raise DataError(f"{file}: cannot read {path} ({error}); mend its permissions or remove it") from error


def local(file: RemoteFile) -> Path | None:
    """Return where a file lies in the cache, or None unless it is there, whole and unaltered."""
    return destination(file) if state(file) == "ok" else None


def verify(files: Sequence[RemoteFile]) -> list[tuple[RemoteFile, State]]:
    """Return how each file is in the cache; nothing is downloaded. See `state`."""
    return [(file, state(file)) for file in files]


def fetch(files: Sequence[RemoteFile], progress: Callable[[RemoteFile, int, int], None] | None = None) -> list[Path]:
    """Return where the files lie, after downloading those that are missing or altered, some side by side.

    Each is downloaded beside its place, checked against its SHA-256 and moved there in one step, so that neither a
    failure nor another process that fetches the same leaves a broken file. The first failure ends it; what was whole by
    then stays, and another call goes on from there.

    Args:
        files: what to fetch.
        progress: called in this thread after each file with (file, files in place, files in all).

    Raises:
        DataError: naming dataset, file, URLs, what went wrong, and where to put the file by hand.
    """
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        asked = {pool.submit(get, file): file for file in files}
        try:
            for number, done in enumerate(as_completed(asked), 1):
                done.result()
                if progress is not None:
                    progress(asked[done], number, len(files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [destination(file) for file in files]


def get(file: RemoteFile) -> Path:
    """Return where one file lies, downloaded first if need be. See `fetch`."""
    return local(file) or _download(file)


def _download(file: RemoteFile) -> Path:
    failures: list[tuple[str, Exception]] = []
    for url in sources(file):
        try:
            return _retrieve(file, url)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
            if (response := getattr(error, "response", None)) is not None:
                response.close()  # pooch leaves the connection of a refused request open
            failures.append((url, error))
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                break
    raise DataError(_explain(file, failures)) from (failures[-1][1] if failures else None)


def _retrieve(file: RemoteFile, url: str) -> Path:
    import pooch

    target = destination(file)
    downloader = _copy_local if url.startswith("file://") else pooch.HTTPDownloader()
    with _silent(pooch.get_logger()):
        pooch.retrieve(url, f"sha256:{file.sha256}", target.name, target.parent, downloader=downloader)
    target.chmod(0o644)  # pooch's files are their owner's alone, which a shared cache cannot use
    return target


def _copy_local(url: str, output_file: str, _pooch: object) -> None:
    """Do for `file://` what pooch's downloaders do for `http://`."""
    shutil.copyfile(unquote(url.removeprefix("file://")), output_file)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch's "Downloading ..." lines of this thread off the terminal, where a progress display may be live."""
    thread = threading.get_ident()

    def elsewhere(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(elsewhere)
    try:
        yield
    finally:
        logger.removeFilter(elsewhere)


def _explain(file: RemoteFile, failures: Sequence[tuple[str, Exception]]) -> str:
    tried = " or ".join(url for url, _ in failures) or "anywhere: it has no address"
    pinned = " or ".join(file.url.split()[: len(failures)])
    mirrored = f" (in place of {pinned})" if pinned not in tried else ""
    lines = [f"dataset {file.dataset}: could not fetch {file.path} from {tried}{mirrored}"]
    lines += [f"  what went wrong: {type(error).__name__}: {error}" for _, error in failures]
    return "\n".join([*lines, f"  {_way_out(file, [error for _, error in failures])}"])


def _way_out(file: RemoteFile, errors: Sequence[Exception]) -> str:
    by_hand = (
        f"provide it by hand: put the file of {file.bytes} bytes with SHA-256 {file.sha256} at {destination(file)} "
        "(nidbench data add does that)"
    )
    if any(isinstance(error, OSError) and error.errno in _NO_ROOM for error in errors):
        return f"free {file.bytes} bytes and more where {cache_folder()} is, or set NIDBENCH_DATA to another folder"
    return f"try again, or set NIDBENCH_DATA_MIRROR to a copy of the files, or {by_hand}" if errors else by_hand
