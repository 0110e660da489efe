"""One connection to the store: requests and responses of HTTP/1.1 (RFC 9112).

It replaces http.client, which refuses a response with more than 100 header lines, although an
object may have as much metadata, has no limit for a response that trickles, and takes 0.1 ms more
CPU time per request, because it parses headers with email.parser (docs/measurements.md).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from select import POLLIN, poll
from ssl import SSLContext

from worker.errors import NoResponse, ResponseTimeout, ResponseTruncated, ResponseUnreadable

_CONNECT_SECONDS = 5
_HEAD_BYTES, _HEAD_LINES = 1 << 20, 10_000
_PIECE_BYTES = 1 << 18
_MIN_BYTES_PER_SECOND = 1024  # a slower response counts as stalled
_SIZE_DIGITS = 18
_NO_CONTENT, _NOT_MODIFIED = 204, 304
_FINAL = 200  # below: interim responses
_MAX_HEADS = 10  # of one response: interim ones and its own


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
        self._buffer, self._is_head = b"", False
        self._seconds, self._window, self._received = 0.0, 0.0, 0
        try:
            self._socket = socket.create_connection((host, port), _CONNECT_SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                self._socket = tls.wrap_socket(self._socket, server_hostname=host)
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
            body: Bytes, or a file to send.
            seconds: How long the store may neither receive nor send anything.

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
        self._socket.settimeout(seconds)
        self._seconds, self._is_head = seconds, method == "HEAD"
        with ExitStack() as stack:
            file = None if isinstance(body, bytes) else stack.enter_context(body.open("rb"))
            try:
                # A store that refuses a long body responds and closes: read that response.
                with suppress(BrokenPipeError, ConnectionResetError):
                    if isinstance(body, bytes) and len(body) <= _PIECE_BYTES:
                        self._socket.sendall(head + body)  # in one packet, if possible
                    else:
                        self._socket.sendall(head)
                        if isinstance(body, bytes):
                            self._socket.sendall(body)
                    if file:
                        self._socket.sendfile(file)
            except TimeoutError as error:
                raise ResponseTimeout(f"it received nothing for {seconds:g} s") from error
            except OSError as error:
                raise NoResponse(_reason(error)) from error
        self._window, self._received = time.monotonic(), 0
        for _ in range(_MAX_HEADS):
            self._read_head()
            if self.status >= _FINAL:
                return
        raise ResponseUnreadable(f"more than {_MAX_HEADS} interim responses came")

    def body(self) -> Iterator[bytes]:
        """Yield the body of the response in pieces.

        Raises:
            NoResponse: The body is incomplete.
            ResponseUnreadable: Its end cannot be determined.
        """  # noqa: DOC502  raised by _receive
        coding = self.headers.get("transfer-encoding", "").lower()
        if self._is_head or self.status in (_NO_CONTENT, _NOT_MODIFIED):
            pieces: Iterator[bytes] = iter(())
        elif coding == "chunked":
            pieces = self._chunks()
        elif coding:
            raise ResponseUnreadable(f"the response has the unknown coding {coding!r}")
        elif (length := self.headers.get("content-length")) is not None:
            pieces = self._exactly(_size(length, 10))
        else:
            pieces = self._to_end()
        yield from pieces
        if self._buffer:  # nothing was requested
            self.is_reusable = False

    def _read_head(self) -> None:
        begin = self._buffer.find(b"\r\n\r\n")
        while begin < 0:
            if len(self._buffer) > _HEAD_BYTES:
                raise ResponseUnreadable(f"its headers are longer than {_HEAD_BYTES} bytes")
            piece = self._receive(_PIECE_BYTES)
            if not piece:
                kind = ResponseTruncated if self._buffer else NoResponse
                raise kind("the store closed the connection without a response")
            searched = max(0, len(self._buffer) - 3)
            self._buffer += piece
            begin = self._buffer.find(b"\r\n\r\n", searched)
        head, self._buffer = self._buffer[:begin], self._buffer[begin + 4 :]
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if not (version.startswith("HTTP/1.") and status[:3].isdecimal()):
            raise ResponseUnreadable(f"the response begins with {first[:80]!r}")
        if len(lines) > _HEAD_LINES:
            raise ResponseUnreadable(f"the response has more than {_HEAD_LINES} headers")
        self.status, self.headers = int(status[:3]), _headers(lines)
        option = self.headers.get("connection", "" if version == "HTTP/1.1" else "close").lower()
        self.is_reusable = option != "close"

    def _receive(self, limit: int) -> bytes:
        """Return the next bytes, b"" if the store closed the connection."""
        try:
            piece = self._socket.recv(limit)
        except TimeoutError as error:
            raise ResponseTimeout(f"nothing came for {self._seconds:g} s") from error
        except OSError as error:
            raise ResponseTruncated(_reason(error)) from error
        now = time.monotonic()
        self._received += len(piece)
        if now - self._window > self._seconds:
            if piece and self._received < self._seconds * _MIN_BYTES_PER_SECOND:
                raise ResponseTimeout(f"{self._received} bytes came in {self._seconds:g} s")
            self._window, self._received = now, 0
        return piece

    def _exactly(self, size: int) -> Iterator[bytes]:
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        while True:
            if piece:
                yield piece
            size -= len(piece)
            if not size:
                return
            piece = self._receive(min(size, _PIECE_BYTES))
            if not piece:
                raise ResponseTruncated("the response was truncated")

    def _to_end(self) -> Iterator[bytes]:
        self.is_reusable = False
        piece, self._buffer = self._buffer, b""
        while piece or (piece := self._receive(_PIECE_BYTES)):
            yield piece
            piece = b""

    def _chunks(self) -> Iterator[bytes]:
        while size := _size(self._line().partition(";")[0].strip(), 16):
            yield from self._exactly(size)
            self._line()
        while self._line():  # trailers
            pass

    def _line(self) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _HEAD_BYTES:
                raise ResponseUnreadable("a chunk's size is missing")
            if not (piece := self._receive(_PIECE_BYTES)):
                raise ResponseTruncated("the response was truncated")
            self._buffer += piece
        line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
        return line.decode("latin-1").rstrip("\r")


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in " \t":  # a folded line (RFC 9112, 5.2)
            headers[name] = " ".join((headers.get(name, ""), line.strip(" \t")))
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ResponseUnreadable(f"a header is {line[:80]!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _size(text: str, base: int) -> int:
    if len(text) <= _SIZE_DIGITS and text.isascii() and text.isalnum():
        with suppress(ValueError):
            return int(text, base)
    raise ResponseUnreadable(f"a length of the response is {text[:80]!r}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
