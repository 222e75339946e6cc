"""Downloads files with known URL and SHA-256 to a cache; no incomplete file is ever left there.

    NIDBENCH_DATA         the cache folder; without it, a folder in the user's cache folder
    NIDBENCH_DATA_MIRROR  replaces `https://` in every URL, for machines without internet: `http://host/` or
                          `file:///folder/`, where files lie under host/path

A file in the cache is hashed at every use: hashing costs less than decoding it, and an altered file is never used.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from nidbench.errors import DataError

from .cache import cache_folder, destination, hash_of, local
from .remote import RemoteFile

#: Number of parallel downloads: small files spend their time on round trips, but sites refuse too many connections.
DOWNLOADS = 4

#: Failures that an error message lists; of further ones it gives the number.
_NAMED = 3

#: Error numbers of a full disk, with which every download would fail.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_RETRY = "try again, or set NIDBENCH_DATA_MIRROR to a copy of the files"
_BY_HAND = "provide them by hand: nidbench data verify lists them, nidbench data add takes your downloads"


@dataclass(frozen=True)
class Failure:
    """A file that could not be downloaded.

    Attributes:
        file: the file.
        tried: its addresses in their order, with the error of the download; empty where it has no address.
    """

    file: RemoteFile
    tried: tuple[tuple[str, Exception], ...]

    def reason(self) -> str:
        """Return the errors as a line of text."""
        return "; ".join(dict.fromkeys(_short(error) for _, error in self.tried)) or "it has no address"


@dataclass(frozen=True)
class Fetched:
    """The result of a download of several files.

    Attributes:
        taken: the files that were downloaded now.
        failures: the files that could not be downloaded; all others are in their places.
        stopped: the common reason of all failures and its remedy, where there is one: a full disk, a cache that cannot
            be written, or hosts that do not answer; else empty.
    """

    taken: Sequence[RemoteFile]
    failures: Sequence[Failure]
    stopped: str


def sources(file: RemoteFile) -> list[str]:
    """Return the URLs from which to download a file, in their order, with the mirror in place.

    Raises:
        DataError: where `NIDBENCH_DATA_MIRROR` is not the beginning of a URL.
    """
    mirror = os.environ.get("NIDBENCH_DATA_MIRROR")
    if not mirror:
        return file.url.split()
    if not mirror.startswith(("http://", "https://", "file:///")):
        raise DataError(f"NIDBENCH_DATA_MIRROR is {mirror!r}: give http://host/, https://host/ or file:///folder/")
    return [f"{mirror.rstrip('/')}/{url.removeprefix('https://')}" for url in file.url.split()]


def fetch(files: Sequence[RemoteFile], progress: Callable[[RemoteFile, int, int], None] | None = None) -> list[Path]:
    """Download the files that are missing or altered, and return the places of all files. See `fetch_all`.

    Raises:
        DataError: naming the files that could not be downloaded, their URLs, the errors, and how to provide the files
            by hand.
    """
    fetched = fetch_all(files, progress)
    if fetched.failures:
        raise _error(fetched.failures)
    return [destination(file) for file in files]


def get(file: RemoteFile) -> Path:
    """Return the place of a file, after downloading it where it is missing or altered. See `fetch`."""
    result = _obtain(file, _Outages())
    if isinstance(result, Failure):
        raise _error([result])
    return destination(file)


def fetch_all(files: Sequence[RemoteFile], progress: Callable[[RemoteFile, int, int], None] | None = None) -> Fetched:
    """Download the files that are missing or altered, several at a time, and go on where one of them fails.

    A file is downloaded beside its place, checked against its hash and moved there in one step, so that neither a
    failure nor another process that downloads the same file leaves a broken one. Downloads end early only where all of
    them would fail: the disk is full, the cache cannot be written, or a host does not answer.

    Args:
        files: the files to download.
        progress: called in this thread after every file that is in its place: (file, files in place, number of files).

    Raises:
        DataError: where `NIDBENCH_DATA_MIRROR` is not the beginning of a URL, or a file in the cache cannot be read.
    """
    outages, placed = _Outages(), 0
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        downloads = {pool.submit(_obtain, file, outages): file for file in files}
        try:
            for done in as_completed(downloads):
                if not isinstance(done.result(), Failure):
                    placed += 1
                    if progress is not None:
                        progress(downloads[done], placed, len(files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results = {file: done.result() for done, file in downloads.items()}
    taken = [file for file, result in results.items() if result == "fetched"]
    failures = [result for result in results.values() if isinstance(result, Failure)]
    return Fetched(taken, failures, _common(failures, some_came=bool(taken)))


class _Outages:
    """The failures by which parallel downloads know that another download would fail, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fatal: Exception | None = None
        self._unanswered: dict[str, list[Exception]] = {}

    def expected_error(self, url: str) -> Exception | None:
        """Return the error that a download would meet, or None.

        It is the error of a full disk, of a cache that cannot be written, or of a host that did not answer `DOWNLOADS`
        times in a row.
        """
        with self._lock:
            unanswered = self._unanswered.get(urlsplit(url).netloc, [])
            return self._fatal or (unanswered[-1] if len(unanswered) >= DOWNLOADS else None)

    def note(self, url: str, error: Exception | None) -> None:
        """Note the error of a download; None for a success."""
        with self._lock:
            unanswered = self._unanswered.setdefault(urlsplit(url).netloc, [])
            if error is not None and _unanswered(error):
                unanswered.append(error)
            else:
                unanswered.clear()
            if error is not None and _ends_all(error):
                self._fatal = error


