"""Everything from a camera to the input bucket, on this computer; each part can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from cli.edge_kit import Kit
from clients.certificates import issue, make_authority, public_part
from local.ports import listens
from local.processes import find_program
from tests.eventually import eventually, patience
from tests.mqtt.camera import Plan
from tests.mqtt.link import Link
from tests.ports import reserved_port
from tests.worker.pipeline import ROOT, Pipeline

MOSQUITTO = find_program("mosquitto")
PASSWORD = "of-the-camera"


@dataclass(frozen=True)
class Part:
    """A program: its arguments and more of its environment."""

    argv: Sequence[str]
    environment: Mapping[str, str]


class World:
    """A camera `door`, its device's broker, the bridge over TLS, the cloud's broker, ingest.

    Attributes:
        pipeline: With the store and the database behind links.
        links: By the name of what is behind them: bridge, store, database.
    """

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline, self.folder = pipeline, folder
        self._stack = ExitStack()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.port, self.cameras_port, self.edge_port = (reserved_port() for _ in range(3))
        self.camera = folder / "camera"
        self.password = PASSWORD
        self.parts: dict[str, Part] = {}
        self.links: dict[str, Link] = {}

    def __enter__(self) -> Self:
        store = int(self.pipeline.store.endpoint.rpartition(":")[2])
        behind = {
            "bridge": self.cameras_port,
            "store": store,
            "database": self.pipeline.server.port,
        }
        self.links = {name: self._stack.enter_context(Link(port)) for name, port in behind.items()}
        endpoint = f"http://127.0.0.1:{self.links['store'].port}"
        self.pipeline.tables |= {
            "store": {"endpoint": endpoint},
            "database": {"port": self.links["database"].port},
            "cameras.door": {"pipeline": "negatives"},
        }
        self.pipeline.configure(pipeline={"transform": "copy"})
        (self.pipeline.folder / "credentials" / "broker-password").write_text("of-ingest")
        self._prepare_cloud()
        self._prepare_edge()
        worker = [*self.pipeline.command, "--settings", str(self.pipeline.settings)]
        self.parts["ingest"] = Part(
            [*worker, "ingest", "--port", str(self.port)], self.pipeline.process_environment
        )
        self.parts["camera"] = Part(
            [sys.executable, "-m", "tests.mqtt.camera", str(self.camera)], {}
        )
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._running):
            self.kill(name)
        self._stack.close()

    def _prepare_cloud(self) -> None:
        """Configure it as a machine does."""
        authority = make_authority()
        folders = {name: self.folder / name for name in ("runtime", "credentials", "state")}
        for folder in folders.values():
            folder.mkdir()
        for name, text in {
            "broker-password": "of-ingest",
            "camera-door": PASSWORD,
            "interface-certificate": issue("server", authority, "127.0.0.1"),
        }.items():
            (folders["credentials"] / name).write_text(text)
        (self.folder / "authority.pem").write_text(public_part(authority))
        ports = ["--port", str(self.port), "--cameras-port", str(self.cameras_port)]
        program = ["--address", "127.0.0.1", "--program", str(MOSQUITTO)]
        self.parts["cloud"] = Part(
            [sys.executable, "-m", "worker.broker", *ports, *program],
            {f"{name.upper()}_DIRECTORY": str(path) for name, path in folders.items()},
        )

    def _prepare_edge(self) -> None:
        """Configure it as a device's, but for the time after which it tries the bridge again."""
        folder = self.folder / "edge"
        folder.mkdir()
        kit = Kit(
            *("test", "door", PASSWORD, f"127.0.0.1:{self.links['bridge'].port}"),
            authority=(self.folder / "authority.pem").read_text(),
            port=self.edge_port,
            local_password=PASSWORD,
        )
        files = kit.broker_files(str(folder), str(folder))
        assert "restart_timeout 1 30\n" in files["mosquitto.conf"]
        for name, text in files.items():
            (folder / name).write_text(
                text.replace("restart_timeout 1 30\n", "restart_timeout 1\n")
            )
        self.parts["edge"] = Part([str(MOSQUITTO), "-c", str(folder / "mosquitto.conf")], {})

    def plan(self, **values: Any) -> Plan:
        """Say what the camera does."""
        plan = Plan(self.edge_port, PASSWORD, **values)
        plan.save(self.camera)
        return plan

    def start(self, *names: str) -> None:
        """Start parts, and wait until brokers listen."""
        for name in names:
            part = self.parts[name]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **part.environment}
            log = (self.folder / f"{name}.log").open("ab")
            self._running[name] = subprocess.Popen(
                part.argv, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
            log.close()
        ports = {"cloud": (self.port, self.cameras_port), "edge": (self.edge_port,)}
        for port in (port for name in names for port in ports.get(name, ())):
            eventually(partial(listens, port), what=f"a broker on port {port}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """End a part; return its exit status."""
        process = self._running.pop(name)
        process.send_signal(number)
        return process.wait(60 * patience())

    def end(self, name: str) -> int:
        """End a part as systemd does, which kills it after 15 s; return its exit status."""
        return self.kill(name, signal.SIGTERM)

    def freeze(self, name: str) -> None:
        """Stop a part's process."""
        self._running[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Continue it."""
        self._running[name].send_signal(signal.SIGCONT)

    def fail(self, name: str) -> None:
        """Kill a part, or cut a link."""
        if name in self.links:
            self.links[name].cut()
        elif self.is_running(name):
            self.kill(name)

    def repair(self, name: str) -> None:
        """Undo `fail`."""
        if name in self.links:
            self.links[name].mend()
        else:
            self.start(name)

    def is_running(self, name: str) -> bool:
        return name in self._running and self._running[name].poll() is None

    def status(self, name: str) -> int | None:
        """Return the exit status of a part that has ended by itself."""
        return self._running[name].poll()

    def log(self, name: str) -> str:
        """Return what a part has printed."""
        path = self.folder / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def obstacle(self) -> str | None:
        """Return what the heartbeat of ingest says."""
        (row,) = self.pipeline.sql(
            "SELECT obstacle FROM pipeline.heartbeats WHERE pipeline = 'mqtt ingest'"
        ) or [{"obstacle": "no heartbeat"}]
        return row["obstacle"] and str(row["obstacle"])
