"""An S3 client: signed requests over kept connections, with time limits and retries.

It replaces boto3 because every request of a job goes through it: boto3 takes 1.2 to 2.4 ms of CPU
per request, this client 0.2 to 0.6, and a pass starts 0.3 s sooner (docs/measurements.md). The
bootstrap also needs it before any package is installed, so it uses the standard library only.
tests/worker/test_store_client.py compares the signatures with botocore's.

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from ssl import create_default_context
from typing import TypeVar
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from worker.errors import NoResponse, RequestRefused, ResponseTimeout, ResponseUnreadable
from worker.store.connection import Connection
from worker.store.retries import STANDARD, RetryPolicy

_BODY_BYTES = 64 << 20  # of a response that is held in memory
_EMPTY = hashlib.sha256(b"").hexdigest()
#: Returns a function that receives the pieces of a body; called before each attempt.
Sink = Callable[[], Callable[[bytes], object]]
_SUCCESS = range(200, 300)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Response:
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
        self, method: str, path: str, query: str, headers: dict[str, str], when: time.struct_time
    ) -> dict[str, str]:
        """Return the headers with the date and the signature added.

        Args:
            method: The HTTP method.
            path: The path, quoted.
            query: The query string, quoted and sorted, without "?".
            headers: All headers to sign, in lower case, with host and x-amz-content-sha256.
            when: The time of the request, UTC.

        Returns:
            The headers to send.
        """
        stamp = time.strftime("%Y%m%dT%H%M%SZ", when)
        signed = dict(sorted({**headers, "x-amz-date": stamp}.items()))
        names, scope = ";".join(signed), f"{stamp[:8]}/{self.region}/s3/aws4_request"
        lines = [f"{name}:{' '.join(value.split())}" for name, value in signed.items()]
        request = "\n".join(
            [method, path, query, *lines, "", names, headers["x-amz-content-sha256"]]
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.digest(_signing_key(self.secret, scope), text.encode(), "sha256")
        return signed | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
            f"SignedHeaders={names}, Signature={signature.hex()}"
        }


@lru_cache(maxsize=4)  # it changes once a day
def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


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
        attempts = 0

        def send() -> Response:
            nonlocal attempts
            attempts += 1
            with self._sent(
                *(method, bucket, key),
                query=query,
                headers=headers,
                body=body,
                seconds=retry.response_seconds,
            ) as connection:
                if sink:
                    take, data = sink(), b""
                    for piece in connection.body():
                        take(piece)
                else:
                    data = _read_body(connection)
                return Response(connection.headers, data, attempts)

        return _retried(send, retry)

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
        with ExitStack() as stack:

            def send() -> Connection:
                sent = self._sent(
                    *("GET", bucket, key),
                    query=query,
                    headers=headers,
                    body=b"",
                    seconds=retry.response_seconds,
                )
                return stack.enter_context(sent)

            connection, is_read = _retried(send, retry), False

            def pieces() -> Iterator[bytes]:
                nonlocal is_read
                yield from connection.body()
                is_read = True

            yield connection.headers, pieces()
            if not is_read:  # the rest would be taken for the next response
                connection.is_reusable = False

    @contextmanager
    def _sent(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        body: bytes | Path,
        seconds: float,
    ) -> Iterator[Connection]:
        """Send a request once; yield the connection with a successful response."""
        path = quote(f"{self._prefix}/{bucket}/{key}" if key else f"{self._prefix}/{bucket}")
        text = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted((query or {}).items()))
        unsigned = {"host": self._authority, **(headers or {})}
        if isinstance(body, bytes) and "x-amz-content-sha256" not in unsigned:
            digest = hashlib.sha256(body).hexdigest() if body else _EMPTY
            unsigned["x-amz-content-sha256"] = digest
        signed = self._signer.sign(method, path, text, unsigned, time.gmtime())
        signed["accept-encoding"] = "identity"
        if method not in ("GET", "HEAD"):
            size = len(body) if isinstance(body, bytes) else body.stat().st_size
            signed["content-length"] = str(size)
        connection = self._connection()
        try:
            connection.send(method, f"{path}?{text}" if text else path, signed, body, seconds)
            if connection.status in _SUCCESS:
                yield connection
                data = b""
            else:
                data = _read_body(connection)
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            connection.close()
        if connection.status not in _SUCCESS:
            raise RequestRefused(_error_code(data) or str(connection.status), connection.status)

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


def _retried(send: Callable[[], _T], retry: RetryPolicy) -> _T:
    """Return what `send` does; call it again if its failure may be temporary."""
    attempt = 0
    while True:
        attempt += 1
        try:
            return send()
        except (NoResponse, RequestRefused) as error:
            if attempt == retry.attempts or not _is_temporary(error):
                raise
        time.sleep(retry.pause_seconds(attempt))


def _read_body(connection: Connection) -> bytes:
    data = bytearray()
    for piece in connection.body():
        data += piece
        if len(data) > _BODY_BYTES:
            raise ResponseUnreadable(f"the response is longer than {_BODY_BYTES} bytes")
    return bytes(data)


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
