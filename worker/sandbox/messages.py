"""Messages between the worker and the supervisor of a job: JSON, and open files (unix(7)).

Files travel as descriptors, so that neither side needs a folder that the other can use.
"""

import array
import json
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.errors import Disconnected

#: Descriptors of a message at most; the kernel takes 253 (SCM_MAX_FD).
MAX_DESCRIPTORS = 100
_HEADER = struct.Struct("!I")
_MAX_BYTES = 4 << 20
_COPY_BYTES = 1 << 30


def send(
    connection: socket.socket, message: Mapping[str, object], descriptors: Sequence[int] = ()
) -> None:
    """Send a message.

    Args:
        connection: A stream socket.
        message: A JSON object.
        descriptors: Open files; they stay open here.

    Raises:
        Disconnected: The other side does not take it.
    """
    data = json.dumps(message).encode()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    try:
        connection.sendmsg([_HEADER.pack(len(data))], rights if descriptors else [])
        connection.sendall(data)
    except OSError as error:
        raise Disconnected("its process does not take a message") from error


def receive(connection: socket.socket, seconds: float | None = None) -> tuple[Any, list[int]]:
    """Receive a message.

    Args:
        connection: A stream socket.
        seconds: How long to wait for all of it, None for no limit.

    Returns:
        The JSON object and the descriptors, which the caller closes.

    Raises:
        Disconnected: There will be none.
        TimeoutError: It took longer.
    """
    incoming = _Incoming(connection, seconds)
    try:
        return incoming.message(), incoming.descriptors
    except TimeoutError:
        close(incoming.descriptors)
        raise
    except (OSError, ValueError, RecursionError) as error:
        close(incoming.descriptors)
        raise Disconnected("the connection to its process was lost") from error


def close(descriptors: Sequence[int]) -> None:
    """Close descriptors."""
    for descriptor in descriptors:
        os.close(descriptor)


class _Incoming:
    """A message that is being received, and the descriptors that have come with it so far."""

    def __init__(self, connection: socket.socket, seconds: float | None) -> None:
        self._connection = connection
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self.descriptors: list[int] = []

    def message(self) -> dict[str, Any]:
        (length,) = _HEADER.unpack(self._bytes(_HEADER.size))
        if length > _MAX_BYTES:
            raise ValueError(length)
        message = json.loads(self._bytes(length))
        if not isinstance(message, dict):
            raise ValueError(message)  # noqa: TRY004  as other invalid messages
        return message

    def _bytes(self, count: int) -> bytes:
        data, space = b"", socket.CMSG_SPACE(4 * MAX_DESCRIPTORS)
        while len(data) < count:
            self._connection.settimeout(self._remaining())
            part, ancillary, flags, _ = self._connection.recvmsg(count - len(data), space)
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    whole = len(content) // 4 * 4
                    self.descriptors.extend(array.array("i", content[:whole]))
            if not part or flags & socket.MSG_CTRUNC:
                raise ConnectionError
            data += part
        return data

    def _remaining(self) -> float | None:
        return None if self._deadline is None else max(0.001, self._deadline - time.monotonic())


def batches(paths: Sequence[str]) -> Iterator[list[str]]:
    """Split paths into the parts of one message each."""
    for start in range(0, len(paths), MAX_DESCRIPTORS):
        yield list(paths[start : start + MAX_DESCRIPTORS])


def put(descriptor: int, path: str) -> None:
    """Give an open file a name: as a link where that is allowed, else as a copy.

    Args:
        descriptor: A regular file.
        path: Where nothing is yet.

    Raises:
        OSError: It cannot be written there.
    """  # noqa: DOC502
    try:
        # `src_dir_fd` lets Python call linkat(2), which follows /proc's link; it is not used.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
    except OSError:
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            at, size = 0, os.fstat(descriptor).st_size
            while at < size:
                count = os.sendfile(target, descriptor, at, min(_COPY_BYTES, size - at))
                if not count:  # it has become shorter
                    break
                at += count
        finally:
            os.close(target)
