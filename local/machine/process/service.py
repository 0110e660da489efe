"""The service of a `process` machine: `python -m local.machine.process.service FOLDER`.

It does the part of the user-data that needs no privileges: it writes the files, fetches the
worker, migrates the database, then drains each pipeline at the timer's interval, as the units
would, and runs the page, and with cameras this computer's mosquitto and what stores their messages,
on free ports of the loopback. That the units and the installation work is shown by the machines
that boot.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from local import private_file, processes
from local.errors import InvalidUserData
from local.machine import machine, user_data
from local.machine.process import units
from local.machine.process.machine import NO_BROKER, ProcessMachine

UNITS = "/etc/systemd/system"
TIMER = "pipeline-worker@.timer"
WORKER = "pipeline-worker@.service"
INSTALL = "pipeline-install.service"
MIGRATE = "pipeline-migrate.service"
WANTED = "pipeline-migrate.service.d/timers.conf"
PREPARE = "pipeline-prepare@.service"
POSTINSTALL = "pipeline-postinstall.service"
RETRY_SECONDS = 1.0
PREPARE_SECONDS = 5.0  # between attempts
#: How the user's package clients reach their registries: only `prepare` gets these variables.
REGISTRIES = re.compile(r"(PIP_|HF_|SSL_CERT_|REQUESTS_CA_).*|(HTTPS?|NO)_PROXY", re.IGNORECASE)
SHUTDOWN_SECONDS = 10.0  # a pass takes no longer


class ShutDown(BaseException):
    """SIGTERM arrived; raised by the signal handler, wherever the service is."""


class Service:
    """Everything that a machine does between its boot and a signal."""

    def __init__(self, host: ProcessMachine, journal: BinaryIO) -> None:
        self._host = host
        self._journal = journal
        self._children: set[subprocess.Popen[bytes]] = set()
        self._ending = threading.Event()
        self._units: dict[str, str] = {}  # name -> text

    def run(self) -> None:
        """Boot, install and migrate, each until it succeeds; then begin to drain the pipelines.

        The journal says why nothing is drained where the user-data cannot be applied.
        """
        self._host.state.mkdir(exist_ok=True, mode=0o700)
        try:
            entries = user_data.files((self._host.folder / "user-data").read_text("utf-8"))
            user_data.write(entries, self._host.root)
        except InvalidUserData as error:
            self._log(str(error))
            return
        for entry in entries:
            folder, _, name = entry["path"].rpartition("/")
            if folder == UNITS:
                self._units[name] = str(entry["content"])
        seconds = units.interval(self._units.get(TIMER, ""))
        drain = units.worker_arguments(self._units.get(WORKER, ""))
        paths = (str(self._host.settings), str(self._host.source))
        while self._run(INSTALL, [sys.executable, "-m", "worker.bootstrap", *paths]) != 0:
            time.sleep(RETRY_SECONDS)
        self._write_units(paths[0])
        if units.started_services(self._units.get(WANTED, "")):
            self._host.choose_ports()
        private_file.write(self._host.booted, "")
        if seconds is None or not drain:
            self._log(f"no interval in {TIMER} or no worker in {WORKER}: nothing is drained.")
            return
        for name in units.prepared_pipelines(self._units.get(WANTED, "")):
            threading.Thread(target=self._prepare, args=(name,), daemon=True).start()
        # Where no prebuilt kernels run (macOS), pictures that need some wait for this.
        build = threading.Thread(target=self._run_worker, args=(POSTINSTALL, ["build"]))
        build.daemon = True
        build.start()
        while self._run_worker(MIGRATE, ["migrate"]) != 0:
            time.sleep(RETRY_SECONDS)
        self._start_services()
        for name in tomllib.loads(self._host.settings.read_text("utf-8"))["pipelines"]:
            (self._host.state / name).mkdir(exist_ok=True, mode=0o700)
            arguments = [word.replace("%i", name) for word in drain]
            passes = threading.Thread(target=self._drain, args=(name, arguments, seconds))
            passes.daemon = True
            passes.start()

    def shut_down(self) -> None:
        """End the workers and everything that they started, then this process."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._ending.set()
        os.killpg(0, signal.SIGTERM)  # the service leads its own process group
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        for child in list(self._children):
            try:
                child.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log(f"the worker did not end within {SHUTDOWN_SECONDS:g} s and is killed.")
        os.killpg(0, signal.SIGKILL)

    def _write_units(self, settings: str) -> None:
        """Write the units that depend on the settings (worker/units.py), and read them."""
        folder, files = self._host.root / "run/systemd/system", self._host.root / "run/pipeline"
        command = [sys.executable, "-m", "worker.units", settings, str(folder), str(files)]
        if self._run(INSTALL, command) != 0:
            self._log("the units of jobs could not be written.")
        for path in folder.rglob("*.*"):
            if path.is_file():
                self._units[path.relative_to(folder).as_posix()] = path.read_text("utf-8")

    def _prepare(self, pipeline: str) -> None:
        """Prepare what a pipeline needs until that has succeeded; no other waits for it."""
        (self._host.state / pipeline).mkdir(exist_ok=True, mode=0o700)
        while not self._ending.is_set():
            if self._run_worker(PREPARE, ["prepare", "--pipeline", pipeline], pipeline) == 0:
                return
            self._ending.wait(PREPARE_SECONDS)

    def _start_services(self) -> None:
        """Run the services that the migration would start, without the proxy: nobody is outside."""
        ports = self._host.ports
        started = units.started_services(self._units.get(WANTED, ""))
        for name, run in {
            "web": lambda: self._serve("web", ports["web"]),
            "broker": lambda: self._run_broker(ports["broker"], ports["cameras"]),
            "ingest": lambda: self._serve("ingest", ports["broker"]),
        }.items():
            if name in started:
                threading.Thread(target=self._keep_running, args=(run,), daemon=True).start()

    def _keep_running(self, run: Callable[[], object]) -> None:
        """Run a service, and again whenever it has ended, until the machine ends."""
        while not self._ending.is_set():
            run()
            self._ending.wait(RETRY_SECONDS)

    def _serve(self, name: str, port: int) -> None:
        arguments = [name, "--port", str(port)]
        self._run_worker(f"pipeline-{name}.service", arguments, more=self._folders(name))

    def _run_broker(self, port: int, cameras_port: int) -> None:
        """Run this computer's mosquitto; without one the machine has a problem until there is."""
        program, problem = processes.find_program("mosquitto"), self._host.problem
        if program is None:
            if not problem.exists():
                private_file.write(problem, NO_BROKER)
                self._log(NO_BROKER)
            return
        problem.unlink(missing_ok=True)
        ports = ["--port", str(port), "--cameras-port", str(cameras_port)]
        where = ["--address", "127.0.0.1", "--program", program]
        command = [sys.executable, "-m", "worker.broker", *ports, *where]
        code = self._run("pipeline-broker.service", command, more=self._folders("broker"))
        self._log(f"the broker exited with status {code}.")

    def _folders(self, service: str) -> dict[str, str]:
        """Return the variables of a service's own folders, as systemd sets them."""
        folders = {
            "STATE_DIRECTORY": self._host.folder / "services" / service,
            "RUNTIME_DIRECTORY": self._host.root / "run" / f"pipeline-{service}",
        }
        for folder in folders.values():
            private_file.make_folder(folder)
        return {name: str(folder) for name, folder in folders.items()}

    def _drain(self, pipeline: str, arguments: list[str], seconds: float) -> None:
        """Make passes over a pipeline's input bucket until the machine ends."""
        while not self._ending.is_set():
            self._run_worker(WORKER, arguments, pipeline)
            self._ending.wait(seconds)

    def _run_worker(
        self,
        unit: str,
        arguments: list[str],
        pipeline: str = "",
        more: Mapping[str, str] | None = None,
    ) -> int:
        code = self._run(unit, self._host.worker_command(arguments), pipeline, more)
        if code:
            self._log(f"worker {' '.join(arguments)} exited with status {code}.")
        return code

    def _run(
        self,
        unit: str,
        command: list[str],
        pipeline: str = "",
        more: Mapping[str, str] | None = None,
    ) -> int:
        """Run a unit's command with the unit's credentials; return its exit status."""
        environment = {**self._host.environment(pipeline), **(more or {})}
        instance = unit.replace("@", f"@{pipeline}")
        if unit == PREPARE:
            environment |= {k: v for k, v in os.environ.items() if REGISTRIES.fullmatch(k)}
        try:
            job = f"pipeline-job-{pipeline}@.service"
            if unit == WORKER and (secrets := units.credentials(self._units.get(job, ""))):
                environment["SECRETS_DIRECTORY"] = str(self._host.load_credentials(job, secrets))
            texts = (text for name, text in self._units.items() if name.startswith(unit))
            if paths := units.credentials("\n".join(texts)):  # its own and those of drop-ins
                folder = self._host.load_credentials(instance, paths)
                environment["CREDENTIALS_DIRECTORY"] = str(folder)
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._journal,
                stderr=self._journal,
                cwd=self._host.folder,
                env=environment,
            )
        except OSError as error:
            self._log(f"{instance} cannot be started: {error.strerror} ({error.filename}).")
            return 1
        self._children.add(child)
        code = child.wait()
        self._children.discard(child)  # not where the signal arrives: shut_down waits for it
        return code

    def _log(self, text: str) -> None:
        self._journal.write(f"machine: {text}\n".encode())


def main(folder: Path) -> None:
    """Run the service of the machine in `folder` until a signal ends it."""
    host = ProcessMachine(machine.load_record(folder)["name"], folder)
    # Unbuffered: each line is one write, so that those of several pipelines stay whole.
    with host.journal.open("ab", buffering=0) as journal:
        service = Service(host, journal)
        signal.signal(signal.SIGTERM, _raise_shut_down)
        try:
            service.run()
            while True:  # until the signal, also where the machine has nothing to run
                signal.pause()
        except ShutDown:
            service.shut_down()


def _raise_shut_down(_number: int, _frame: FrameType | None) -> None:
    raise ShutDown


if __name__ == "__main__":
    main(Path(sys.argv[1]))