class _UnwritableError(OSError):
    """The cache cannot be written."""


def _unanswered(error: Exception) -> bool:
    # recognises errors of requests without importing it: they hold the request, and the response where there was one
    return getattr(error, "request", None) is not None and getattr(error, "response", None) is None


def _ends_all(error: Exception) -> bool:
    return isinstance(error, _UnwritableError) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


def _obtain(file: RemoteFile, outages: _Outages) -> Literal["in place", "fetched"] | Failure:
    return "in place" if local(file) else _download(file, outages)


def _download(file: RemoteFile, outages: _Outages) -> Literal["fetched"] | Failure:
    tried: list[tuple[str, Exception]] = []
    for url in sources(file):
        error = outages.expected_error(url) or _attempt(file, url, outages)
        if error is None:
            return "fetched"
        tried.append((url, error))
        if _ends_all(error):
            break
    return Failure(file, tuple(tried))


def _attempt(file: RemoteFile, url: str, outages: _Outages) -> Exception | None:
    """Download a file from a URL; return the error, or None."""
    failure: Exception | None = None
    try:
        _retrieve(file, url)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        if (response := getattr(error, "response", None)) is not None:
            response.close()  # pooch leaves the connection of a refused request open
        failure = error
    outages.note(url, failure)
    return failure


def _retrieve(file: RemoteFile, url: str) -> Path:
    import pooch

    target = destination(file)
    _make_folder(target.parent)
    downloader = _copy_local if url.startswith("file://") else pooch.HTTPDownloader()
    known: str | None = ":".join(file.hash)
    if file.git_blob:  # which pooch cannot check: it is checked before the file is in its place
        known, downloader = None, partial(_checked, file, downloader)
        target.unlink(missing_ok=True)
    with _silent(pooch.get_logger()):
        pooch.retrieve(url, known, target.name, target.parent, downloader=downloader)
    target.chmod(0o644)  # pooch lets only the owner read its files, which would make a shared cache useless
    return target


def _checked(file: RemoteFile, downloader: Callable[..., None], url: str, output_file: str, caller: object) -> None:
    """Download a file that is known by its git blob, as one of pooch's downloaders.

    Raises:
        ValueError: where what came is another file, or the pointer to it that Git LFS leaves in a repository.
    """
    downloader(url, output_file, caller)
    size = Path(output_file).stat().st_size
    if not file.may_have(size):
        raise ValueError(f"{size} bytes came, not {file.known_by}: this may be a pointer of Git LFS to the file")
    with Path(output_file).open("rb") as content:
        found = hash_of(content, file.hash[0])
    if found != file.git_blob:
        raise ValueError(f"what came has the git blob id {found}, not {file.git_blob}")


