"""The service of a `process` machine: `python -m local.machine.process.service FOLDER`.

It does the part of the user-data that needs no privileges: it writes the files, fetches the
worker, migrates the database, then drains at the timer's interval, as the units would. That the
units and the installation work is shown by the machines that boot.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TextIO

from local import private_file
from local.errors import InvalidUserData
from local.machine import machine, user_data
from local.machine.process import units
from local.machine.process.machine import ProcessMachine

TIMER = "/etc/systemd/system/pipeline-worker.timer"
UNIT = "/etc/systemd/system/pipeline-worker.service"
RETRY_SECONDS = 1.0
SHUTDOWN_SECONDS = 2.0


class ShutDown(BaseException):
    """SIGTERM arrived; raised by the signal handler, wherever the service is."""


class Service:
    """Everything that a machine does between its boot and a signal."""

    def __init__(self, host: ProcessMachine, journal: TextIO) -> None:
        self._host = host
        self._journal = journal
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Boot, fetch and migrate, each until it succeeds; then drain again and again.

        Returns only where the user-data cannot be applied; the journal says why.
        """
        self._host.state.mkdir(exist_ok=True, mode=0o700)
        try:
            entries = user_data.files((self._host.folder / "user-data").read_text("utf-8"))
            user_data.write(entries, self._host.root)
        except InvalidUserData as error:
            self._log(str(error))
            return
        contents = {entry["path"]: str(entry["content"]) for entry in entries}
        seconds = units.interval(contents.get(TIMER, ""))
        drain = units.worker_arguments(contents.get(UNIT, ""))
        while self._fetch_worker() != 0:
            time.sleep(RETRY_SECONDS)
        private_file.write(self._host.booted, "")
        if seconds is None or not drain:
            self._log(f"no interval in {TIMER} or no worker in {UNIT}: nothing is drained.")
            return
        self._build_kernels()
        while self._run_worker(["migrate"]) != 0:
            time.sleep(RETRY_SECONDS)
        while True:
            self._run_worker(drain)
            time.sleep(seconds)

    def shut_down(self) -> None:
        """End the worker and everything that it started, then this process."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)  # the service leads its own process group
        if self._child is not None:
            try:
                self._child.wait(SHUTDOWN_SECONDS)
            except subprocess.TimeoutExpired:
                self._log(f"the worker did not end within {SHUTDOWN_SECONDS:g} s and is killed.")
        os.killpg(0, signal.SIGKILL)

    def _fetch_worker(self) -> int:
        """Fetch the whole worker, as the installation does first."""
        where = [str(self._host.settings), str(self._host.source)]
        return self._run([sys.executable, "-m", "worker.bootstrap", *where])

    def _build_kernels(self) -> None:
        """Build the transforms' kernels, as the installation does last; without them it is slow."""
        folder = self._host.source / "worker/transforms/negate"
        self._run([sys.executable, "-m", "worker.transforms.negate.build", str(folder)])

    def _run_worker(self, arguments: list[str]) -> int:
        code = self._run(self._host.worker_command(arguments))
        if code:
            self._log(f"worker {arguments[0]} exited with status {code}.")
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

    def _log(self, text: str) -> None:
        self._journal.write(f"machine: {text}\n")
        self._journal.flush()


def main(folder: Path) -> None:
    """Run the service of the machine in `folder` until a signal ends it."""
    host = ProcessMachine(machine.load_record(folder)["name"], folder)
    with host.journal.open("a", encoding="utf-8") as journal:
        service = Service(host, journal)
        signal.signal(signal.SIGTERM, _raise_shut_down)
        try:
            service.run()
            while True:  # the machine has nothing to run, but it is up
                signal.pause()
        except ShutDown:
            service.shut_down()


def _raise_shut_down(_number: int, _frame: FrameType | None) -> None:
    raise ShutDown


if __name__ == "__main__":
    main(Path(sys.argv[1]))
