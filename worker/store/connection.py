"""One connection to the store: requests and responses of HTTP/1.1 (RFC 9112).

It replaces http.client, which refuses a response with more than 100 header lines, although an
object may have as much metadata, has no limit for a response that trickles, and takes 0.1 ms more
CPU time per request, because it parses headers with email.parser (docs/measurements.md).
"""

import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from select import POLLIN, poll
from ssl import SSLContext
from typing import Any

from worker.errors import NoResponse, ResponseTimeout, ResponseTruncated, ResponseUnreadable

_CONNECT_SECONDS = 5
_HEAD_LINES = 10_000
_BUFFER_BYTES = 1 << 18  # a response's head, or a piece of its body
_FILE_BYTES = 1 << 20  # of a file that one system call sends
_MIN_BYTES_PER_SECOND = 1024  # a slower response counts as stalled
_SIZE_DIGITS = 18
_NO_CONTENT, _NOT_MODIFIED = 204, 304
_FINAL = 200  # below: interim responses
_MAX_HEADS = 10  # of one response: interim ones and its own
_FOLD = re.compile(r"[ \t]*\r\n[ \t]+")  # RFC 9112, 5.2
# The kernel ends each wait after this time (SO_RCVTIMEO): a timeout of Python's costs a poll(2)
# before each call.
_WAIT_SECONDS = 1
_TIMEVAL = struct.pack("@ll", _WAIT_SECONDS, 0)