def _make_folder(folder: Path) -> None:
    """Make a folder, and make sure that it can be written.

    Raises:
        _UnwritableError: where it cannot be made or written.
        OSError: where the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise
        raise _UnwritableError(error.errno, error.strerror, str(folder)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _UnwritableError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _copy_local(url: str, output_file: str, _pooch: object) -> None:
    """Copy a file from a `file://` URL; has the signature of pooch's downloaders."""
    shutil.copyfile(unquote(url.removeprefix("file://")), output_file)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Suppress pooch's "Downloading ..." lines of this thread, which would disturb a progress display."""
    thread = threading.get_ident()

    def of_other_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(of_other_thread)
    try:
        yield
    finally:
        logger.removeFilter(of_other_thread)


def _error(failures: Sequence[Failure]) -> DataError:
    error = DataError(_explain(failures, _common(failures, some_came=False)))
    error.__cause__ = next((cause for failure in failures for _, cause in failure.tried), None)
    return error


def _explain(failures: Sequence[Failure], stopped: str) -> str:
    if len(failures) == 1:
        return _explain_one(failures[0], stopped)
    names = ", ".join(dict.fromkeys(failure.file.dataset for failure in failures))
    first = f"could not fetch {len(failures)} files of {names}"
    if stopped:
        return f"{first}: {stopped}"
    lines = [f"  {failure.file} from {_tried(failure)}: {failure.reason()}" for failure in failures[:_NAMED]]
    unlisted = [f"  and {len(failures) - _NAMED} more"] if len(failures) > _NAMED else []
    return "\n".join([first, *lines, *unlisted, f"  {_RETRY}, or {_BY_HAND}"])


def _explain_one(failure: Failure, stopped: str) -> str:
    file, errors = failure.file, [error for _, error in failure.tried]
    pinned = " or ".join(file.url.split()[: len(errors)])
    mirrored = f" (in place of {pinned})" if pinned not in _tried(failure) else ""
    lines = [f"dataset {file.dataset}: could not fetch {file.path} from {_tried(failure)}{mirrored}"]
    lines += [f"  what went wrong: {type(error).__name__}: {error}" for error in errors if not _ends_all(error)]
    by_hand = (
        f"provide it by hand: put the file of {file.known_by} at {destination(file)} (nidbench data add does that)"
    )
    if any(map(_ends_all, errors)):
        return "\n".join([*lines, f"  {stopped}"])
    return "\n".join([*lines, f"  {_RETRY}, or {by_hand}" if errors else f"  {by_hand}"])


def _tried(failure: Failure) -> str:
    return " or ".join(url for url, _ in failure.tried) or "anywhere: it has no address"


def _common(failures: Sequence[Failure], *, some_came: bool) -> str:
    """Return the common reason of all failures and its remedy; empty where they have no common reason."""
    errors = [error for failure in failures for _, error in failure.tried]
    ending = next((error for error in errors if _ends_all(error)), None)
    if isinstance(ending, _UnwritableError):
        return f"cannot write {ending.filename} ({ending.strerror}): choose another folder with NIDBENCH_DATA"
    if ending is not None:
        size = math.ceil(sum(failure.file.bytes for failure in failures) / 1e5) / 10
        full = "your quota is used up" if getattr(ending, "errno", None) == errno.EDQUOT else "the disk is full"
        return (
            f"{full}: free at least {size} MB where {cache_folder()} is, which the missing files need, or "
            "choose another folder with NIDBENCH_DATA"
        )
    if errors and not some_came and all(map(_unanswered, errors)):
        hosts = dict.fromkeys(urlsplit(url).netloc for failure in failures for url, _ in failure.tried)
        return f"no answer from {', '.join(hosts)} ({_short(errors[0])}): {_RETRY}"
    return ""


def _short(error: Exception) -> str:
    """Return an error as a line of text; for a host's answer it is the status."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
