"""A machine of the local cloud: its folder, its worker's commands, its beginning and end."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import files, processes

NAME = "machine"
BOOT_SECONDS = 30


@dataclass(frozen=True)
class Machine:
    """A running VM. `root` stands for its `/`."""

    name: str
    folder: Path

    @property
    def root(self) -> Path:
        """What would be `/` on a real machine."""
        return self.folder / "root"

    @property
    def settings(self) -> Path:
        """The worker's settings file."""
        return self.root / "etc/pipeline/worker.toml"

    @property
    def source(self) -> Path:
        """Where the worker's package is."""
        return self.root / "opt/pipeline/source"

    @property
    def journal(self) -> Path:
        """What the machine's services said."""
        return self.folder / "journal.log"

    def run(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m worker …` on the machine, which is waited for while it boots.

        `seconds` limits the run (subprocess.TimeoutExpired); output is text.
        """
        deadline = time.monotonic() + BOOT_SECONDS
        while not (self.folder / "booted").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return subprocess.run(
            self.command(arguments),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.environment(),
            timeout=seconds,
        )

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The worker's command line."""
        return [sys.executable, "-m", "worker", "--settings", str(self.settings), *arguments]

    def environment(self) -> dict[str, str]:
        """As bare as a service's: nothing of the caller's proxies, keys or cloud settings."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "STATE_DIRECTORY": str(self.folder / "state"),
            processes.VARIABLE: processes.marker(self.folder),
        }


def start(folder: Path, name: str, user_data: str) -> None:
    """Boot a machine with packed user-data, or boot it again; does not wait for it."""
    prepare(folder, {"name": name}, user_data)
    (folder / "state").mkdir(exist_ok=True, mode=0o700)
    if not running(folder):
        processes.end(folder)
        processes.start_module(folder, NAME, "local.machine.service", [str(folder)])


def prepare(folder: Path, record: Mapping[str, str], user_data: str) -> None:
    """Write down what a machine is started from."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write(folder / "user-data", user_data)
    files.write(folder / "machine.json", json.dumps(record))


def load(folder: Path) -> Machine:
    """The machine of a folder."""
    record = json.loads((folder / "machine.json").read_text(encoding="utf-8"))
    return Machine(record["name"], folder)


def running(folder: Path) -> bool:
    """Whether it is up."""
    return processes.running(folder, NAME)


def stop(folder: Path) -> None:
    """Shut it down, and its disk with it."""
    processes.end(folder, seconds=3)
    shutil.rmtree(folder, ignore_errors=True)
