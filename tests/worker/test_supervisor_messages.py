"""What the supervisor of a job may send: everything is checked, for it may be compromised."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.worker.command_jobs import Jobs, accepting
from worker.errors import (
    Disconnected,
    TransformCrashed,
    UploadDeferred,
)
from worker.sandbox import messages

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and pidfds")

READY: dict[str, object] = {"ready": []}
MADE = {"files": [["a", "image/png"]], "records": 0, "notes": []}
END = {"response": MADE, "log": "", "unenforced": []}


@pytest.mark.parametrize(
    "said",
    [
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        b"\0\0\0\3nil",
        {},
        {"response": 7},
        {"response": {}},
        {"response": {"files": 7, "records": 0, "notes": []}},
        END,  # without the file
        {"crashed": "its process was killed by signal 9"},
        {"files": ["a"]},  # without the descriptor
        {"files": 7},
        {"files": []},
        {"response": {**MADE, "files": []}, "unenforced": 7},
    ],
    ids=str,
)
def test_invalid_answers_of_a_supervisor(tmp_path: Path, said: bytes | dict[str, object]) -> None:
    """It may be compromised as a transform's process may."""

    def answer(connection: socket.socket) -> None:
        messages.send(connection, READY)
        with suppress(Disconnected):
            for _ in range(4):
                messages.receive(connection, 60)
        if isinstance(said, bytes):
            connection.sendall(said)
        else:
            messages.send(connection, said)

    assert_crashes(tmp_path, answer)


@pytest.mark.parametrize("name", ["../a", "/etc/a", "", ".", "..", "a/b", 7])
def test_results_stay_in_their_folder(tmp_path: Path, name: object) -> None:
    (tmp_path / "given").write_text("result")

    def answer(connection: socket.socket) -> None:
        messages.send(connection, READY)
        for _ in range(4):
            messages.receive(connection, 60)
        with (tmp_path / "given").open() as file:
            messages.send(connection, {"files": [name]}, [file.fileno()])
        messages.send(connection, END)

    before = set(tmp_path.rglob("*"))
    assert_crashes(tmp_path, answer)
    new = {path.name for path in set(tmp_path.rglob("*")) - before}
    assert new == {"jobs", "upload", "jobs.socket"}


def assert_crashes(folder: Path, answer: Callable[[socket.socket], None]) -> None:
    """Check that an answer is refused, that the input stays, and that no file is left."""

    def start(connection: socket.socket) -> None:
        kept = socket.socket(fileno=os.dup(connection.fileno()))
        thread = threading.Thread(target=answer_and_close, args=(kept,))
        thread.start()

    def answer_and_close(connection: socket.socket) -> None:
        with connection, suppress(Disconnected, TimeoutError, OSError):
            answer(connection)

    path = folder / "jobs.socket"
    with accepting(path, start), closing(Jobs(folder, str(path))) as jobs:
        pool = jobs.pool("true")
        with pytest.raises(TransformCrashed):
            pool.run([jobs.source], ["a"])
        assert jobs.source.read_text() == "input"
        assert [path.name for path in jobs.source.parent.iterdir()] == ["upload"]


@contextmanager
def sending(folder: Path, message: dict[str, object]) -> Iterator[Jobs]:
    """Yield jobs whose supervisor reads the job and sends a message."""

    def start(connection: socket.socket) -> None:
        with suppress(Disconnected, TimeoutError):
            messages.send(connection, READY)
            for _ in range(4):
                messages.receive(connection, 60)
            messages.send(connection, message)

    path = folder / "jobs.socket"
    with accepting(path, start), closing(Jobs(folder, str(path))) as jobs:
        yield jobs


def test_a_log_is_printable(tmp_path: Path) -> None:
    """It goes to terminals and to PostgreSQL, whatever a supervisor sends."""
    made = {"files": [], "records": 0, "notes": []}
    with sending(tmp_path, {"response": made, "log": "a\0\x1b\ud800" + "b" * 2**20}) as jobs:
        log = jobs.pool("true").run([jobs.source], ["a"]).log
    assert len(log.encode()) <= 16 << 10
    assert log.replace("\n", "").isprintable()


def test_a_full_disk_defers_the_upload(tmp_path: Path) -> None:
    """What the job's side says of the machine concerns its own file only."""
    reason = "No space left on device in /tmp/job"
    with (
        sending(tmp_path, {"response": {"environment": reason}, "log": ""}) as jobs,
        pytest.raises(UploadDeferred, match="No space left on device"),
    ):
        jobs.pool("true").run([jobs.source], ["a"])
