"""Where a running OpenStack keeps what, which ports it has and which passwords."""

import json
import random
import secrets
import socket
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

from local import private_file

HOST = "127.0.0.1"
#: Below the range from which the kernel gives ports to outgoing connections (32768 and up), so that
#: none of those takes a port between our choice and the server's start.
PORTS = range(11000, 32000)


@dataclass(frozen=True)
class Ports:
    """One port a server."""

    keystone: int
    keystone_database: int
    placement: int
    glance: int
    neutron: int
    nova: int
    trove: int
    rabbit: int
    rabbit_nodes: int
    epmd: int


@dataclass(frozen=True)
class Passwords:
    """Made when the databases are seeded, and kept with them."""

    admin: str
    service: str
    tenant: str


@dataclass(frozen=True)
class Layout:
    """The folder of one OpenStack; logs and process ids lie directly in it."""

    root: Path
    environment: Path

    @property
    def etc(self) -> Path:
        """Rendered configuration."""
        return self.root / "etc"

    @property
    def state(self) -> Path:
        """What a snapshot keeps: databases, keys, images, passwords."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """Sockets and locks."""
        return self.root / "run"

    @property
    def socket(self) -> Path:
        """MariaDB listens here only."""
        return self.run / "mariadb.sock"

    @property
    def clouds_yaml(self) -> Path:
        """As a user of both clouds has it (0600)."""
        return self.root / "clouds.yaml"

    @property
    def admin_clouds_yaml(self) -> Path:
        """The same two clouds, for their administrator (0600)."""
        return self.root / "admin-clouds.yaml"

    @cached_property
    def ports(self) -> Ports:
        """Free ones, chosen once for the folder."""
        path = self.root / "ports.json"
        if not path.exists():
            names = [field.name for field in fields(Ports)]
            chosen = dict(zip(names, _free_ports(len(names)), strict=True))
            private_file.write(path, json.dumps(chosen))
        return Ports(**json.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def passwords(self) -> Passwords:
        """Of everybody in the databases."""
        path = self.state / "passwords.json"
        if not path.exists():
            made = Passwords(*(secrets.token_hex(16) for _ in fields(Passwords)))
            private_file.write(path, json.dumps(asdict(made)))
        return Passwords(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def database_network(self) -> str:
        """The id of the network that instances of the database service get, once it is seeded."""
        path = self.state / "database-network"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def keep_database_network(self, identifier: str) -> None:
        """Remember it beside the databases."""
        private_file.write(self.state / "database-network", identifier)

    def program(self, name: str) -> str:
        """A program of the environment."""
        return str(self.environment / "bin" / name)

    def url(self, port: int, path: str = "") -> str:
        """What answers on one of the ports."""
        return f"http://{HOST}:{port}{path}"

    @property
    def auth_url(self) -> str:
        """Keystone of the cloud with the machines."""
        return self.url(self.ports.keystone, "/v3")

    @property
    def database_auth_url(self) -> str:
        """Keystone of the cloud with the databases."""
        return self.url(self.ports.keystone_database, "/v3")


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found
