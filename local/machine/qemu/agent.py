"""Commands in a `qemu` machine through its guest agent: a serial line, so no network is needed.

https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html
"""

import base64
import contextlib
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SOCKET = "agent.socket"
_ANSWER_SECONDS = 15  # an emulated guest is slow, and one that is down never answers
_RESYNC = b"\xff"  # the agent drops what it had begun to send or receive
_ENVIRONMENT = ("/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "HOME=/root")
_LOST = 255


class _Agent:
    """A synchronized connection to the guest agent."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._buffer = line, b""
        number = secrets.randbelow(1 << 31)
        self._line.sendall(_RESYNC)
        self._send("guest-sync-delimited", {"id": number})
        while self._receive().get("return") != number:
            pass

    def execute(self, command: str, **arguments: Any) -> Any:
        """Return the result of an agent's command; raises ProcessLookupError if it fails."""
        self._send(command, arguments)
        answer = self._receive()
        if "return" not in answer:
            raise ProcessLookupError(f"The guest agent answers with an error: {answer}")
        return answer["return"]

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        text = json.dumps({"execute": command, "arguments": arguments})
        self._line.sendall(text.encode() + b"\n")

    def _receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                piece = self._line.recv(1 << 16)
            except TimeoutError:
                piece = b""
            if not piece:
                raise ProcessLookupError("The guest agent does not answer.")
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        try:
            found: dict[str, Any] = json.loads(line.rpartition(_RESYNC)[2])
        except ValueError:
            return {}  # the rest of an answer to an earlier connection
        return found


@contextlib.contextmanager
def _connect(folder: Path) -> Iterator[_Agent]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_ANSWER_SECONDS)
            try:
                # A socket's name may have 107 bytes, a folder's more.
                line.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
            except OSError as error:
                raise ProcessLookupError(f"The machine is down: {error}") from None
            yield _Agent(line)
    finally:
        os.close(descriptor)


def run(
    folder: Path, command: Sequence[str], seconds: float | None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the guest as root; raises ProcessLookupError while the machine is down.

    Args:
        folder: the machine's folder.
        command: the program and its arguments.
        seconds: the limit of the run, None for no limit.

    Returns:
        The ended process; its status is 255 where the guest went down meanwhile.

    Raises:
        subprocess.TimeoutExpired: the limit has passed.
    """
    deadline = time.monotonic() + seconds if seconds is not None else None
    with _connect(folder) as agent:
        program, *arguments = [*_ENVIRONMENT, *command]
        options = {"path": program, "arg": arguments, "capture-output": True}
        number = agent.execute("guest-exec", **options)["pid"]
        while True:
            try:
                status = agent.execute("guest-exec-status", pid=number)
            except ProcessLookupError:
                return subprocess.CompletedProcess(command, _LOST, "", "The guest went down.")
            if status["exited"]:
                code = status.get("exitcode", _LOST)
                out, err = (
                    base64.b64decode(status.get(name, "")).decode(errors="replace")
                    for name in ("out-data", "err-data")
                )
                return subprocess.CompletedProcess(command, code, out, err)
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(command, seconds or 0)
            time.sleep(0.05)
