"""What runs on a `process` machine: `python -m local.machine.service FOLDER`.

It does the part of the user-data that needs no privileges: writes the files, fetches the worker,
migrates the database, then drains on the timer's interval, as the units would. It proves the
worker; that the units and the installation work is proven on a real machine.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TextIO

from local import files
from local.machine import machine, timer, user_data
from local.machine.machine import Machine

TIMER = "/etc/systemd/system/pipeline-worker.timer"
UNIT = "/etc/systemd/system/pipeline-worker.service"
RETRY_SECONDS = 1.0
SHUTDOWN_SECONDS = 2.0


class ShutDown(BaseException):
    """Raised by the signal: whatever the machine does, it stops doing it."""


class Service:
    """The machine's life, until a signal ends it."""

    def __init__(self, host: Machine, journal: TextIO) -> None:
        self._host = host
        self._journal = journal
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Boot, fetch and migrate until that succeeds, then drain for ever."""
        try:
            entries = user_data.files((self._host.folder / "user-data").read_text("utf-8"))
            user_data.write(entries, self._host.root)
        except user_data.UserDataError as error:
            self._say(str(error))
            return
        units = {unit["path"]: str(unit["content"]) for unit in entries}
        every, drain = timer.interval(units.get(TIMER, "")), timer.arguments(units.get(UNIT, ""))
        while self._fetch() != 0:
            time.sleep(RETRY_SECONDS)
        files.write(self._host.folder / "booted", "")
        if every is None or not drain:
            self._say(f"{TIMER} or {UNIT} tells no interval or no worker: nothing is drained.")
            return
        self._build_transforms()
        while self._worker(["migrate"]) != 0:
            time.sleep(RETRY_SECONDS)
        while True:
            self._worker(drain)
            time.sleep(every)

    def shut_down(self) -> None:
        """End the worker and everything it started, then ourselves."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)  # we lead our own group
        if self._child is not None:
            try:
                self._child.wait(SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                self._say("The worker did not end when asked; killed.")
        os.killpg(0, signal.SIGKILL)

    def _fetch(self) -> int:
        """As the installation begins: user-data brings a part of the worker."""
        where = [str(self._host.settings), str(self._host.source)]
        return self._run([sys.executable, "-m", "worker.bootstrap", *where])

    def _build_transforms(self) -> None:
        """As the installation ends; a worker without them is slower, and says so."""
        folder = self._host.source / "worker/transforms"
        self._run([sys.executable, "-m", "worker.transforms.build", str(folder)])

    def _worker(self, command: list[str]) -> int:
        code = self._run(self._host.command(command))
        if code:
            self._say(f"worker {command[0]} ended with {code}.")
        return code

    def _run(self, command: list[str]) -> int:
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._journal,
            stderr=self._journal,
            cwd=self._host.folder,
            env=self._host.environment(),
        )
        return self._child.wait()

    def _say(self, text: str) -> None:
        self._journal.write(f"machine: {text}\n")
        self._journal.flush()


def main(folder: Path) -> None:
    """Carry on from whatever a former run left."""
    host = machine.load(folder)
    with host.journal.open("a", encoding="utf-8") as journal:
        service = Service(host, journal)
        signal.signal(signal.SIGTERM, _power_button)
        try:
            service.run()
            while True:  # booted in vain, but a machine that is up
                signal.pause()
        except ShutDown:
            service.shut_down()


def _power_button(_number: int, _frame: FrameType | None) -> None:
    raise ShutDown


if __name__ == "__main__":
    main(Path(sys.argv[1]))
