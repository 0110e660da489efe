"""A real PostgreSQL on loopback, with users and databases made as Trove makes them."""

import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from local import files, postgres_home, processes
from local.errors import LocalCloudError
from local.postgres_home import Home

NAME = "postgres"
SUPERUSER = "postgres"
HOST = "127.0.0.1"
FAST_SHUTDOWN = signal.SIGINT
"""Sessions are cut off, what was committed is kept."""
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # What a power cut would cost is worth nothing here; the time saved is.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so a kill leaves nothing behind
}
_STATEMENTS = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class PostgreSQL:
    """A running server and its superuser's password."""

    host: str
    port: int
    password: str

    def dsn(
        self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None
    ) -> str:
        """What psycopg.connect takes; of the superuser unless told otherwise."""
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=self.password if password is None else password,
            connect_timeout=10,
        )


def start(folder: Path) -> PostgreSQL:
    """The server that `folder` holds, made and started when it does not run."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not processes.running(folder, NAME) or not _ready(postgres_home.prepare(folder)):
        processes.end(folder, first=FAST_SHUTDOWN)
        _serve(folder, _with_data(folder))
    return PostgreSQL(HOST, int(_read(folder / "port")), _read(folder / "password"))


def running(folder: Path) -> bool:
    """Whether the server of `folder` is up."""
    return processes.running(folder.absolute(), NAME)


def stop(folder: Path) -> None:
    """End the server and remove its data and folder; fine when there is none."""
    folder = folder.absolute()
    processes.end(folder, first=FAST_SHUTDOWN)
    postgres_home.remove(folder)
    shutil.rmtree(folder, ignore_errors=True)


def create_database(server: PostgreSQL, name: str) -> None:
    """A database of the superuser's, as Trove makes it."""
    _execute(server, "create_database", database=sql.Identifier(name))


def create_user(
    server: PostgreSQL, name: str, password: str, databases: Iterable[str] = ()
) -> None:
    """A user with ALL on the listed databases (not on the schemas inside), as Trove makes it."""
    _execute(server, "create_user", user=sql.Identifier(name), password=sql.Literal(password))
    for database in databases:
        grant(server, name, database)


def grant(server: PostgreSQL, user: str, database: str) -> None:
    """ALL on the database to the user."""
    _execute(server, "grant", user=sql.Identifier(user), database=sql.Identifier(database))


def revoke(server: PostgreSQL, user: str, database: str) -> None:
    """Take back what `grant` gave."""
    _execute(server, "revoke", user=sql.Identifier(user), database=sql.Identifier(database))


def change_password(server: PostgreSQL, user: str, password: str) -> None:
    """A new password for an existing user."""
    _execute(server, "change_password", user=sql.Identifier(user), password=sql.Literal(password))


def change_superuser_password(folder: Path, password: str) -> None:
    """A new password for `postgres`, remembered for the server's later starts."""
    change_password(start(folder), SUPERUSER, password)
    files.write(folder / "password", password)


def drop_user(server: PostgreSQL, name: str) -> None:
    """Remove a user who owns nothing."""
    _execute(server, "drop_user", user=sql.Identifier(name))


def drop_database(server: PostgreSQL, name: str) -> None:
    """Remove a database with all in it."""
    _execute(server, "drop_database", database=sql.Identifier(name))


def _execute(server: PostgreSQL, statement: str, **names: sql.Composable) -> None:
    text = (_STATEMENTS / f"{statement}.sql").read_bytes()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL(text.decode()).format(**names))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _with_data(folder: Path) -> Home:
    """The home with a complete data folder; what a killed initdb left is made again."""
    home = postgres_home.prepare(folder)
    complete = folder / "initialized"
    if complete.exists():
        return home
    shutil.rmtree(home.data, ignore_errors=True)
    home.data.mkdir(mode=0o700)
    home.give(home.data)
    password, handed = secrets.token_hex(16), home.data.parent / "password-for-initdb"
    files.write(folder / "password", password)
    files.write(handed, password)
    home.give(handed)
    argv = [
        *(str(home.programs / "initdb"), "--pgdata", str(home.data), "--pwfile", str(handed)),
        *("--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"),
        *("--locale", "C.UTF-8", "--locale-provider", "builtin"),
        *("--no-sync", "--no-instructions"),
    ]
    done = subprocess.run(
        argv,
        check=False,
        capture_output=True,
        text=True,
        cwd=home.data,
        env=processes.environment(folder, {"TZ": "UTC"}),  # else initdb compares all of them
        user=home.user,
        group=home.group,
        extra_groups=None if home.user is None else [],
        start_new_session=True,
    )
    handed.unlink()
    if done.returncode:
        raise LocalCloudError(f"PostgreSQL's initdb failed in {folder}: {done.stderr.strip()}")
    files.write(complete, "")
    return home


def _serve(folder: Path, home: Home) -> None:
    """Start the server on its former port or a free one; another may take it first, so retry."""
    (home.data / "postmaster.pid").unlink(missing_ok=True)
    former = folder / "port"
    ports = [int(_read(former))] if former.exists() else []
    for port in [*ports, *(_free_port() for _ in range(10))]:
        settings = [f"{name}={value}" for name, value in {**SETTINGS, "port": port}.items()]
        argv = [str(home.programs / "postgres"), "-D", str(home.data)]
        argv += [part for setting in settings for part in ("-c", setting)]
        processes.start(folder, NAME, argv, cwd=home.data, user=home.user, group=home.group)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and processes.running(folder, NAME):
            if _ready(home):
                files.write(folder / "port", str(port))
                return
            time.sleep(0.02)
        processes.end(folder, first=FAST_SHUTDOWN)
    raise LocalCloudError(f"PostgreSQL in {folder} did not start: see {folder / (NAME + '.log')}.")


def _ready(home: Home) -> bool:
    """The postmaster writes its state into the last line of its own file."""
    try:
        lines = _read(home.data / "postmaster.pid").split()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[-1] == "ready"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
