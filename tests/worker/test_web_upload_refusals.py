"""Refused uploads: senders get the reason while they still send, directly and through Caddy."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.ports import reserved_port
from tests.worker import test_proxy
from tests.worker.pipeline import Pipeline
from tests.worker.web_server import WebServer
from worker.settings import Web

TRIES = 3
LIMIT_MB = 10  # of a file; that of the tests is twice as large


@dataclass
class Way:
    """A way to the server: its address, and what curl needs for it."""

    server: WebServer
    folder: Path
    port: int
    scheme: str
    arguments: list[str] = field(default_factory=list)

    def connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        if self.scheme == "http":
            return plain
        context = ssl.create_default_context(cafile=self.folder / "authority.pem")
        return context.wrap_socket(plain, server_hostname="127.0.0.1")


@pytest.fixture(scope="module")
def ways(
    tmp_path_factory: pytest.TempPathFactory, moto: ObjectStore, database: PostgreSQL
) -> Iterator[dict[str, Way]]:
    folder, port = tmp_path_factory.mktemp("upload"), reserved_port()
    web = Web(port=port, exposed=True, max_file_mb=LIMIT_MB)
    with Pipeline(folder, moto, database, versions=True) as pipeline:
        pipeline.tables = {"web": {"max_file_mb": LIMIT_MB, "max_per_minute": 10_000}}
        pipeline.configure()
        pipeline.migrate()
        with WebServer(pipeline, port) as server, test_proxy.serving(folder, web) as proxy:
            (folder / "token").write_text(f"Authorization: Bearer {server.token}\n")
            (folder / "large.jpg").write_bytes(b"x" * (2 * LIMIT_MB * 10**6))
            authority = ["--cacert", "authority.pem"]
            yield {
                "directly": Way(server, folder, port, "http"),
                "Caddy": Way(server, folder, proxy.port, "https", ["--http1.1", *authority]),
                "Caddy, HTTP/2": Way(server, folder, proxy.port, "https", authority),
            }


WAYS = ("directly", "Caddy", "Caddy, HTTP/2")
#: Arguments of curl -> the status and words of the answer.
REFUSALS = {
    "too large": (["-H@token"], "/upload", 413, "larger than 10 MB"),
    "no such pipeline": (["-H@token"], "/upload?pipeline=x", 404, "choose one of negatives"),
    "no token": ([], "/upload", 401, "./pipeline web --token"),
    "no such address": (["-H@token"], "/upload/negatives/x", 403, "opens POST /upload"),
}
#: curl asks for permission to send a large body, and begins after a second without an answer.
MANNERS = {"asks": [], "does not ask": ["-H", "Expect:"]}


@pytest.mark.parametrize(
    ("way", "refusal", "manner"),
    [
        one
        for one in product(WAYS, REFUSALS, MANNERS)
        if one[0] == "directly" or one[1] != "no such address"  # which Caddy answers itself
    ],
)
def test_the_sender_of_a_large_form_gets_the_reason(
    ways: dict[str, Way], way: str, refusal: str, manner: str
) -> None:
    through = ways[way]
    arguments, path, status, words = REFUSALS[refusal]
    command = ["curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", "-F", "file=@large.jpg"]
    command += [*arguments, *MANNERS[manner], *through.arguments]
    for _ in range(TRIES):
        done = subprocess.run(
            [*command, f"{through.scheme}://127.0.0.1:{through.port}{path}"],
            cwd=through.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        answer, _, found = done.stdout.rpartition("\n")
        assert (done.returncode, found) == (0, str(status)), done
        assert words in json.loads(answer)["error"]
    assert through.server.pipeline.left() == []


def test_the_sender_of_a_folder_learns_what_to_do(ways: dict[str, Way]) -> None:
    through = ways["directly"]
    (through.folder / "holiday").mkdir()
    done = subprocess.run(
        ["curl", "-sS", "-F", "file=@holiday", "-H@token", f"{through.server.address}/upload"],
        cwd=through.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "send its files, or use `./pipeline put`" in done.stdout.lower(), done


@pytest.mark.parametrize("way", ["directly", "Caddy"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_body_without_end_is_cut_off(ways: dict[str, Way], way: str, *, is_known: bool) -> None:
    through = ways[way]
    token = through.server.token if is_known else "x"
    head = "PUT /upload/negatives/x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
    chunk = f"{1 << 20:x}\r\n".encode() + b"x" * (1 << 20) + b"\r\n"
    with through.connect() as connection:
        connection.sendall(f"{head}Authorization: Bearer {token}\r\n\r\n".encode())
        with pytest.raises(OSError, match=r"reset|Broken pipe|EOF|closed"):
            for _ in range(2000):
                connection.sendall(chunk)
    assert through.server.pipeline.left() == []
