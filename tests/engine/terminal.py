"""A person at a terminal: reads what a command prints, types answers."""

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.eventually import patience

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\r")
_CHUNK = 65536


class Terminal:
    """A command on a pseudo-terminal of its own."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._handle = ours
        # As a shell does: what a background job starts would ignore Ctrl-C.
        self._process = subprocess.Popen(
            ["env", "--default-signal=INT,QUIT", *argv],
            cwd=folder,
            env={**environment, "TERM": "xterm", "COLUMNS": "200", "LINES": "50"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""
        self._read = 0  # what `expect` has passed

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._handle)

    def expect(self, text: str, seconds: float = 60) -> None:
        """Wait until `text` is shown after what was expected before."""
        deadline = time.monotonic() + seconds * patience()
        while text not in self.shown[self._read :]:
            assert time.monotonic() < deadline, f"never showed {text!r}:\n{self.shown}"
            assert self._more(), f"ended without showing {text!r}:\n{self.shown}"
        self._read = self.shown.index(text, self._read) + len(text)

    def answer(self, question: str, typed: str = "") -> None:
        """Wait for a question, type an answer and Enter."""
        self.expect(question)
        self.type(f"{typed}\n")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._handle, keys.encode())

    def end(self, code: int = 0, seconds: float = 120) -> str:
        """Wait for the command's end; all that it showed."""
        deadline = time.monotonic() + seconds * patience()
        while self._more():
            assert time.monotonic() < deadline, f"did not end:\n{self.shown}"
        assert self._process.wait(60 * patience()) == code, self.shown
        assert "Traceback" not in self.shown, self.shown
        return self.shown

    def _more(self) -> bool:
        """Take in what is there; False at the end."""
        ready, _, _ = select.select([self._handle], [], [], 0.2)
        if not ready:
            return True
        try:
            data = os.read(self._handle, _CHUNK)
        except OSError:  # EIO: the other side is closed
            return False
        self.shown += _CONTROL.sub("", data.decode(errors="replace"))
        return bool(data)
