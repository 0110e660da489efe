"""The proxy's configuration, in a real Caddy: what strangers reach, and how."""

import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from clients.certificates import issue, make_authority, public_part
from tests.eventually import eventually
from tests.ports import reserved_port
from worker.proxy import caddyfile
from worker.settings import Web

CADDY = shutil.which("caddy")
TOKEN = "u" + "0a" * 16


class Page(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, as the page's server reads it."""

    def answer(self) -> None:
        size = int(self.headers["Content-Length"] or 0)
        found = {
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(),
        }
        text = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@dataclass
class Proxy:
    """A running Caddy, in front of `Page` or the real server."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"

    def ask(
        self, method: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send a request and return its status and content."""
        context = ssl.create_default_context(cafile=str(self.folder / "authority.pem"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@contextmanager
def serving(folder: Path, web: Web) -> Iterator[Proxy]:
    """Run Caddy as the machine does, in front of the page's server."""
    if CADDY is None:
        pytest.skip("caddy is not installed")
    port, authority = reserved_port(), make_authority()
    (folder / "authority.pem").write_text(public_part(authority))
    (folder / "server.pem").write_text(issue("server", authority, "127.0.0.1"))
    certificate, state = str(folder / "server.pem"), str(folder / "state")
    text = caddyfile(web, certificate=certificate, state=state, port=port)
    (folder / "Caddyfile").write_text(text)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [CADDY, "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
            cwd=folder,
            env={"HOME": str(folder)},
            stderr=log,
        )
    try:
        eventually(lambda: is_open(port), what="Caddy listens")
        yield Proxy(folder, port, process)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = Web(port=server.server_port, exposed=True, max_file_mb=1, max_files=2)
    try:
        with serving(tmp_path_factory.mktemp("proxy"), web) as made:
            yield made
    finally:
        server.shutdown()
        server.server_close()


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/upload"), ("POST", "/upload?pipeline=faces")),
        *(("PUT", "/upload/faces/a%20b/c%2Fd.jpg"), ("PUT", "/upload/faces/a/../b.jpg")),
        *(("GET", f"/jobs/{TOKEN}"), ("GET", f"/jobs/{TOKEN}/results/3")),
    ],
)
def test_upload_api_is_reached_with_its_path_as_it_was_sent(
    proxy: Proxy, method: str, path: str
) -> None:
    status, content = proxy.ask(method, path, "hi" if method != "GET" else None)
    assert status == 200
    assert json.loads(content)["path"] == path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", "/"), ("GET", "/login?key=x"), ("GET", "/results"), ("GET", "/openapi.json")),
        *(("GET", "/upload"), ("DELETE", "/upload"), ("PUT", "/upload"), ("GET", "/upload/x/y")),
        *(("POST", "/upload/faces/x"), ("POST", "/uploads"), ("POST", "//upload")),
        *(("POST", "/results/../upload"), ("PUT", "/files/../upload/faces/x")),
        *(("PUT", "/files%2F..%2Fupload/faces/x"), ("PUT", "/%75pload%2F")),
        *(("GET", "/jobs"), ("GET", "/jobs/0a0a"), ("GET", f"/jobs/{TOKEN}/")),
        *(("POST", f"/jobs/{TOKEN}"), ("GET", f"/jobs/{TOKEN}/retry")),
        *(("GET", f"/jobs/{TOKEN}/../../results"), ("GET", f"/jobs/0a/../{TOKEN}")),
        ("GET", f"/jobs/{TOKEN}/results/x"),
    ],
)
def test_nothing_else_is_reached(proxy: Proxy, method: str, path: str) -> None:
    assert proxy.ask(method, path) == (404, b"")


def test_page_gets_its_own_host_no_cookie_and_the_bearer_token(proxy: Proxy) -> None:
    _, content = proxy.ask(
        "POST", "/upload", "hi", Cookie="session=x", Authorization="Bearer y", Host="evil.example"
    )
    found = json.loads(content)
    assert found["body"] == "hi"
    assert found["headers"]["host"].startswith("127.0.0.1:")
    assert found["headers"]["authorization"] == "Bearer y"
    assert "cookie" not in found["headers"]


def test_bodies_without_end_are_cut_off(proxy: Proxy) -> None:
    for method, path, megabytes in (("PUT", "/upload/faces/x", 2), ("POST", "/upload", 3)):
        allowed = "x" * (megabytes * 10**6)
        assert proxy.ask(method, path, allowed)[0] == 200
        assert proxy.ask(method, path, allowed + "x")[0] >= 400


def test_certificate_is_of_the_stacks_authority(proxy: Proxy) -> None:
    context = ssl.create_default_context()
    connection = http.client.HTTPSConnection("127.0.0.1", proxy.port, context=context)
    with pytest.raises(ssl.SSLCertVerificationError):
        connection.request("GET", "/")


def test_it_listens_on_its_port_alone(proxy: Proxy) -> None:
    found = psutil.Process(proxy.process.pid).net_connections()
    listening = {each.laddr.port for each in found if each.status in ("LISTEN", "NONE")}
    assert listening == {proxy.port}  # no administration, no HTTP/3


@pytest.mark.skipif(CADDY is None, reason="caddy is not installed")
def test_domain_gets_its_certificate_by_acme(tmp_path: Path) -> None:
    text = caddyfile(Web(exposed=True, domain="upload.example.org"))
    (tmp_path / "Caddyfile").write_text(text)
    done = subprocess.run(
        ["caddy", "adapt", "--config", "Caddyfile"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    apps = json.loads(done.stdout)["apps"]
    (server,) = apps["http"]["servers"].values()
    assert server["listen"] == [":443"]
    assert "automatic_https" not in server
    assert "certificates" not in apps.get("tls", {})
    (route,) = server["routes"]
    assert route["match"] == [{"host": ["upload.example.org"]}]
