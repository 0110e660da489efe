"""The S3 server and PostgreSQL of the local cloud: they survive kills and leave no trace."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest
from botocore.exceptions import ClientError

from local import object_store, postgres, processes
from local.object_store import ObjectStore, Server
from local.postgres import PostgreSQL
from tests.running import is_alive

START = "import sys; from pathlib import Path; from local import postgres as server; "
START += "server.start(Path(sys.argv[1]))"


SEGMENTS = "/proc/sysvipc/shm"


def segments() -> set[str]:
    """Return the ids of the kernel's System V shared memory segments."""
    rows = Path(SEGMENTS).read_text("utf-8").splitlines()[1:]
    return {row.split()[1] for row in rows}


def s3(store: ObjectStore) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name="us-east-1",
    )


def marked(token: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(processes.VARIABLE) == token:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if is_alive(process)]


@pytest.mark.parametrize(("server", "versions"), [("moto", True), ("rclone", False)])
def test_store_keeps_objects_and_is_gone_after_stop(
    tmp_path: Path, server: Server, versions: bool
) -> None:
    folder = tmp_path / "store"
    store = object_store.start(folder, server)
    token = processes.marker(folder)
    assert object_store.start(folder, server) == store
    client = s3(store)
    client.create_bucket(Bucket="photos")
    client.put_object(Bucket="photos", Key="a b+ä/c.txt", Body=b"x")
    assert client.get_object(Bucket="photos", Key="a b+ä/c.txt")["Body"].read() == b"x"
    asked = {"Bucket": "photos", "VersioningConfiguration": {"Status": "Enabled"}}
    if versions:
        client.put_bucket_versioning(**asked)
        assert client.put_object(Bucket="photos", Key="k", Body=b"x")["VersionId"]
    else:
        with pytest.raises(ClientError):
            client.put_bucket_versioning(**asked)
    assert len(marked(token)) == 1
    object_store.stop(folder)
    assert not marked(token)
    assert not folder.exists()


def test_killed_store_restarts_with_its_address_and_keys(tmp_path: Path) -> None:
    store = object_store.start(tmp_path / "store")
    processes.kill(tmp_path / "store", object_store.NAME)
    assert object_store.start(tmp_path / "store") == store
    object_store.stop(tmp_path / "store")


def test_rclone_refuses_a_wrong_key_and_hides_the_right_one(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = object_store.start(folder, "rclone")
    pid = int((folder / f"{object_store.NAME}.pid").read_text("utf-8"))
    shown = " ".join(psutil.Process(pid).cmdline())
    with pytest.raises(ClientError):
        s3(ObjectStore(store.endpoint, store.access_key, "wrong")).list_buckets()
    assert s3(store).list_buckets()["Buckets"] == []
    object_store.stop(folder)
    assert store.secret_key not in shown


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, PostgreSQL]]:
    folder = tmp_path_factory.mktemp("postgres") / "server"
    yield folder, postgres.start(folder)
    postgres.stop(folder)


