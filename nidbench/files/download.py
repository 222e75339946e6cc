"""Files from elsewhere: pinned by URL and SHA-256, downloaded whole or not at all, kept in a cache.

    NIDBENCH_DATA         the cache; without it, the user's cache folder
    NIDBENCH_DATA_MIRROR  takes the place of `https://` in every URL, for sites without internet: `http://host/` or
                          `file:///folder/`, where each file lies under host/path

A file in the cache is hashed at every use: that costs less than decoding it, and an altered file never passes.
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
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from nidbench.errors import DataError

from .cache import cache_folder, destination, local
from .remote import RemoteFile

#: Files downloaded side by side: small files are bound by round trips, and sites refuse visitors with many connections.
DOWNLOADS = 4

#: Failures that an error of a run names one by one; of more it gives the number.
_NAMED = 3

#: What every address of every file would run into.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_AGAIN = "try again, or set NIDBENCH_DATA_MIRROR to a copy of the files"
_BY_HAND = "provide them by hand: nidbench data verify lists them, nidbench data add takes what you downloaded"


@dataclass(frozen=True)
class Failure:
    """A file that could not be had.

    Attributes:
        file: which.
        tried: each address with what went wrong there, in their order; none where it has no address.
    """

    file: RemoteFile
    tried: tuple[tuple[str, Exception], ...]

    def reason(self) -> str:
        """Return in a line what went wrong."""
        return "; ".join(dict.fromkeys(_short(error) for _, error in self.tried)) or "it has no address"


@dataclass(frozen=True)
class Fetched:
    """What became of files that were wanted.

    Attributes:
        taken: those that were downloaded.
        failures: those that could not be had; the others are in their places.
        stopped: what all the failures have in common, with the way out: no room, no cache, or no answer; else empty.
    """

    taken: Sequence[RemoteFile]
    failures: Sequence[Failure]
    stopped: str


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


def fetch(files: Sequence[RemoteFile], progress: Callable[[RemoteFile, int, int], None] | None = None) -> list[Path]:
    """Return where the files lie, after downloading those that are missing or altered. See `fetch_each`.

    Raises:
        DataError: naming what could not be had, its URLs, what went wrong, and how to provide it by hand.
    """
    fetched = fetch_each(files, progress)
    if fetched.failures:
        raise _error(fetched.failures)
    return [destination(file) for file in files]


def get(file: RemoteFile) -> Path:
    """Return where one file lies, downloaded first if need be. See `fetch`."""
    result = _obtain(file, _Shared())
    if isinstance(result, Failure):
        raise _error([result])
    return destination(file)


def fetch_each(files: Sequence[RemoteFile], progress: Callable[[RemoteFile, int, int], None] | None = None) -> Fetched:
    """Download what can be had of the files that are missing or altered, some side by side.

    Each is downloaded beside its place, checked against its hash and moved there in one step, so that neither a failure
    nor another process that fetches the same leaves a broken file. The failure of one leaves the others as they are,
    except where it would be theirs, too: no room, a cache that cannot be written, or a host that does not answer.

    Args:
        files: what to fetch.
        progress: called in this thread after each file that is in its place with (file, files in place, files in all).

    Raises:
        DataError: where `NIDBENCH_DATA_MIRROR` is no base of a URL, or a file in the cache cannot be read.
    """
    shared, placed = _Shared(), 0
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        asked = {pool.submit(_obtain, file, shared): file for file in files}
        try:
            for done in as_completed(asked):
                if not isinstance(done.result(), Failure):
                    placed += 1
                    if progress is not None:
                        progress(asked[done], placed, len(files))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results = {file: done.result() for done, file in asked.items()}
    taken = [file for file, result in results.items() if result == "fetched"]
    failures = [result for result in results.values() if isinstance(result, Failure)]
    return Fetched(taken, failures, _common(failures, some_came=bool(taken)))


class _Shared:
    """What downloads side by side find out for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: Exception | None = None
        self._silence: dict[str, list[Exception]] = {}

    def hopeless(self, url: str) -> Exception | None:
        """Return what a download would run into: no room, no cache, or as many silences in a row as go side by side."""
        with self._lock:
            silence = self._silence.get(urlsplit(url).netloc, [])
            return self._end or (silence[-1] if len(silence) >= DOWNLOADS else None)

    def learn(self, url: str, error: Exception | None) -> None:
        """Take in how a download went."""
        with self._lock:
            silence = self._silence.setdefault(urlsplit(url).netloc, [])
            if error is not None and _unanswered(error):
                silence.append(error)
            else:
                silence.clear()
            if error is not None and _ends_all(error):
                self._end = error


