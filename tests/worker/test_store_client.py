"""The S3 client: signatures, retries, kept connections and errors."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.eventually import eventually
from worker.errors import (
    NoResponse,
    RequestRefused,
    ResponseTimeout,
    ServiceUnavailable,
    UploadDeferred,
)
from worker.jobs.disk import Space
from worker.jobs.fetch import fetch
from worker.settings import StoreSettings
from worker.store.client import Client, Signer
from worker.store.connection import Connection
from worker.store.retries import ONCE, RetryPolicy
from worker.store.s3_store import S3Store
from worker.uploads.upload import EMPTY_ETAG, Upload

SIGNER = Signer("us-east-1", "access", "secret")
PATHS = ["/b", "/b/plain.jpg", "/b/two%20words", "/b//a%2Fx", "/b/%E7%8C%AB%2B%26~.png"]
QUERIES = ["", "delete=", "list-type=2&prefix=a%20b%2Fc", "versionId=x%2By%3D"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
BROKEN_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"
DOWN = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
DENIED = (
    b"HTTP/1.1 403 No\r\nContent-Length: 46\r\n\r\n<Error><Code>QuotaExceeded</Code><A/></Error >"
)
LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast"
CLOSED = 0  # in a list of the connections' numbers

SPACE = Space(1 << 30, 1 << 30)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", QUERIES)
def test_signatures_equal_botocores(path: str, query: str) -> None:
    headers = {
        "host": "127.0.0.1:9000",
        "x-amz-content-sha256": "0" * 64,
        "if-match": '"etag"',
        "content-type": " image/png;  a=b ",
    }
    url = f"http://127.0.0.1:9000{path}?{query}"
    theirs = AWSRequest("GET", url, {k: v for k, v in headers.items() if k != "host"})
    botocore = S3SigV4Auth(Credentials("access", "secret"), "s3", "us-east-1")
    botocore.payload = lambda _request: "0" * 64
    botocore.add_auth(theirs)
    ours = SIGNER.sign("GET", path, query, headers, theirs.headers["X-Amz-Date"])
    assert ours["authorization"] == theirs.headers["Authorization"]


@contextmanager
def server(
    *answers: bytes, context: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[int]]]:
    """Send responses in turn, and close the connection after some of them.

    Yields:
        The endpoint, and a list with the number of the connection of each request, and CLOSED after
        a connection's last.
    """
    listener, seen, left = socket.create_server(("127.0.0.1", 0)), [], list(answers)

    def serve() -> None:
        number = 0
        while left:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            number += 1
            if context:
                try:
                    client = context.wrap_socket(client, server_side=True)
                except OSError:
                    continue
            with client, suppress(OSError):  # the client may have closed the connection
                while left and client.recv(1 << 16):
                    seen.append(number)
                    answer = left.pop(0)
                    client.sendall(answer)
                    if answer in (BROKEN_OFF, b"", LAST):
                        break
            seen.append(CLOSED)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.close()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate of 127.0.0.1 with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    return file


@pytest.mark.parametrize("known", [True, False])
def test_the_stores_certificate_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    file = certificate(tmp_path)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with server(OK, context=context) as (endpoint, _):
        client = Client(endpoint.replace("http:", "https:"), SIGNER)
        if known:
            assert client.call("GET", "bucket", retry=ONCE).body == b"body"
        else:
            with pytest.raises(NoResponse, match="certificate verify failed"):
                client.call("GET", "bucket", retry=ONCE)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", ["bytes", "file"])
def test_long_bodies_arrive_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, kind: str
) -> None:
    """They are longer than the buffers of sockets and of a connection."""
    path, file, content = certificate(tmp_path), tmp_path / "file", os.urandom(9 << 20)
    file.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with echo(context if scheme == "https" else None) as authority:
        client = Client(f"{scheme}://{authority}", SIGNER)
        for _ in range(2):
            response = client.call(
                *("PUT", "bucket", "key"),
                headers={"x-amz-content-sha256": "0" * 64},
                body=content if kind == "bytes" else file,
                retry=ONCE,
            )
            assert response.body == content


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_what_is_appended_to_a_file_meanwhile_is_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """A compromised transform, which has no network, could send requests through the worker."""
    path, file = certificate(tmp_path), tmp_path / "file"
    file.write_bytes(b"bodyPUT / HTTP/1.1\r\ncontent-length: 5\r\n\r\nwrong")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with echo(context if scheme == "https" else None) as authority:
        host, _, port = authority.partition(":")
        tls = ssl.create_default_context() if scheme == "https" else None
        connection = Connection(host, int(port), tls)
        for sent in (file, b"next"):
            connection.send("PUT", "/", {"content-length": "4"}, sent, 60)
            received = b"".join(map(bytes, connection.body()))
            assert received == (b"body" if sent is file else sent)


def test_excess_over_tls_answers_no_other_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The TLS library has it already, so the kernel shows none."""
    path, long = certificate(tmp_path), b"x" * 20_000  # more than a record of TLS
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    first = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(long), long)
    with server(first + DOWN, OK, context=context) as (endpoint, _):
        client = Client(endpoint.replace("http:", "https:"), SIGNER)
        for expected in (long, b"body"):
            assert client.call("GET", "bucket", "key", retry=ONCE).body == expected


def test_a_response_over_tls_that_stalls_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begun = certificate(tmp_path), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    soon = RetryPolicy(attempts=4, wait_seconds=0, response_seconds=0.2)
    with server(OK, begun, OK, context=context) as (endpoint, seen):
        client = Client(endpoint.replace("http:", "https:"), SIGNER)
        client.call("GET", "bucket", "key", retry=ONCE)  # connects, however long that takes
        with pytest.raises(ResponseTimeout, match=r"nothing came for 0\.2 s"):
            client.call("GET", "bucket", "key", retry=soon)
        assert client.call("GET", "bucket", "key", retry=ONCE).body == b"body"
        assert seen[:4] == [1, 1, CLOSED, 2]


