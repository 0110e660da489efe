"""Services of a process machine: the page, this computer's mosquitto, what stores messages."""

import base64
import gzip
import json
import os
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from cli.errors import MachineNotReady
from cli.machines.host import ask
from cli.machines.local_host import ProcessHost
from clients.archive import WORKER
from clients.certificates import issue, make_authority
from infra.user_data import document
from local.machine import kinds
from local.machine.kinds import MachineKind
from local.machine.process.machine import NO_BROKER, ProcessMachine
from local.ports import listens
from local.processes import find_program
from tests.eventually import eventually, patience
from tests.running import is_alive

# `web` answers with the names of its credentials; `ingest` says to which port it would connect.
WORKER_MAIN = """
import http.server, os, signal, sys
from pathlib import Path
command, *options = sys.argv[3:]
credentials = sorted(os.listdir(os.environ["CREDENTIALS_DIRECTORY"]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{os.getpid()} {os.environ['STATE_DIRECTORY']} {','.join(credentials)}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
if command == "web":
    http.server.HTTPServer(("127.0.0.1", int(options[1])), Handler).serve_forever()
if command == "ingest":
    password = Path(os.environ["CREDENTIALS_DIRECTORY"], "broker-password").read_text()
    Path(os.environ["STATE_DIRECTORY"], "seen").write_text(f"{options[1]} {password}")
    signal.pause()
"""
UNITS = """
import sys
from pathlib import Path
units, files = map(Path, sys.argv[2:])
started = Path(sys.argv[1]).read_text().split("#")[1].strip()
for path, text in {
    units / "pipeline-migrate.service.d/timers.conf": f"[Unit]\\nOnSuccess={started}\\n",
    units / "pipeline-broker.service.d/cameras.conf":
        "LoadCredential=camera-door:/etc/pipeline/credentials/camera-door\\n",
    files / "broker-password": "of-ingest",
}.items():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
"""
STORE = ("s3-access-key", "s3-secret-key", "database-password", "database-certificate")
OF_MIGRATION = ("database-admin-password", "database-admin-certificate")


def packed(*services: str) -> str:
    """Return user-data of a machine without pipelines, whose migration starts these services."""
    started = " ".join(f"pipeline-{name}.service" for name in services)
    files = {
        "/opt/pipeline/source/worker/__init__.py": "",
        "/opt/pipeline/source/worker/__main__.py": WORKER_MAIN,
        "/opt/pipeline/source/worker/bootstrap.py": "",
        "/opt/pipeline/source/worker/broker.py": (WORKER / "broker.py").read_text("utf-8"),
        "/opt/pipeline/source/worker/units.py": UNITS,
        "/etc/pipeline/worker.toml": f"# {started}\n[pipelines]\n",
        "/etc/pipeline/credentials/camera-door": "of-door",
        "/etc/pipeline/credentials/interface-certificate": issue(
            "server", make_authority(), "127.0.0.1"
        ),
        **{f"/etc/pipeline/credentials/{name}": name for name in (*STORE, *OF_MIGRATION)},
        **{
            f"/etc/systemd/system/{name}": text.replace("@INTERVAL@", "1s")
            for name, text in document.templates().items()
            if name.startswith("pipeline-")
        },
    }
    entries = [{"path": path, "content": content} for path, content in files.items()]
    text = "#cloud-config\n" + json.dumps({"write_files": entries})
    return base64.b64encode(gzip.compress(text.encode())).decode()


@contextmanager
def running(folder: Path, *services: str) -> Iterator[ProcessMachine]:
    kinds.start(folder, MachineKind(), "vm", packed(*services), "")
    try:
        yield ProcessMachine("vm", folder)
    finally:
        kinds.stop(folder)


def page(host: ProcessMachine) -> list[str]:
    """Return the words of the page's answer, [] while there is none."""
    try:
        address = f"http://127.0.0.1:{host.ports['web']}/"
        with urllib.request.urlopen(address, timeout=5) as answer:
            words: list[str] = answer.read().decode().split()
            return words
    except (OSError, KeyError):
        return []


