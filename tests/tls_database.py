"""Debian's PostgreSQL, which has TLS as the embedded one has not.

All users but the superuser must come with TLS and a client certificate whose common name is theirs
(`clientcert=verify-full`), and with their password.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from local.postgres import HOST, PostgreSQL
from tests.ports import reserved_port

BOTH = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full"
ONLY_CERTIFICATE = "hostssl all all 127.0.0.1/32 cert"
_SUPERUSER = "host all postgres 127.0.0.1/32 scram-sha-256"
_START_SECONDS = 60
_STOP_SECONDS = 30


@dataclass(frozen=True)
class TlsDatabase:
    """A server and the folder with its files."""

    server: PostgreSQL
    folder: Path

    def sql(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the superuser; return the rows of the last one."""
        with psycopg.connect(self.server.dsn(database), autocommit=True) as session:
            for statement in statements:
                cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def show(self, certificate: str) -> None:
        """Use another certificate and key (PEM, together)."""
        _write(self.folder / "data" / "server.pem", certificate)
        self.sql("SELECT pg_reload_conf()")

    def trust(self, authorities: str) -> None:
        """Accept client certificates of these authorities and no others."""
        _write(self.folder / "data" / "clients.crt", authorities)
        self.sql("SELECT pg_reload_conf()")

    def demand(self, line: str) -> None:
        """Let users in as a line of pg_hba.conf says."""
        _write(self.folder / "data" / "pg_hba.conf", f"{_SUPERUSER}\n{line}\n")
        self.sql("SELECT pg_reload_conf()")


@contextmanager
def serving(certificate: str, client_authorities: str) -> Iterator[TlsDatabase]:
    """Run a server; skip the test where Debian's package is not installed.

    Args:
        certificate: Its certificate and key (PEM, together).
        client_authorities: What client certificates must be signed by.

    Yields:
        The server.
    """
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not installed:
        pytest.skip("Debian's postgresql is not installed (apt-get install postgresql)")
    account = _account()
    programs, user = installed[-1].parent, account[0] if account else None
    folder = Path(tempfile.mkdtemp(prefix="tls-database-", dir="/tmp"))
    process: subprocess.Popen[bytes] | None = None
    try:
        _own(folder)
        password = secrets.token_hex(16)
        _write(folder / "password", password)
        paths = ("--pgdata", folder / "data", "--pwfile", folder / "password")
        options = ("--username", "postgres", "--auth", "scram-sha-256", "--no-sync")
        subprocess.run(
            [programs / "initdb", *paths, *options],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
            env={"LC_ALL": "C.UTF-8", "TZ": "UTC"},
        )
        _write(folder / "data" / "server.pem", certificate)
        _write(folder / "data" / "clients.crt", client_authorities)
        _write(folder / "data" / "pg_hba.conf", f"{_SUPERUSER}\n{BOTH}\n")
        port = reserved_port()
        settings = {
            "listen_addresses": HOST,
            "port": port,
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": "server.pem",
            "ssl_key_file": "server.pem",
            "ssl_ca_file": "clients.crt",
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data", *flags],
                stdout=log,
                stderr=log,
                user=user,
                cwd=folder,
            )
        made = TlsDatabase(PostgreSQL(HOST, port, password), folder)
        _await(made, process)
        yield made
    finally:
        if process:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            finally:
                process.kill()
        shutil.rmtree(folder)


def _await(made: TlsDatabase, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            made.sql("SELECT 1")
        except psycopg.OperationalError:
            log = (made.folder / "log").read_text(errors="replace")
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.05)
        else:
            return


def _write(path: Path, text: str) -> None:
    """Write a file that only the server reads."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text)
    _own(part)
    part.replace(path)


def _account() -> tuple[int, int] | None:
    """Return user and group of the server: PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("postgres")  # the package makes it
    return account.pw_uid, account.pw_gid


def _own(path: Path) -> None:
    if account := _account():
        os.chown(path, *account)