class Connection:
    """A connection, connected when it is made. After any error it must be closed.

    Args:
        host: The host's name or address.
        port: The port.
        tls: None for plain HTTP.

    Attributes:
        status: The status of the last response.
        headers: Its headers by lower-case name; values of the same name are joined with ", ".
        is_reusable: Whether another request can be sent, once the body was read.

    Raises:
        NoResponse: The host cannot be reached.
    """

    def __init__(self, host: str, port: int, tls: SSLContext | None) -> None:
        self.status, self.headers, self.is_reusable = 0, dict[str, str](), True
        self._bytes = bytearray(_BUFFER_BYTES)
        self._buffer = memoryview(self._bytes)
        self._start = self._end = 0  # of what was received and not read
        self._is_head, self._is_tls, self._whole = False, tls is not None, 0
        # The limit of a stall; when bytes were last sent or received; since when they are counted.
        self._seconds, self._active, self._since, self._received = 0.0, 0.0, 0.0, 0
        try:
            self._socket = socket.create_connection((host, port), _CONNECT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:  # the ssl module repeats a read that the kernel ends
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
                self._socket.settimeout(_WAIT_SECONDS)
            else:
                self._socket.settimeout(None)
                for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    self._socket.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL)
                self._whole = socket.MSG_WAITALL  # a piece of a body in one call
        except OSError as error:
            raise NoResponse(_reason(error)) from error
        self._poll = poll()
        self._poll.register(self._socket, POLLIN)

    @property
    def is_open(self) -> bool:
        """Whether the store keeps it open: on an idle connection any input means that it closed."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def send(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Path,
        seconds: float,
    ) -> None:
        """Send a request, and read the head of its response.

        Args:
            method: The HTTP method.
            target: Path and query, quoted.
            headers: All headers.
            body: Bytes, or a file of at least content-length.
            seconds: How long the store may neither receive nor send anything; noticed up to a
                second later.

        Raises:
            NoResponse: There was no response.
            ResponseTimeout: The store did not receive the request, or did not respond, in time.
            ResponseUnreadable: The response is not HTTP.
            ValueError: A header contains a line end, or a character outside Latin-1.
            OSError: The file cannot be opened.
        """  # noqa: DOC502  OSError comes from the file
        lines = [f"{method} {target} HTTP/1.1", *map(": ".join, headers.items())]
        text = "\r\n".join(lines)
        if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
            raise ValueError("a header contains a line end")
        head = text.encode("latin-1") + b"\r\n\r\n"
        self._seconds, self._is_head = seconds, method == "HEAD"
        self._active = time.monotonic()
        if isinstance(body, bytes):
            self._send_request(head, body)
        else:
            with body.open("rb") as file:
                self._send_request(head, file, int(headers["content-length"]))
        self._since, self._received = self._active, 0
        self._start = self._end = 0
        for _ in range(_MAX_HEADS):
            self._read_head()
            if self.status >= _FINAL:
                return
        raise ResponseUnreadable(f"more than {_MAX_HEADS} interim responses came")

    def _send_request(self, head: bytes, body: bytes | BufferedReader, size: int = 0) -> None:
        try:
            if isinstance(body, bytes):
                self._send_bytes(head, body)
            else:
                self._send_bytes(head)
                self._send_file(body, size)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a store that refuses a long body responds and closes: read that response
        except OSError as error:
            raise NoResponse(_reason(error)) from error

    def _send_bytes(self, head: bytes, body: bytes = b"") -> None:
        sent, size = 0, len(head) + len(body)
        if not self._is_tls:  # in one packet, if possible
            sent = self._repeat(self._socket.sendmsg, (head, body))
        if sent < size:
            rest = memoryview(head + body)
            while sent < size:
                sent += self._repeat(self._socket.send, rest[sent:])

    def _send_file(self, file: BufferedReader, size: int) -> None:
        # No more: a child may append what the store would take for a request.
        if self._is_tls:
            while piece := file.read(min(size, _BUFFER_BYTES)):
                self._send_bytes(piece)
                size -= len(piece)
            return
        where, offset = (self._socket.fileno(), file.fileno()), 0
        while sent := self._repeat(os.sendfile, *where, offset, min(size - offset, _FILE_BYTES)):
            offset += sent

    def _repeat(self, send: Callable[..., int], *arguments: Any) -> int:
        """Repeat a call that the kernel ended because the store was not ready, up to the limit."""
        while True:
            try:
                sent = send(*arguments)
            except (BlockingIOError, TimeoutError) as error:
                if time.monotonic() - self._active >= self._seconds:
                    problem = f"it received nothing for {self._seconds:g} s"
                    raise ResponseTimeout(problem) from error
            else:
                self._active = time.monotonic()
                return sent

    def body(self) -> Iterator[memoryview]:
        """Yield the body of the response in pieces, each of which is valid until the next.

        Raises:
            NoResponse: The body is incomplete.
            ResponseUnreadable: Its end cannot be determined.
        """  # noqa: DOC502  raised by _receive
        headers = self.headers
        if self._is_head or self.status in (_NO_CONTENT, _NOT_MODIFIED):
            pass
        elif coding := headers.get("transfer-encoding"):
            if coding.lower() != "chunked":
                raise ResponseUnreadable(f"the response has the unknown coding {coding!r}")
            yield from self._chunks()
        elif (length := headers.get("content-length")) is not None:
            yield from self._exactly(_size(length, 10))
        else:
            yield from self._to_end()
        if self._start < self._end:  # nothing was requested
            self.is_reusable = False

    def _read_head(self) -> None:
        begin = self._bytes.find(b"\r\n\r\n", self._start, self._end)
        while begin < 0:
            if self._end == _BUFFER_BYTES:
                raise ResponseUnreadable(f"its headers are longer than {_BUFFER_BYTES} bytes")
            searched = max(self._start, self._end - 3)
            if not self._receive(_BUFFER_BYTES):
                kind = NoResponse if self._start == self._end else ResponseTruncated
                raise kind("the store closed the connection without a response")
            begin = self._bytes.find(b"\r\n\r\n", searched, self._end)
        head = str(self._buffer[self._start : begin], "latin-1")
        self._start = begin + 4
        first, _, rest = head.partition("\r\n")
        version, _, status = first.partition(" ")
        if not (version.startswith("HTTP/1.") and status[:3].isdecimal()):
            raise ResponseUnreadable(f"the response begins with {first[:80]!r}")
        self.status, self.headers = int(status[:3]), _headers(rest)
        option = self.headers.get("connection", "" if version == "HTTP/1.1" else "close").lower()
        self.is_reusable = option != "close"

    def _receive(self, end: int, flags: int = 0) -> int:
        """Receive bytes into the buffer.

        Args:
            end: The position in the buffer after the last of them.
            flags: Of recv(2).

        Returns:
            How many came: 0 if the store closed the connection.

        Raises:
            ResponseTimeout: Nothing came, or too little.
            ResponseTruncated: The connection failed.
        """
        while True:
            try:
                size = self._socket.recv_into(self._buffer[self._end : end], 0, flags)
                break
            except (BlockingIOError, TimeoutError) as error:
                if time.monotonic() - self._active >= self._seconds:
                    raise ResponseTimeout(f"nothing came for {self._seconds:g} s") from error
            except OSError as error:
                raise ResponseTruncated(_reason(error)) from error
        self._active = now = time.monotonic()
        self._end += size
        self._received += size
        if now - self._since > self._seconds:
            if size and self._received < self._seconds * _MIN_BYTES_PER_SECOND:
                raise ResponseTimeout(f"{self._received} bytes came in {self._seconds:g} s")
            self._since, self._received = now, 0
        return size

    def _exactly(self, size: int) -> Iterator[memoryview]:
        while size:
            start = self._start
            end = min(start + size, _BUFFER_BYTES)
            while self._end < end:
                # Over TLS all of a record: no poll shows what is left of it.
                if not self._receive(end if self._whole else _BUFFER_BYTES, self._whole):
                    raise ResponseTruncated("the response was truncated")
            yield self._buffer[start:end]
            size -= end - start
            self._consume(end)

    def _to_end(self) -> Iterator[memoryview]:
        self.is_reusable = False
        while self._start < self._end or self._receive(_BUFFER_BYTES):
            yield self._buffer[self._start : self._end]
            self._consume(self._end)

    def _chunks(self) -> Iterator[memoryview]:
        while size := _size(self._line().partition(";")[0].strip(), 16):
            yield from self._exactly(size)
            self._line()
        while self._line():  # trailers
            pass

    def _line(self) -> str:
        while (end := self._bytes.find(b"\n", self._start, self._end)) < 0:
            if self._end == _BUFFER_BYTES:
                if not self._start:
                    raise ResponseUnreadable("a chunk's size is missing")
                rest = bytes(self._buffer[self._start : self._end])
                self._start, self._end = 0, len(rest)
                self._buffer[: self._end] = rest
            if not self._receive(_BUFFER_BYTES):
                raise ResponseTruncated("the response was truncated")
        line = str(self._buffer[self._start : end], "latin-1")
        self._consume(end + 1)
        return line.rstrip("\r")

    def _consume(self, end: int) -> None:
        """Note that everything before this position was read."""
        self._start = end
        if self._start == self._end:
            self._start = self._end = 0


def _headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n") if text else []
    if len(lines) > _HEAD_LINES:
        raise ResponseUnreadable(f"the response has more than {_HEAD_LINES} headers")
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ResponseUnreadable(f"a header is {line[:80]!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _size(text: str, base: int) -> int:
    if len(text) <= _SIZE_DIGITS and text.isascii() and text.isalnum():
        try:
            return int(text, base)
        except ValueError:
            pass
    raise ResponseUnreadable(f"a length of the response is {text[:80]!r}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