def test_page_is_served_and_restarted_with_its_own_credentials(tmp_path: Path) -> None:
    with running(tmp_path / "vm", "web", "proxy") as host:
        pid, state, credentials = eventually(lambda: page(host))
        assert set(credentials.split(",")) == set(STORE)
        assert Path(state).stat().st_mode & 0o777 == 0o700
        os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: page(host)[:1] not in ([], [pid]))
        assert not listens(host.ports["broker"])
        assert ProcessHost(host).steps() == []


def test_disabled_page_is_not_started(tmp_path: Path) -> None:
    with running(tmp_path / "vm", "ingest") as host:
        eventually((host.folder / "services/ingest/seen").exists)
        assert not listens(host.ports["web"])


def test_machine_that_replaces_another_has_its_ports(tmp_path: Path) -> None:
    with running(tmp_path / "first", "web") as host:
        eventually(lambda: page(host))
        ports = host.ports
    with running(tmp_path / "second", "web") as host:
        eventually((tmp_path / "second/booted").exists)
        assert host.ports == ports
        eventually(lambda: page(host))


def test_machine_keeps_its_ports_unless_another_program_has_taken_one(tmp_path: Path) -> None:
    with running(tmp_path / "vm", "web") as host:
        eventually(lambda: page(host))
        first = host.ports
        kinds.shut_off(host.folder)
        kinds.start(host.folder, MachineKind(), "vm", packed("web"), "")
        eventually(lambda: page(host))
        assert host.ports == first
        kinds.shut_off(host.folder)
        with socket.create_server(("127.0.0.1", first["web"])):
            kinds.start(host.folder, MachineKind(), "vm", packed("web"), "")
            eventually(lambda: host.ports["web"] != first["web"] and page(host))
        assert host.ports | {"web": 0} == first | {"web": 0}


@pytest.mark.skipif(find_program("mosquitto") is None, reason="mosquitto is not installed")
def test_broker_of_this_computer_listens_on_the_loopback_until_the_machine_ends(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "vm", "broker", "ingest") as host:
        eventually(
            lambda: host.ports and all(listens(host.ports[n]) for n in ("broker", "cameras"))
        )
        seen = host.folder / "services/ingest/seen"
        told = f"{host.ports['broker']} of-ingest"
        eventually(lambda: seen.exists() and seen.read_text("utf-8") == told)
        (mosquitto,) = (one for one in family(host) if is_named(one, "mosquitto"))
        addresses = {each.laddr.ip for each in mosquitto.net_connections() if not each.raddr}
        assert addresses == {"127.0.0.1"}
        assert "of-door" not in " ".join(mosquitto.cmdline())
        mosquitto.kill()
        mosquitto.wait(60 * patience())
        eventually(lambda: listens(host.ports["cameras"]))
        assert ProcessHost(host).steps() == []
        ports, members = host.ports, family(host)
    assert not any(map(is_alive, members))
    assert not any(map(listens, ports.values()))


def family(host: ProcessMachine) -> list[psutil.Process]:
    pid = int((host.folder / "machine.pid").read_text("utf-8"))
    return list(psutil.Process(pid).children(recursive=True))


def is_named(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name)
    except psutil.NoSuchProcess:
        return False


def test_machine_without_mosquitto_says_so_and_serves_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with running(tmp_path / "vm", "web", "broker") as host:
        eventually(lambda: page(host) and NO_BROKER in host.journal.read_text("utf-8"))
        (step,) = ProcessHost(host).steps()
        assert step.failed
        assert NO_BROKER in step.state
        assert host.journal.read_text("utf-8").count(NO_BROKER) == 1


def test_machine_that_cannot_fetch_its_worker_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its store does not answer: the package's folder is there without its modules."""
    monkeypatch.setattr("local.machine.process.machine.BOOT_SECONDS", 0)
    machine = ProcessMachine("vm", tmp_path)
    (machine.source / "worker").mkdir(parents=True)
    with pytest.raises(MachineNotReady, match=r"Machine vm has no worker yet: .*object store"):
        ask(ProcessHost(machine), ["status"])
