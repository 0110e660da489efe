"""MariaDB, on a socket only, as all services share it."""

import os
import subprocess

from local import processes
from tests.openstack.services import prerequisites
from tests.openstack.services.errors import ServicesError
from tests.openstack.services.layout import Layout
from tests.openstack.services.probing import until

NAME = "mariadb"
SCHEMAS = (
    *("keystone", "keystone_database", "glance", "placement", "neutron", "trove"),
    *("nova_api", "nova_cell0", "nova_cell1"),
)


def create(layout: Layout) -> None:
    """The data folder of a server with no database in it."""
    command = [
        prerequisites.program("mariadb-install-db"),
        "--no-defaults",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        f"--datadir={layout.state / NAME}",
        *_as_root(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ServicesError(f"MariaDB could not make its data folder: {last}")


def start(layout: Layout) -> None:
    """Start the server on its data and wait until it answers."""
    command = [
        prerequisites.program("mariadbd"),
        "--no-defaults",
        *_as_root(),
        f"--datadir={layout.state / NAME}",
        f"--socket={layout.socket}",
        f"--pid-file={layout.run / 'mariadb.pid'}",
        "--skip-networking",
        "--skip-log-bin",
        "--character-set-server=utf8mb3",
        "--max-connections=600",
        # Durability is not needed here; without it the server is faster.
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
        "--skip-innodb-doublewrite",
        "--innodb-buffer-pool-size=192M",
        "--innodb-log-file-size=16M",
    ]
    processes.start(layout.root, NAME, command)
    until(layout, NAME, lambda: _client(layout, "").returncode == 0)


def execute(layout: Layout, script: str) -> str:
    """Run one of the rendered SQL files as the server's root; what it prints."""
    done = _client(layout, (layout.etc / script).read_text(encoding="utf-8"))
    if done.returncode:
        raise ServicesError(f"MariaDB refuses {script}: {done.stderr.strip()}")
    return done.stdout


def _client(layout: Layout, statements: str) -> subprocess.CompletedProcess[str]:
    command = [
        prerequisites.program("mariadb"),
        "--no-defaults",
        "-N",
        "-uroot",
        "-S",
        str(layout.socket),
    ]
    return subprocess.run(command, input=statements, capture_output=True, text=True, check=False)


def _as_root() -> list[str]:
    """Return the option without which MariaDB refuses to run as root."""
    return ["--user=root"] if os.geteuid() == 0 else []
