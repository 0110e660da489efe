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
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from select import POLLIN, poll
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from worker.errors import NoResponse, RequestRefused, ResponseTimeout, ResponseTruncated
from worker.store.retries import STANDARD, RetryPolicy

_CONNECT_SECONDS = 5
_CHUNK = 1 << 20
_EMPTY = hashlib.sha256(b"").hexdigest()
#: Returns a function that receives the pieces of a body; called before each attempt.
Sink = Callable[[], Callable[[bytes], object]]
_SUCCESS = range(200, 300)


@dataclass(frozen=True)
class Response:
    """A successful response; the body is empty if it went into a sink."""

    headers: Message
    body: bytes

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
        lines = [f"{name}:{value}" for name, value in signed.items()]
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
        self._class = HTTPSConnection if url.scheme == "https" else HTTPConnection
        # Without a port http.client would look for one after the last colon of an IPv6 address.
        self._host, self._port = url.hostname or "", url.port or self._class.default_port
        self._prefix = url.path.rstrip("/")
        self._authority = url.netloc.rpartition("@")[2]
        self._signer = signer
        self._idle: list[HTTPConnection] = []

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
                file.
            body: Bytes, or a file to send.
            sink: Called before each attempt; the function that it returns receives the body of a
                successful response in pieces.
            retry: How often to send it.

        Returns:
            The successful response.

        Raises:
            RequestRefused: The store answered with an error.
            NoResponse: There was no complete response.
            OSError: The body cannot be read, or the sink failed.
        """  # noqa: DOC502  OSError comes from the body and the sink
        path = quote(f"{self._prefix}/{bucket}/{key}" if key else f"{self._prefix}/{bucket}")
        text = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted((query or {}).items()))
        target = f"{path}?{text}" if text else path
        given = {"host": self._authority, **(headers or {})}
        if isinstance(body, bytes):
            given |= {"x-amz-content-sha256": hashlib.sha256(body).hexdigest() if body else _EMPTY}
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        attempt = 0
        while True:
            attempt += 1
            all_headers = self._signer.sign(method, path, text, given, time.gmtime())
            if method not in ("GET", "HEAD"):
                all_headers["content-length"] = str(size)
            try:
                return self._once(
                    method, target, all_headers, body, sink, seconds=retry.response_seconds
                )
            except (NoResponse, RequestRefused) as error:
                if attempt == retry.attempts or not _is_temporary(error):
                    raise
            time.sleep(retry.pause_seconds(attempt))

    def _once(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Path,
        sink: Sink | None,
        *,
        seconds: float,
    ) -> Response:
        connection = self._connection()
        connection.sock.settimeout(seconds)
        try:
            response = _send(connection, method, target, headers, body)
            take = sink() if sink and response.status in _SUCCESS else None
            data = b""
            while piece := _read(response):
                if take:
                    take(piece)
                else:
                    data += piece
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        if response.status not in _SUCCESS:
            raise RequestRefused(_code(data) or str(response.status), response.status)
        return Response(response.headers, data)

    def _connection(self) -> HTTPConnection:
        """Return an idle connection or open one. Input on an idle one means the store closed it."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            waiting = poll()
            waiting.register(connection.sock, POLLIN)
            if not waiting.poll(0):
                return connection
            connection.close()
        connection = self._class(self._host, self._port, timeout=_CONNECT_SECONDS, blocksize=_CHUNK)
        try:
            connection.connect()
        except OSError as error:
            raise NoResponse(_reason(error)) from error
        return connection


def _send(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes | Path,
) -> HTTPResponse:
    with ExitStack() as stack:
        data = body if isinstance(body, bytes) else stack.enter_context(body.open("rb"))
        try:
            # A store that refuses a long body responds and closes: the response may be readable.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, data or None, headers)
            return connection.getresponse()
        except TimeoutError as error:
            raise ResponseTimeout(_reason(error)) from error
        except (OSError, HTTPException) as error:
            raise NoResponse(_reason(error)) from error


def _read(response: HTTPResponse) -> bytes:
    try:
        piece = response.read(_CHUNK)
    except TimeoutError as error:
        raise ResponseTimeout(_reason(error)) from error
    except (OSError, HTTPException) as error:
        raise ResponseTruncated(_reason(error)) from error
    if not piece and response.length:
        raise ResponseTruncated("the response was truncated")
    return piece


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_temporary(error: NoResponse | RequestRefused) -> bool:
    if isinstance(error, NoResponse):
        # Who waited once for a response in vain would wait again, and others with it.
        return not isinstance(error, ResponseTimeout)
    return error.is_temporary


def _code(body: bytes) -> str:
    with suppress(ET.ParseError):
        for element in ET.fromstring(body).iter():  # noqa: S314
            if element.tag.rpartition("}")[2] == "Code":
                return element.text or ""
    return ""
