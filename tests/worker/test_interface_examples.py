"""The examples of docs/interfaces.md do what it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.pipeline import ROOT
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.test_linger import lingering
from tests.worker.web_server import WebServer

TEXT = (ROOT / "docs" / "interfaces.md").read_text().partition("## Upload API")[2]
COMMANDS = re.findall("^curl -H @token .*$", TEXT.partition("### From outside")[0], re.MULTILINE)
(PYTHON,) = re.findall("^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PHOTO = encode(picture(), "JPEG")


@pytest.fixture
def sender(versioned: Pipeline, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with pictures and the token's header, and the API's address; a worker works."""
    folder = tmp_path / "sender"
    folder.mkdir()
    for name in ("cat.jpg", "rocket.jpg"):
        (folder / name).write_bytes(PHOTO)
    with WebServer(versioned) as server, lingering(versioned):
        (folder / "token").write_text(f"Authorization: Bearer {server.token}\n")
        yield folder, server.address


def test_the_commands(sender: tuple[Path, str], versioned: Pipeline) -> None:
    folder, url = sender
    environment = {"PATH": "/usr/bin:/bin", "url": url, "job": ""}
    sent = {}
    for command in COMMANDS:
        if "/results/" in command:  # once it is done
            status = ["curl", "-sS", "-H", "@token", f"{url}/jobs/{environment['job']}"]
            while json.loads(_run(status, folder, environment))["state"] in ("waiting", "running"):
                pass
        printed = _run(["sh", "-c", f"{command} -sS --fail-with-body"], folder, environment)
        for file in json.loads(printed or "{}").get("files", []):
            sent[file["key"]] = environment["job"] = file["token"]
    assert sorted(sent) == ["cat.jpg", "holiday/cat.jpg", "rocket.jpg"]
    result = decode((folder / "result.jpg").read_bytes())
    assert error(result, negated(PHOTO)) <= 2  # JPEG rounds
    assert {row["key"] for row in versioned.rows()} == set(sent)


def test_the_program(sender: tuple[Path, str]) -> None:
    folder, url = sender
    _run([sys.executable, "-c", f"url = {url!r}\n{PYTHON}"], folder, {"PATH": "/usr/bin:/bin"})
    assert (
        error(decode((folder / "negated_cat.jpg").read_bytes()), negated(PHOTO)) <= 2
    )  # JPEG rounds


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout
