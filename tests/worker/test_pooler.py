"""PgBouncer between worker and PostgreSQL is refused by name: the worker needs whole sessions."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.ports import listens
from tests.ports import reserved_port
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

_START_SECONDS = 60
#: Settings of PgBouncer that users of other programs have.
POOLERS = {
    "unknown parameters are refused": "pool_mode = session",
    "session mode": "pool_mode = session\nignore_startup_parameters = extra_float_digits,options",
    "transaction mode": "pool_mode = transaction\n"
    "ignore_startup_parameters = extra_float_digits,options",
    # It sets for each session what the worker asks for.
    "the worker's settings": "pool_mode = transaction\nignore_startup_parameters = options",
}
_QUERY = "SET statement_timeout = '30s'; SET search_path = pipeline, public"


@contextmanager
def pooling(pipeline: Pipeline, settings: str, query: str) -> Iterator[int]:
    """Run PgBouncer in front of a pipeline's database.

    Args:
        pipeline: The pipeline.
        settings: Lines of its section `pgbouncer`.
        query: What it executes when it connects to the database.

    Yields:
        Its port.
    """
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("Debian's pgbouncer is not installed (apt-get install pgbouncer)")
    # It does not run as root.
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="pooler-", dir="/tmp")), reserved_port()
    server = pipeline.server
    (folder / "users").write_text(
        f'"{pipeline.user}" "{pipeline.password}"\n"{pipeline.admin}" "{pipeline.admin_password}"\n'
    )
    connect_query = f" connect_query='{query.replace(chr(39), chr(39) * 2)}'" if query else ""
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.host} port={server.port}{connect_query}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {folder}/users\n{settings}\n"
    )
    if account:
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-q", str(folder / "pgbouncer.ini")],
            stdout=log,
            stderr=log,
            user=account and account.pw_uid,
            group=account and account.pw_gid,
            extra_groups=[] if account else None,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not listens(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", POOLERS)
def test_pgbouncer_is_refused_in_one_sentence(versioned: Pipeline, name: str) -> None:
    query = _QUERY if name == "the worker's settings" else ""
    with pooling(versioned, POOLERS[name], query) as port:
        versioned.configure(database={"port": port})
        for command in ("migrate", "log"):  # as the schema's owner, and as the worker's role
            done = versioned.run(command)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.count("\n") == 1
            assert "PgBouncer" in done.stderr
            assert f"127.0.0.1:{port}" in done.stderr
            assert done.stderr.endswith(
                "set databaseHost and databasePort to those of PostgreSQL itself.\n"
            )


def test_uploads_wait_until_the_settings_name_postgresql(versioned: Pipeline) -> None:
    versioned.put("x.png", encode(picture(), "PNG"))
    with pooling(versioned, POOLERS["transaction mode"], "") as port:
        versioned.configure(database={"port": port})
        assert "PgBouncer" in versioned.drain(status=1).stderr
    assert versioned.rows() == []
    versioned.configure()
    versioned.drain()
    assert [row["key"] for row in versioned.rows()] == ["x.png"]
