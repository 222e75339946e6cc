"""How requests and messages travel between the parent and a computing process: packed into bytes, the bytes in frames.

A frame has a mark and the number of its bytes before them, so that bytes that are no frame are recognised. Requests are
pickled, because the computing process trusts its parent. Messages are not, because the parent does not trust them: they
are data of fixed types.
"""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from .messages import Message, MessageError, Request

_HEADER = struct.Struct("<4sQ")
_MARK = b"nidb"

#: Bytes of the longest frame: 1 GiB holds a colour image of 9,000 x 9,000.
LONGEST = 1 << 30


def write_frame(line: socket.socket, content: bytes) -> None:
    """Send bytes as a frame; wait until all are sent."""
    line.sendall(frame(content))


def read_frame(line: socket.socket) -> bytes:
    """Wait for the next frame and return its content.

    Raises:
        EOFError: where the connection ends.
    """
    _, size = _HEADER.unpack(_exactly(line, _HEADER.size))
    return _exactly(line, size)


def frame(content: bytes) -> bytes:
    """Return a frame with some bytes as its content."""
    return _HEADER.pack(_MARK, len(content)) + content


def _exactly(line: socket.socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        chunk = line.recv(min(size - len(content), 1 << 20))
        if not chunk:
            raise EOFError
        content += chunk
    return bytes(content)


class Frames:
    """Collects bytes as they arrive and returns the frames that are complete."""

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
            complete = bytes(self._bytes[_HEADER.size : _HEADER.size + size])
            del self._bytes[: _HEADER.size + size]
            yield complete


class _Envelope(msgspec.Struct, frozen=True, array_like=True):
    number: str
    message: Message


def pack_request(number: str, request: Request) -> bytes:
    """Return the bytes of a request and of its number, which all messages about it carry."""
    return pickle.dumps((number, request))


def unpack_request(content: bytes) -> tuple[str, Request]:
    """Return the number and the request that `pack_request` packed."""
    number, request = pickle.loads(content)
    return number, request


def pack(number: str, message: Message) -> bytes:
    """Return the bytes of a message about the request with a number.

    Raises:
        TypeError, ValueError: for a value that did not pass `nidbench.contract.handed` and cannot be packed.
    """
    return _ENCODER.encode(_Envelope(number, message))


def unpack(content: bytes) -> tuple[str, Message]:
    """Return the number of a request and a message about it.

    Raises:
        MessageError: where the bytes are no message.
    """
    try:
        envelope = _DECODER.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MessageError(f"it sent a frame that is no message: {error}") from error
    return envelope.number, envelope.message


def _to_data(value: object) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, np.ascontiguousarray(value).data.cast("B") if value.size else b""
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be packed: send plain data")


def _from_data(kind: Any, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    dtype, shape, content = value
    number_type = np.dtype(dtype)
    if number_type.kind not in "fiub":
        raise ValueError(f"an array of {number_type}")
    return np.frombuffer(content, number_type).reshape(shape).copy()


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_to_data)
_DECODER = msgspec.msgpack.Decoder(_Envelope, dec_hook=_from_data)
