"""An S3 client: signed requests over kept connections, with time limits and retries.

It replaces boto3 because every request of a job goes through it: boto3 takes four times the CPU per
request or more, and a pass starts 0.3 s later with it (docs/measurements.md). The bootstrap also
needs it before any package is installed, so it uses the standard library only.
tests/worker/test_store_client.py compares the signatures with botocore's.

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from ssl import create_default_context
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from worker.errors import NoResponse, RequestRefused, ResponseTimeout, ResponseUnreadable
from worker.store.connection import Connection
from worker.store.retries import STANDARD, RetryPolicy

_BODY_BYTES = 64 << 20  # of a response that is held in memory
#: Returns a function that receives the pieces of a body, each valid during the call; called before
#: each attempt.
Sink = Callable[[], Callable[[memoryview], object]]
_SUCCESS = range(200, 300)
_T = TypeVar("_T")
#: Copied for each hash: that takes a quarter of the time in which OpenSSL 3 finds the algorithm.
SHA256 = hashlib.sha256()
_EMPTY = SHA256.hexdigest()


class Response(NamedTuple):
    """A successful response.

    Attributes:
        headers: By lower-case name.
        body: Empty if it went into a sink.
        attempts: How often the request was sent: the store may have carried out each.
    """

    headers: dict[str, str]
    body: bytes
    attempts: int = 1

    def xml(self) -> ET.Element:
        """Return the body as XML, its tags without S3's namespace.

        Raises:
            RequestRefused: The body is not XML.
        """
        try:
            root = ET.fromstring(self.body)  # noqa: S314
        except ET.ParseError as error:
            raise RequestRefused("MalformedXML") from error
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root


@dataclass(frozen=True)
class Signer:
    """Signs requests with a key pair.

    Attributes:
        region: The region that signatures name.
        access: The access key.
        secret: The secret key.
    """

    region: str
    access: str
    secret: str

    def sign(
        self, method: str, path: str, query: str, headers: Mapping[str, str], stamp: str
    ) -> dict[str, str]:
        """Return the headers with the date and the signature added.

        Args:
            method: The HTTP method.
            path: The path, quoted.
            query: The query string, quoted and sorted, without "?".
            headers: All headers to sign, in lower case, with host and x-amz-content-sha256.
            stamp: The time of the request, UTC, as YYYYMMDDTHHMMSSZ.

        Returns:
            The headers to send.
        """
        signed = {**headers, "x-amz-date": stamp}
        ordered = sorted(signed)
        names, scope = ";".join(ordered), f"{stamp[:8]}/{self.region}/s3/aws4_request"
        lines = [f"{name}:{' '.join(signed[name].split())}" for name in ordered]
        request = "\n".join(
            (method, path, query, *lines, "", names, signed["x-amz-content-sha256"])
        )
        sha256 = SHA256.copy()
        sha256.update(request.encode())
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256.hexdigest()}"
        inner, outer = _signing_hashes(self.secret, scope)
        inner, outer = inner.copy(), outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
            f"SignedHeaders={names}, Signature={outer.hexdigest()}"
        )
        return signed


@lru_cache(maxsize=4)  # it changes once a day
def _signing_hashes(secret: str, scope: str) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """Return the two hashes of HMAC (RFC 2104) after the signing key of a day."""
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    padded = key.ljust(SHA256.block_size, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


class Client:
    """One endpoint, with path-style addresses. It may be called from several threads."""

    def __init__(self, endpoint: str, signer: Signer) -> None:
        url = urlsplit(endpoint)
        self._tls = create_default_context() if url.scheme == "https" else None
        self._host, self._port = url.hostname or "", url.port or (443 if self._tls else 80)
        self._prefix = url.path.rstrip("/")
        self._authority = url.netloc.rpartition("@")[2]
        self._signer = signer
        self._idle: list[Connection] = []

    def call(
        self,
        method: str,
        bucket: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | Path = b"",
        sink: Sink | None = None,
        retry: RetryPolicy = STANDARD,
    ) -> Response:
        """Send a request, and again if the failure may be temporary.

        Args:
            method: The HTTP method.
            bucket: The bucket.
            key: The object key, "" for a request to the bucket.
            query: Query parameters, unquoted.
            headers: Additional headers in lower case; with x-amz-content-sha256 if the body is a
                file, or its hash is known.
            body: Bytes, or a file to send.
            sink: Called before each attempt; the function that it returns receives the body of a
                successful response in pieces.
            retry: How often to send it.

        Returns:
            The successful response.

        Raises:
            RequestRefused: The store responded with an error.
            NoResponse: There was no complete response.
            OSError: The body cannot be read, or the sink failed.
            ValueError: A header or the key cannot be sent.
        """  # noqa: DOC502  raised by what is called
        exchange = partial(
            self._exchange,
            *(method, bucket, key),
            query=query,
            headers=headers,
            body=body,
            sink=sink,
            seconds=retry.response_seconds,
        )
        (received, data), attempts = _retried(exchange, retry)
        return Response(received, data, attempts)

    @contextmanager
    def stream(
        self,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy = STANDARD,
    ) -> Iterator[tuple[dict[str, str], Iterator[bytes]]]:
        """Send a GET request, and again until there is a response; its body is read by the caller.

        Args:
            bucket: The bucket.
            key: The object key.
            query: Query parameters, unquoted.
            headers: Additional headers in lower case.
            retry: How often to send it.

        Yields:
            The headers of the successful response by lower-case name, and its body in pieces.

        Raises:
            RequestRefused: The store responded with an error.
            NoResponse: There was no response, or while the body is read: no complete one.
            ValueError: A header or the key cannot be sent.
        """  # noqa: DOC502  raised by what is called
        send = partial(
            self._send,
            *("GET", bucket, key),
            query=query,
            headers=headers,
            body=b"",
            seconds=retry.response_seconds,
        )
        connection, _ = _retried(send, retry)
        is_read = False

        def pieces() -> Iterator[bytes]:
            nonlocal is_read
            yield from map(bytes, connection.body())  # a caller may keep them
            is_read = True

        try:
            yield connection.headers, pieces()
        finally:
            if is_read:
                self._keep(connection)
            else:  # the rest would be taken for the next response
                connection.close()

    def _exchange(
        self, *where: str, sink: Sink | None, **arguments: Any
    ) -> tuple[dict[str, str], bytes]:
        """Send a request once, and read its response.

        Args:
            where: Method, bucket and key.
            sink: See `call`.
            arguments: Those of `_send`.

        Returns:
            The headers of the successful response, and its body unless a sink received it.
        """
        connection = self._send(*where, **arguments)
        try:
            data = b""
            if sink:
                take = sink()
                for piece in connection.body():
                    take(piece)
            else:
                data = _read_body(connection)
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return connection.headers, data

    def _send(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes | Path,
        seconds: float,
    ) -> Connection:
        """Send a request once; return the connection with the head of a successful response."""
        path = quote(f"{self._prefix}/{bucket}/{key}" if key else f"{self._prefix}/{bucket}")
        text = ""
        if query:
            text = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted(query.items()))
        unsigned = {"host": self._authority}
        if headers:
            unsigned.update(headers)
        if isinstance(body, bytes) and "x-amz-content-sha256" not in unsigned:
            unsigned["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest() if body else _EMPTY
        signed = self._signer.sign(method, path, text, unsigned, _stamp(int(time.time())))
        signed["accept-encoding"] = "identity"
        if method not in ("GET", "HEAD"):
            size = len(body) if isinstance(body, bytes) else body.stat().st_size
            signed["content-length"] = str(size)
        connection = self._connection()
        try:
            connection.send(method, f"{path}?{text}" if text else path, signed, body, seconds)
            if connection.status in _SUCCESS:
                return connection
            data = _read_body(connection)
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        raise RequestRefused(_error_code(data) or str(connection.status), connection.status)

    def _keep(self, connection: Connection) -> None:
        """Keep a connection whose response was read for the next request, if it can be reused."""
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.close()

    def _connection(self) -> Connection:
        """Return an idle connection, or open one."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            if connection.is_open:
                return connection
            connection.close()
        return Connection(self._host, self._port, self._tls)


def _read_body(connection: Connection) -> bytes:
    data = bytearray()
    for piece in connection.body():
        data += piece
        if len(data) > _BODY_BYTES:
            raise ResponseUnreadable(f"the response is longer than {_BODY_BYTES} bytes")
    return bytes(data)


def _retried(send: Callable[[], _T], retry: RetryPolicy) -> tuple[_T, int]:
    """Return what `send` returns, called again if its failure may be temporary, and how often."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return send(), attempt
        except (NoResponse, RequestRefused) as error:
            if attempt == retry.attempts or not _is_temporary(error):
                raise
        time.sleep(retry.pause_seconds(attempt))


def _is_temporary(error: NoResponse | RequestRefused) -> bool:
    if isinstance(error, NoResponse):
        # Another attempt would probably end in the same way, and delay other uploads.
        return not isinstance(error, ResponseTimeout | ResponseUnreadable)
    return error.is_temporary


def _error_code(body: bytes) -> str:
    with suppress(ET.ParseError):
        for element in ET.fromstring(body).iter():  # noqa: S314
            if element.tag.rpartition("}")[2] == "Code":
                return element.text or ""
    return ""
