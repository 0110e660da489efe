"""The examples of docs/interfaces.md do what it says."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.pipeline import ROOT
from tests.eventually import eventually
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.test_linger import lingering
from tests.worker.web_server import WebServer

TEXT = (ROOT / "docs" / "interfaces.md").read_text().partition("## Upload API")[2]
COMMANDS = re.findall(
    "^(?:job=.*|curl -H @token .*)$", TEXT.partition("### From outside")[0], re.MULTILINE
)
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
    environment = {"PATH": "/usr/bin:/bin", "url": url}
    sent = set()
    for command in COMMANDS:
        if command.startswith("job="):
            environment["job"] = _run(
                ["sh", "-c", f'{command}; printf %s "$job"'], folder, environment
            )
            continue
        if "/results/" in command:  # once it is done
            _await_end(f"{url}/jobs/{environment['job']}", folder)
        printed = _run(["sh", "-c", f"{command} -sS --fail-with-body"], folder, environment)
        for file in json.loads(printed or "{}").get("files", []):
            sent.add(file["key"])
    assert sorted(sent) == ["cat.jpg", "holiday/cat.jpg", "rocket.jpg"]
    result = decode((folder / "result.jpg").read_bytes())
    assert error(result, negated(PHOTO)) <= 2  # JPEG rounds
    assert {row["key"] for row in versioned.rows()} == sent


def test_the_program(sender: tuple[Path, str]) -> None:
    folder, url = sender
    for key in ("cat.jpg", "holiday/cat.jpg"):
        program = f"url = {url!r}\n{PYTHON}".replace("/negatives/cat.jpg", f"/negatives/{key}")
        _run([sys.executable, "-c", program], folder, {"PATH": "/usr/bin:/bin"})
        result = folder / "results" / key.replace("cat", "negated_cat")
        assert error(decode(result.read_bytes()), negated(PHOTO)) <= 2  # JPEG rounds


def _await_end(job: str, folder: Path) -> None:
    command = ["curl", "-sS", "-H", "@token", job]

    def has_ended() -> bool:
        state = json.loads(_run(command, folder, {"PATH": "/usr/bin:/bin"}))["state"]
        return state not in ("waiting", "running")

    eventually(has_ended, what="it is done")


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