def test_users_and_databases_are_as_trove_creates_them(server: tuple[Path, PostgreSQL]) -> None:
    _, pg = server
    postgres.create_database(pg, "pipeline_db")
    postgres.create_user(pg, "db_admin", "one'two", ["pipeline_db"])
    postgres.create_user(pg, 'odd"name', "three")
    with psycopg.connect(pg.dsn("pipeline_db", "db_admin", "one'two")) as connection:
        connection.execute("CREATE SCHEMA made_by_admin")
        row = connection.execute(
            "SELECT pg_get_userbyid(datdba), datcollate FROM pg_database WHERE datname = %s",
            ["pipeline_db"],
        ).fetchone()
    assert row is not None
    assert row[0] == "postgres"
    with (
        psycopg.connect(pg.dsn("pipeline_db", 'odd"name', "three")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE SCHEMA not_granted")
    postgres.change_password(pg, "db_admin", "new")
    for password, right in (("one'two", False), ("new", True)):
        try:
            psycopg.connect(pg.dsn("pipeline_db", "db_admin", password)).close()
        except psycopg.OperationalError:
            assert not right
        else:
            assert right


def test_server_finds_its_libraries_and_time_zones(server: tuple[Path, PostgreSQL]) -> None:
    with psycopg.connect(server[1].dsn()) as connection:
        connection.execute("SET timezone = 'Europe/Helsinki'")
        connection.execute("CREATE EXTENSION pg_trgm")
        row = connection.execute(
            "SELECT to_char('2026-07-01T00:00Z'::timestamptz, 'HH24'), similarity('cat', 'cat1')"
        ).fetchone()
    assert row is not None
    assert row[0] == "03"
    assert row[1] > 0


def test_killed_server_restarts_with_data_port_and_password(
    server: tuple[Path, PostgreSQL],
) -> None:
    folder, pg = server
    postgres.create_database(pg, "kept")
    processes.end(folder, first=signal.SIGKILL)
    assert not postgres.is_running(folder)
    assert postgres.start(folder) == pg
    psycopg.connect(pg.dsn("kept")).close()


def test_server_listens_on_loopback_only_and_its_secrets_are_private(
    server: tuple[Path, PostgreSQL],
) -> None:
    folder, pg = server
    process = psutil.Process(int((folder / "postgres.pid").read_text("utf-8")))
    listening = [at for at in process.net_connections() if at.status == psutil.CONN_LISTEN]
    assert [(at.laddr.ip, at.laddr.port) for at in listening] == [("127.0.0.1", pg.port)]
    assert (folder / "password").stat().st_mode & 0o777 == 0o600
    assert pg.password not in " ".join(process.cmdline())
    assert os.geteuid() != 0 or process.uids().real != 0


@pytest.mark.skipif(not Path(SEGMENTS).exists(), reason="no /proc/sysvipc/shm")
def test_stop_of_a_killed_server_leaves_no_shared_memory(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    postgres.start(folder)
    noted = folder / "home"  # as root it lives elsewhere
    data = Path(noted.read_text("utf-8")) / "data" if noted.exists() else folder / "data"
    segment = (data / "postmaster.pid").read_text("utf-8").splitlines()[6].split()[1]
    processes.end(folder, first=signal.SIGKILL)
    assert segment in segments()
    postgres.stop(folder)
    assert segment not in segments()


def test_servers_have_passwords_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the second one, which is copied from the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first, second = (tmp_path / name for name in ("first", "second"))
    try:
        servers = [postgres.start(first), postgres.start(second)]
        for one, other in (servers, servers[::-1]):
            psycopg.connect(one.dsn()).close()
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(one.dsn(password=other.password))
    finally:
        postgres.stop(first)
        postgres.stop(second)


def test_server_starts_without_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    try:
        psycopg.connect(postgres.start(tmp_path / "server").dsn()).close()
    finally:
        postgres.stop(tmp_path / "server")


def test_server_starts_with_a_damaged_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("first", "second", "third"):
        try:
            psycopg.connect(postgres.start(tmp_path / name).dsn()).close()
        finally:
            postgres.stop(tmp_path / name)
        (control,) = (tmp_path / "cache").rglob("pg_control")
        assert control.stat().st_size  # a damaged one was replaced
        if name == "first":
            control.write_bytes(b"")


@pytest.mark.parametrize("cache", ["of the user", "empty"])
@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.45, 0.6])
def test_stop_leaves_nothing_of_a_killed_start(tmp_path: Path, seconds: float, cache: str) -> None:
    folder = tmp_path / "server"
    command = [sys.executable, "-c", START, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(processes.CHECKOUT)}
    if cache == "empty":
        environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    with subprocess.Popen(command, env=environment) as starter:
        time.sleep(seconds)  # a point within copy, initdb, password or start
        starter.kill()
    token = processes.marker(folder) if folder.exists() else None
    home = (folder / "home").read_text("utf-8") if (folder / "home").exists() else None
    postgres.stop(folder)
    assert token is None or not marked(token)
    assert home is None or not Path(home).exists()
    assert not folder.exists()


def test_killed_start_can_be_repeated(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    command = [sys.executable, "-c", START, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(processes.CHECKOUT)}
    with subprocess.Popen(command, env=environment) as starter:
        deadline = time.monotonic() + 20
        while not (folder / "password").exists() and time.monotonic() < deadline:
            time.sleep(0.005)  # the cluster is about to be made
        starter.kill()
    try:
        psycopg.connect(postgres.start(folder).dsn()).close()
    finally:
        postgres.stop(folder)
