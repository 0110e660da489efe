"""A `process` machine: the host's Python runs the worker below a folder that stands for `/`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local import private_file, processes
from local.cache import cache_folder
from local.machine.machine import POWER_OFF_SECONDS, LocalMachine
from local.ports import free_port, is_free

BOOT_SECONDS = 30
NO_BROKER = "mosquitto is not installed on this computer: install it to receive cameras' pictures."


@dataclass(frozen=True)
class ProcessMachine(LocalMachine):
    """A machine whose service applies the user-data's files and runs the worker."""

    @property
    def root(self) -> Path:
        """The folder that stands for `/`."""
        return self.folder / "root"

    @property
    def settings(self) -> Path:
        """The worker's settings file."""
        return self.root / "etc/pipeline/worker.toml"

    @property
    def source(self) -> Path:
        """The folder of the worker's package."""
        return self.root / "opt/pipeline/source"

    @property
    def state(self) -> Path:
        """The folder of the pipelines' state folders."""
        return self.folder / "state"

    @property
    def prepared(self) -> Path:
        """The folder of what pipelines need to run, in the cache: later machines share it."""
        return cache_folder() / "prepared"

    @property
    def journal(self) -> Path:
        """The output of the machine's service and of all pipelines' workers."""
        return self.folder / "journal.log"

    @property
    def console(self) -> Path:
        """The journal: there is no boot to see."""
        return self.journal

    @property
    def booted(self) -> Path:
        """A file that is there once the worker's source is."""
        return self.folder / "booted"

    @property
    def problem(self) -> Path:
        """A file with a sentence while the machine's broker cannot be started."""
        return self.folder / "broker.problem"

    @property
    def ports_file(self) -> Path:
        """The file of its ports, beside its folder, which ends with the machine."""
        return self.folder.with_name(f"{self.name}.ports.json")

    @property
    def ports(self) -> dict[str, int]:
        """The ports of the loopback that its services use: `web`, `broker` and `cameras`.

        {} before the first boot and without services; later boots, and machines of the same name
        that replace this one, keep them, unless another program has taken one.
        """
        try:
            found: dict[str, int] = json.loads(self.ports_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return found

    def choose_ports(self) -> None:
        """Store ports that are free, the former ones if possible."""
        kept = self.ports
        chosen = {
            name: kept[name] if name in kept and is_free(kept[name]) else free_port()
            for name in ("web", "broker", "cameras")
        }
        private_file.write(self.ports_file, json.dumps(chosen))

    def power_off(self) -> None:
        """End its services, whose passes may take some seconds for that."""
        processes.end(self.folder, seconds=POWER_OFF_SECONDS)

    def run_worker(
        self, arguments: Sequence[str], seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m worker` with the machine's settings, once its source is there.

        Args:
            arguments: the worker's command line.
            seconds: the limit of the run itself, None for no limit.

        Returns:
            The ended process; its output is text.
        """
        self.await_boot()
        return subprocess.run(
            self.worker_command(arguments),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self.environment(),
            timeout=seconds,
        )

    def await_boot(self) -> None:
        """Wait until the worker's source is there, 30 s at most."""
        deadline = time.monotonic() + BOOT_SECONDS
        while not self.booted.exists() and time.monotonic() < deadline:
            time.sleep(0.02)

    def worker_command(self, arguments: Sequence[str]) -> list[str]:
        """Return the command that runs the worker with these arguments."""
        return [sys.executable, "-m", "worker", "--settings", str(self.settings), *arguments]

    def load_credentials(self, unit: str, paths: Mapping[str, str]) -> Path:
        """Copy credentials into a unit's own folder, as systemd does.

        Args:
            unit: the name of the unit.
            paths: name -> path on the machine of the credentials that it loads.

        Returns:
            The folder.
        """
        folder = self.root / "run/credentials" / unit
        for name, path in paths.items():
            content = (self.root / path.lstrip("/")).read_bytes()
            private_file.write(folder / name, content, mode=0o400)
        return folder

    def environment(self, pipeline: str = "") -> dict[str, str]:
        """Return the worker's environment: none of the caller's proxies, keys or cloud settings.

        Args:
            pipeline: the pipeline that it is to drain, "" for other commands.
        """
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return {
            **kept,
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.source),
            "STATE_DIRECTORY": str(self.state / pipeline),
            "PREPARED_DIRECTORY": str(self.prepared),
            processes.VARIABLE: processes.marker(self.folder),
        }