class _UnwritableError(OSError):
    """The cache cannot be written."""


def _unanswered(error: Exception) -> bool:
    # requests' errors, told without importing it: they have the request, and the response where there was one
    return getattr(error, "request", None) is not None and getattr(error, "response", None) is None


def _ends_all(error: Exception) -> bool:
    return isinstance(error, _UnwritableError) or (isinstance(error, OSError) and error.errno in _NO_ROOM)


def _obtain(file: RemoteFile, shared: _Shared) -> Literal["there", "fetched"] | Failure:
    return "there" if local(file) else _download(file, shared)


def _download(file: RemoteFile, shared: _Shared) -> Literal["fetched"] | Failure:
    tried: list[tuple[str, Exception]] = []
    for url in sources(file):
        error = shared.hopeless(url) or _attempt(file, url, shared)
        if error is None:
            return "fetched"
        tried.append((url, error))
        if _ends_all(error):
            break
    return Failure(file, tuple(tried))


def _attempt(file: RemoteFile, url: str, shared: _Shared) -> Exception | None:
    """Return what went wrong."""
    failure: Exception | None = None
    try:
        _retrieve(file, url)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; a wrong hash is a ValueError
        if (response := getattr(error, "response", None)) is not None:
            response.close()  # pooch leaves the connection of a refused request open
        failure = error
    shared.learn(url, failure)
    return failure


def _retrieve(file: RemoteFile, url: str) -> Path:
    import pooch

    target = destination(file)
    _make_folder(target.parent)
    downloader = _copy_local if url.startswith("file://") else pooch.HTTPDownloader()
    with _silent(pooch.get_logger()):
        pooch.retrieve(url, ":".join(file.hash), target.name, target.parent, downloader=downloader)
    target.chmod(0o644)  # pooch's files are their owner's alone, which a shared cache cannot use
    return target


def _make_folder(folder: Path) -> None:
    """Make sure that a folder is there and can be written.

    Raises:
        _UnwritableError: where it cannot.
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


def _error(failures: Sequence[Failure]) -> DataError:
    error = DataError(_explain(failures, _common(failures, some_came=False)))
    error.__cause__ = next((each for failure in failures for _, each in failure.tried), None)
    return error


def _explain(failures: Sequence[Failure], stopped: str) -> str:
    if len(failures) == 1:
        return _explain_one(failures[0], stopped)
    names = ", ".join(dict.fromkeys(failure.file.dataset for failure in failures))
    first = f"could not fetch {len(failures)} files of {names}"
    if stopped:
        return f"{first}: {stopped}"
    lines = [f"  {failure.file} from {_tried(failure)}: {failure.reason()}" for failure in failures[:_NAMED]]
    more = [f"  and {len(failures) - _NAMED} more"] if len(failures) > _NAMED else []
    return "\n".join([first, *lines, *more, f"  {_AGAIN}, or {_BY_HAND}"])


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
    return "\n".join([*lines, f"  {_AGAIN}, or {by_hand}" if errors else f"  {by_hand}"])


def _tried(failure: Failure) -> str:
    return " or ".join(url for url, _ in failure.tried) or "anywhere: it has no address"


def _common(failures: Sequence[Failure], *, some_came: bool) -> str:
    """Return what all failures have in common, where that is one thing, and the way out; else nothing."""
    errors = [error for failure in failures for _, error in failure.tried]
    ending = next((error for error in errors if _ends_all(error)), None)
    if isinstance(ending, _UnwritableError):
        return f"cannot write {ending.filename} ({ending.strerror}): choose another folder with NIDBENCH_DATA"
    if ending is not None:
        size = math.ceil(sum(failure.file.bytes for failure in failures) / 1e5) / 10
        full = "your quota is used up" if getattr(ending, "errno", None) == errno.EDQUOT else "the disk is full"
        return (
            f"{full}: free at least {size} MB where {cache_folder()} is, which is what the missing files take, or "
            "choose another folder with NIDBENCH_DATA"
        )
    if errors and not some_came and all(map(_unanswered, errors)):
        hosts = dict.fromkeys(urlsplit(url).netloc for failure in failures for url, _ in failure.tried)
        return f"no answer from {', '.join(hosts)} ({_short(errors[0])}): {_AGAIN}"
    return ""


def _short(error: Exception) -> str:
    """Return an error in a line: of an answer, its status."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"{response.status_code} {response.reason}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
