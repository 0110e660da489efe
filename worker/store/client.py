"""S3 over HTTP: signed requests on connections that are kept, with time limits and retries.

Own code where boto3 would do, because each request of an upload's way passes here: boto3 takes 1.2
to 2.4 ms of CPU for one, this 0.2 to 0.6, and a pass starts 0.3 s sooner without it
(docs/architecture.md). tests/worker/test_s3.py holds the signatures against botocore's.

Signature Version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from select import POLLIN, poll
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from worker.errors import NoResponse, RequestRefused, ResponseTruncated

_CONNECT_SECONDS, _ANSWER_SECONDS = 5, 60
_ATTEMPTS = 4
_CHUNK = 1 << 20
_EMPTY = hashlib.sha256(b"").hexdigest()
_TRANSIENT = {429, 500, 502, 503, 504}
_SUCCESS = range(200, 300)


@dataclass(frozen=True)
class Response:
    """A success. The body is empty where it went into a sink."""

    headers: Message
    body: bytes

    def xml(self) -> ET.Element:
        """The body as a document, its names without S3's namespace. RequestRefused: it is none."""
        try:
            root = ET.fromstring(self.body)  # noqa: S314
        except ET.ParseError as error:
            raise RequestRefused("MalformedXML") from error
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root


@dataclass(frozen=True)
class Signer:
    """A key pair and the region that signatures name."""

    region: str
    access: str
    secret: str

    def sign(
        self, method: str, path: str, query: str, headers: dict[str, str], when: time.struct_time
    ) -> dict[str, str]:
        """The headers (lower case, x-amz-content-sha256 among them) with date and signature."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", when)
        signed = dict(sorted({**headers, "x-amz-date": stamp}.items()))
        names, scope = ";".join(signed), f"{stamp[:8]}/{self.region}/s3/aws4_request"
        lines = [f"{name}:{value}" for name, value in signed.items()]
        request = "\n".join(
            [method, path, query, *lines, "", names, headers["x-amz-content-sha256"]]
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        return signed | {
            "authorization": f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
            f"SignedHeaders={names}, Signature={key.hex()}"
        }


class Client:
    """One endpoint, addressed by path. Safe to call from several threads."""

    def __init__(self, endpoint: str, signer: Signer) -> None:
        url = urlsplit(endpoint)
        self._class = HTTPSConnection if url.scheme == "https" else HTTPConnection
        # Without a port http.client would look for one behind an IPv6 address's last colon.
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
        sink: Callable[[], Callable[[bytes], object]] | None = None,
        attempts: int = _ATTEMPTS,
    ) -> Response:
        """Send a request; what did not come to an end, or may next time, is sent again.

        headers: in lower case, x-amz-content-sha256 among them where the body is a file. sink:
        called before each attempt; what it returns takes the body of a success, piece by piece.
        Raises RequestRefused and NoResponse; OSError where the body cannot be read or the sink
        not take.
        """
        path = quote(f"{self._prefix}/{bucket}/{key}" if key else f"{self._prefix}/{bucket}")
        text = "&".join(f"{quote(k, '')}={quote(v, '')}" for k, v in sorted((query or {}).items()))
        target = f"{path}?{text}" if text else path
        given = {"host": self._authority, **(headers or {})}
        if isinstance(body, bytes):
            given |= {"x-amz-content-sha256": hashlib.sha256(body).hexdigest() if body else _EMPTY}
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        for attempt in range(1, attempts + 1):
            all_headers = self._signer.sign(method, path, text, given, time.gmtime())
            if method not in ("GET", "HEAD"):
                all_headers["content-length"] = str(size)
            try:
                return self._once(method, target, all_headers, body, sink)
            except NoResponse:
                if attempt == attempts:
                    raise
            except RequestRefused as error:
                if attempt == attempts or not _passing(error):
                    raise
            time.sleep(random.uniform(0, 2 ** (attempt - 1)))  # noqa: S311
        raise AssertionError

    def _once(
        self,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes | Path,
        sink: Callable[[], Callable[[bytes], object]] | None,
    ) -> Response:
        connection = self._connection()
        try:
            response = _ask(connection, method, target, headers, body)
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
        """One that is open and at rest. One that has something to say was closed by the store."""
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
        connection.sock.settimeout(_ANSWER_SECONDS)
        return connection


def _ask(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: dict[str, str],
    body: bytes | Path,
) -> HTTPResponse:
    with ExitStack() as stack:
        data = body if isinstance(body, bytes) else stack.enter_context(body.open("rb"))
        try:
            # A store that refuses a long body says so and hangs up: its answer may be there.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, data or None, headers)
            return connection.getresponse()
        except (OSError, HTTPException) as error:
            raise NoResponse(_reason(error)) from error


def _read(response: HTTPResponse) -> bytes:
    try:
        piece = response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise ResponseTruncated(_reason(error)) from error
    if not piece and response.length:
        raise ResponseTruncated("the answer broke off")
    return piece


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _passing(error: RequestRefused) -> bool:
    return error.status in _TRANSIENT or error.code == "RequestTimeout"


def _code(body: bytes) -> str:
    with suppress(ET.ParseError):
        for element in ET.fromstring(body).iter():  # noqa: S314
            if element.tag.rpartition("}")[2] == "Code":
                return element.text or ""
    return ""