@contextmanager
def echo(context: ssl.SSLContext | None) -> Iterator[str]:
    """Respond to the requests of one connection with their bodies; yield host and port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        if context:
            client = context.wrap_socket(client, server_side=True)
        with client, client.makefile("rb") as stream:
            while stream.readline():
                lines = iter(lambda: stream.readline().decode().strip(), "")
                sizes = [line.partition(": ")[2] for line in lines if "content-length" in line]
                content = stream.read(int(sizes[0]))
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content))
                client.sendall(content)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def body(client: Client) -> bytes:
    return client.call("GET", "bucket", "key").body


@pytest.mark.parametrize(
    ("answers", "connections"),
    [
        ([OK, OK], [1, 1]),
        ([DOWN, OK, OK], [1, 1, 1]),
        ([b"", OK, OK], [1, 2, 2]),
        ([BROKEN_OFF, OK, OK], [1, 2, 2]),
    ],
    ids=["kept", "503", "hung up", "broken off"],
)
def test_passing_failures_are_retried(answers: list[bytes], connections: list[int]) -> None:
    with server(*answers) as (endpoint, seen):
        client = Client(endpoint, SIGNER)
        assert (body(client), body(client)) == (b"body", b"body")
    assert [number for number in seen if number != CLOSED] == connections


def test_a_kept_connection_that_the_store_closed_is_replaced() -> None:
    with server(LAST, OK) as (endpoint, seen):
        client = Client(endpoint, SIGNER)
        assert body(client) == b"last"
        eventually(lambda: CLOSED in seen)
        assert client.call("DELETE", "bucket", "key", retry=ONCE).body == b"body"


@pytest.mark.parametrize(
    ("answers", "error", "words"),
    [
        ([DENIED], RequestRefused, "QuotaExceeded"),
        ([DOWN], RequestRefused, "503"),
        ([BROKEN_OFF], NoResponse, "the response was truncated"),
        ([b""], NoResponse, "closed the connection"),
    ],
)
def test_failures_are_distinguished(
    answers: list[bytes], error: type[Exception], words: str
) -> None:
    with server(*answers) as (endpoint, _), pytest.raises(error, match=words):
        Client(endpoint, SIGNER).call("DELETE", "bucket", "key", retry=ONCE)


def test_a_sink_is_made_for_each_attempt(tmp_path: Path) -> None:
    received = bytearray()

    def sink() -> Callable[[memoryview], object]:
        received.clear()
        return received.extend

    with server(BROKEN_OFF, OK) as (endpoint, _):
        Client(endpoint, SIGNER).call("GET", "bucket", "key", sink=sink)
    assert received == b"body"


def test_a_file_is_sent_again_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    with server(b"", OK) as (endpoint, seen):
        Client(endpoint, SIGNER).call(
            "PUT", "bucket", "key", headers={"x-amz-content-sha256": "0" * 64}, body=file
        )
    assert {1, 2} <= set(seen)


def test_an_ipv6_endpoint_needs_no_port() -> None:
    """The text after the last colon is not a port, so the connection is attempted."""
    with pytest.raises(NoResponse) as raised:
        Client("http://[::1]", SIGNER).call("GET", "bucket", retry=ONCE)
    assert "not known" not in str(raised.value)


def store(endpoint: str) -> S3Store:
    return S3Store(StoreSettings(endpoint, "quarantine"), "access", "secret")


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed", ""])
def test_a_bucket_in_another_region_is_reported(code: str) -> None:
    body = f"<Error><Code>{code}</Code></Error>".encode() if code else b""
    answer = b"HTTP/1.1 301 No\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    refused = pytest.raises(
        ServiceUnavailable, match="is in another region: set objectStoreEndpoint"
    )
    with server(answer) as (where, _), refused:
        store(where).is_versioned("in")


def test_a_truncated_response_defers_the_upload(tmp_path: Path) -> None:
    """Without a length, as in HTTP/1.0, a truncated response looks complete."""
    response = (
        b'HTTP/1.0 200 OK\r\nETag: "e"\r\nLast-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\nhalf'
    )
    whole = Upload("in", "x.png", "v1", "e", datetime.now(UTC), 4)
    with server(response) as (endpoint, _):
        assert fetch(store(endpoint), SPACE, whole, tmp_path / "file").info.size == 4
    truncated = replace(whole, size=8)
    deferred = pytest.raises(UploadDeferred, match=r"sent 4 of the 8 bytes of 'x\.png'")
    with server(response) as (endpoint, _), deferred:
        fetch(store(endpoint), SPACE, truncated, tmp_path / "file")


@pytest.mark.parametrize(
    ("capacity", "reason"),
    [(1 << 30, "needs 8000 bytes of disk"), (6000, "segments, which the store cannot copy")],
)
def test_segments_that_do_not_fit_on_the_disk_wait(
    capacity: int, reason: str, tmp_path: Path
) -> None:
    """A large object of Swift's is listed as an empty one."""
    response = (
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nLast-Modified: Wed, 21 Oct 2026 07:28:00 GMT\r\n'
        b"X-Object-Manifest: in_segments/film.mov/\r\nContent-Length: 4000\r\n\r\n"
    )
    upload = Upload("in", "film.mov", "v1", EMPTY_ETAG, datetime.now(UTC), 0)
    deferred = pytest.raises(UploadDeferred, match=reason)
    with server(response) as (endpoint, _), deferred:
        fetch(store(endpoint), Space(5000, capacity), upload, tmp_path / "file")
