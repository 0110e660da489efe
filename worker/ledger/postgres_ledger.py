"""The ledger in PostgreSQL. Its statements are in `sql/`, one file each."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from worker.errors import ServiceUnavailable
from worker.ledger.ledger import LogFilter, Result
from worker.settings import DatabaseSettings, Settings
from worker.uploads.upload import Upload

SQL_FOLDER = Path(__file__).parent / "sql"
LOG_BATCH = 1000  # rows of the log that are held in memory at a time

Connection = psycopg.Connection[dict[str, Any]]


@cache
def statement(name: str) -> bytes:
    """Return the text of `sql/NAME.sql`."""
    return (SQL_FOLDER / f"{name}.sql").read_bytes()


def reason_of(error: psycopg.Error) -> str:
    """Return the error's message in one line."""
    return " ".join(str(error).split())


def connect(settings: DatabaseSettings, user: str, password: str) -> Connection:
    """Open a session that detects a dead peer and cancels statements after 30 seconds.

    Args:
        settings: Where the database is and how TLS is used.
        user: The database role.
        password: The role's password.

    Returns:
        A session in autocommit mode whose rows are dictionaries.

    Raises:
        ServiceUnavailable: The server cannot be reached or refused the login.
    """
    certificates = {
        name: value
        for name in ("sslrootcert", "sslcert", "sslkey")
        if (value := getattr(settings, name))
    }
    try:
        return psycopg.connect(
            host=settings.host,
            port=settings.port,
            dbname=settings.name,
            user=user,
            password=password,
            sslmode=settings.sslmode,
            autocommit=True,
            row_factory=dict_row,
            application_name="pipeline-worker",
            connect_timeout=10,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=30_000,  # milliseconds
            options="-c statement_timeout=30s "
            # On the server too: the session of a dead worker ends within a minute, not two hours.
            "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
            **certificates,
        )
    except psycopg.Error as error:
        raise ServiceUnavailable(
            f"The connection to the database {settings.name!r} at {settings.host}:{settings.port} "
            f"as user {user!r} failed: {reason_of(error)}."
        ) from error


def connect_worker(settings: Settings) -> Connection:
    """Open a session as the worker's role; the credential `database-password` is read."""
    password = settings.credential("database-password")
    return connect(settings.database, settings.database.user, password)


@contextmanager
def open_ledger(settings: Settings) -> Iterator["PostgresLedger"]:
    """Open the pipeline's ledger as the worker's role, until the context ends."""
    with connect_worker(settings) as connection:
        yield PostgresLedger(connection, settings.pipeline, settings.machine)


class PostgresLedger:
    """Implements `Ledger`. The session is shared by all threads; psycopg locks it."""

    def __init__(self, connection: Connection, pipeline: str, machine: str) -> None:
        self._connection = connection
        self._names = {"pipeline": pipeline, "worker": machine}

    def unfinished_attempts(self, bucket: str) -> dict[Upload, int]:
        """See `Ledger.unfinished_attempts`."""
        rows = self._run("unfinished_attempts", bucket=bucket)
        crashes = [row.pop("crashes") for row in rows]
        return {Upload(bucket, **row): n for row, n in zip(rows, crashes, strict=True)}

    def start_attempts(self, uploads: Sequence[Upload], *, alone: bool) -> None:
        """See `Ledger.start_attempts`."""
        if uploads:
            self._run("start_attempts", uploads=_uploads_json(uploads), alone=alone)

    def clear_attempts(self, uploads: Sequence[Upload]) -> None:
        """See `Ledger.clear_attempts`."""
        if uploads:
            self._run("clear_attempts", uploads=_uploads_json(uploads))

    def uncount_crash(self, upload: Upload) -> None:
        """See `Ledger.uncount_crash`."""
        self._run("uncount_crash", **_identity(upload))

    def record(self, results: Sequence[Result]) -> None:
        """See `Ledger.record`."""
        # ON CONFLICT cannot update a row twice in one statement: the last result of an upload wins.
        rows = [
            {k: _storable(v) for k, v in asdict(result).items() if k != "upload"}
            | _plain(upload)
            | self._names
            for upload, result in {result.upload: result for result in results}.items()
        ]
        if rows:
            self._run("record_results", rows=json.dumps(rows))

    def heartbeat(self, problem: str | None) -> None:
        """See `Ledger.heartbeat`."""
        self._run("heartbeat", obstacle=problem)

    def log(self, log_filter: LogFilter) -> Iterator[dict[str, Any]]:
        """See `Ledger.log`. Memory stays constant: the rows come through a server-side cursor."""
        values = {k: _storable(v) for k, v in asdict(log_filter).items()} | self._names
        with (
            _translated_errors("log"),
            self._connection.transaction(),
            self._connection.cursor(name="log") as cursor,
        ):
            cursor.itersize = LOG_BATCH
            cursor.execute(statement("log"), values)
            yield from cursor

    def machines(self) -> list[dict[str, Any]]:
        """See `Ledger.machines`."""
        return self._run("machines")

    def totals(self) -> dict[str, Any]:
        """See `Ledger.totals`."""
        return self._run("totals")[0]

    def _run(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        values = self._names | {k: _storable(v) for k, v in parameters.items()}
        with _translated_errors(name):
            cursor = self._connection.execute(statement(name), values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def _translated_errors(name: str) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise ServiceUnavailable(
            "The database has no pipeline tables yet: run `python -m worker migrate`."
        ) from error
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The database failed at {name!r}: {reason_of(error)}.") from error


def _identity(upload: Upload) -> dict[str, Any]:
    return {name: _storable(value) for name, value in asdict(upload).items() if name != "size"}


def _storable(value: Any) -> Any:
    """Replace what PostgreSQL's text cannot hold: NUL and lone surrogates."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()


def _plain(upload: Upload) -> dict[str, Any]:
    return _identity(upload) | {"last_modified": upload.last_modified.isoformat()}


def _uploads_json(uploads: Sequence[Upload]) -> str:
    return json.dumps([_plain(upload) for upload in uploads])
