"""What `demo --example` prints while it waits for the jobs."""

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import pytest

from cli.errors import CommandError
from cli.examples.waiting import await_runs
from cli.machines.boot import Step
from cli.machines.page import Page

OBSTACLE = "The preparation of pipeline faces has not ended yet: packages are being installed."
MACHINE = {"obstacle": OBSTACLE, "live": True, "seconds_ago": 3}
RUN = "a" * 32
STATES = dict.fromkeys(("waiting", "running", "quarantined", "dropped"), 0)


class Host:
    """A machine whose pipeline makes no pass until somebody has looked at its status."""

    name, is_on_this_computer = "vm-1", False

    def __init__(self, folder: Path) -> None:
        self._was_asked = folder / "asked"

    def start_worker(self, arguments: Sequence[str], errors: IO[str]) -> "subprocess.Popen[str]":
        answer = json.dumps(self._answer(arguments))
        printed = [sys.executable, "-c", "import sys; print(sys.argv[1])", answer]
        return subprocess.Popen(printed, stdout=subprocess.PIPE, stderr=errors, text=True)

    def _answer(self, arguments: Sequence[str]) -> object:
        if arguments[0] == "status":
            self._was_asked.touch()
            return {"pipelines": [{"machines": [MACHINE]}]}
        is_done = self._was_asked.exists()
        if arguments[1] == "list":
            return {"run": RUN, "key": "cat.jpg"}
        pipelines = [{"name": "faces", **STATES, "done": int(is_done)}]
        return {"run": RUN, "ended": is_done, "blocked": [], "pipelines": pipelines}

    def explain_failure(self, code: int, errors: str) -> CommandError | None:
        raise AssertionError(code, errors)

    def steps(self) -> list[Step]:
        return []

    def journal(
        self, lines: int, *, follow: bool, pipeline: str = "", service: str = ""
    ) -> list[str]:
        raise NotImplementedError(lines, follow, pipeline)

    def page(self) -> AbstractContextManager[Page]:
        raise NotImplementedError

    def login(self) -> list[str]:
        raise NotImplementedError

    def console(self) -> str:
        return ""

    def cloud_status(self) -> str:
        return ""


def test_waiting_names_what_is_being_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await_runs(Host(tmp_path), "faces", ["cat.jpg"])
    shown = capsys.readouterr().err
    assert f"Waiting for the jobs: {OBSTACLE.rstrip('.')} …\n" in shown
