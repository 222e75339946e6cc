"""Frames on a socket: bytes with a mark and their number before them, so that what is no frame is recognised."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from .messages import MessageError

_HEADER = struct.Struct("<4sQ")
_MARK = b"nidb"

#: Bytes of the longest frame: 1 GiB is an image of 9,000 x 9,000 in colour.
LONGEST = 1 << 30


def write_frame(line: socket.socket, content: bytes) -> None:
    """Send bytes as one frame, waiting for as long as it takes."""
    line.sendall(frame(content))


def read_frame(line: socket.socket) -> bytes:
    """Return the content of the next frame, waiting for it.

    Raises:
        EOFError: where the line ends.
    """
    _, size = _HEADER.unpack(_exactly(line, _HEADER.size))
    return _exactly(line, size)


def frame(content: bytes) -> bytes:
    """Return the frame of some bytes."""
    return _HEADER.pack(_MARK, len(content)) + content


def _exactly(line: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        some = line.recv(min(size - len(found), 1 << 20))
        if not some:
            raise EOFError
        found += some
    return bytes(found)


class Frames:
    """Takes bytes as they come and gives back the frames that are whole."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, content: bytes) -> Iterator[bytes]:
        """Yield the contents of the frames that these bytes complete.

        Raises:
            MessageError: where they belong to no frame.
        """
        self._bytes += content
        while len(self._bytes) >= _HEADER.size:
            mark, size = _HEADER.unpack_from(self._bytes)
            if mark != _MARK or size > LONGEST:
                raise MessageError("it wrote bytes on the line to the parent that are no message")
            if len(self._bytes) < _HEADER.size + size:
                return
            whole = bytes(self._bytes[_HEADER.size : _HEADER.size + size])
            del self._bytes[: _HEADER.size + size]
            yield whole
