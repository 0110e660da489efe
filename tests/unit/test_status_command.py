"""What `./pipeline status` prints."""

import json
import subprocess
from typing import IO, Any, cast

import pytest

from cli.commands import status
from cli.machines.boot import Step
from cli.stacks.target import Target
from local.machine.process.machine import NO_BROKER

REPORT = {
    "machines": [],
    "pipelines": [],
    "ingest": [{"machine": "vm", "last_pass": "12:00", "obstacle": "Connection refused"}],
    "cameras": [],
    "backlog": {"count": 0, "bytes": 0, "oldest": None},
    "waiting_because": [],
    "done": 0,
    "rate": 0,
    "quarantined": 0,
    "quarantine": [],
    "undeletable": {"count": 0, "uploads": []},
    "last_error": None,
}


class Host:
    """A machine without a broker, and a stack that has no other."""

    name = "vm"

    def hosts(self) -> list[Any]:
        return [self]

    def start_worker(self, _arguments: object, _errors: IO[str]) -> subprocess.Popen[str]:
        command = ["echo", json.dumps(REPORT)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def steps(self) -> list[Step]:
        return [Step("pipeline-broker", f"failed: {NO_BROKER}", ())]


def test_line_of_ingest_says_why_there_is_no_broker(capsys: pytest.CaptureFixture[str]) -> None:
    assert status.command.callback is not None
    status.command.callback(target=cast("Target", Host()), pipeline=None, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    (ingest,) = (line for line in lines if line.startswith("ingest"))
    assert NO_BROKER in ingest
    assert "Connection refused" not in ingest
