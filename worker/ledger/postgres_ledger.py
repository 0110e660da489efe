"""The ledger in PostgreSQL. Its SQL is in `sql/`, a file a statement."""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from worker.errors import ServiceUnavailable
from worker.settings import DatabaseSettings
from worker.uploads.upload import Upload

_FOLDER = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Result:
    """How an upload ended: one row of `results`."""

    upload: Upload
    input_sha256: str
    input_bytes: int
    outcome: str  # done, quarantined
    seconds: float
    output_key: str | None = None
    output_sha256: str | None = None
    output_bytes: int | None = None
    reason: str | None = None


@cache
def _statement(name: str) -> str:
    return (_FOLDER / f"{name}.sql").read_text()


def connect(
    settings: DatabaseSettings, user: str, password: str
) -> psycopg.Connection[dict[str, Any]]:
    """A session that notices a dead peer and gives up on a statement after half a minute."""
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
            # The server's side: a dead worker's session goes within a minute, not two hours.
            "-c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
            **certificates,
        )
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise ServiceUnavailable(
            f"The database {settings.name!r} at {settings.host}:{settings.port} does not let "
            f"{user!r} in: {reason}."
        ) from error


class Ledger:
    """What the worker reads and writes there; safe to call from several threads."""

    def __init__(
        self,
        connection: psycopg.Connection[dict[str, Any]],
        pipeline: str,
        worker: str,
    ) -> None:
        self._connection = connection
        self._names = {"pipeline": pipeline, "worker": worker}

    def suspects(self, bucket: str) -> dict[Upload, int]:
        """Uploads whose last attempt did not end, with the crashes counted against each."""
        rows = self._run("suspects", bucket=bucket)
        counts = [row.pop("crashes") for row in rows]
        return {Upload(bucket, **row): n for row, n in zip(rows, counts, strict=True)}

    def begin(self, uploads: list[Upload], alone: bool) -> None:
        """Count an attempt at each, before it starts."""
        if uploads:
            self._run("begin", uploads=_batch(uploads), alone=alone)

    def forget(self, uploads: list[Upload]) -> None:
        """End attempts that say nothing against the files."""
        if uploads:
            self._run("forget", uploads=_batch(uploads))

    def uncount(self, upload: Upload) -> None:
        """Take back the crash that an attempt alone was counted as."""
        self._run("uncount", **_identity(upload))

    def record(self, results: list[Result]) -> None:
        """Write a batch of results: the last one counts where an upload is in it twice."""
        rows = [
            {k: _storable(v) for k, v in asdict(result).items() if k != "upload"}
            | _plain(upload)
            | self._names
            for upload, result in {result.upload: result for result in results}.items()
        ]
        if rows:
            self._run("record", rows=json.dumps(rows))

    def heartbeat(self, machine: str, obstacle: str | None) -> None:
        """Say when this machine ended a pass, and what stood in its way."""
        self._run("heartbeat", machine=machine, obstacle=obstacle)

    def log(self, like: str | None) -> list[dict[str, Any]]:
        """Results whose input or output key contains the text."""
        return self._run("log", like=like)

    def machines(self) -> list[dict[str, Any]]:
        """Heartbeats."""
        return self._run("machines")

    def totals(self) -> dict[str, Any]:
        """Counts, rate and last error."""
        return self._run("totals")[0]

    def _run(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        try:
            values = self._names | {name: _storable(value) for name, value in parameters.items()}
            cursor = self._connection.execute(_statement(name).encode(), values)
            return cursor.fetchall() if cursor.description else []
        except psycopg.errors.UndefinedTable as error:
            raise ServiceUnavailable(
                "The database has no tables of ours yet: run `python -m worker migrate`."
            ) from error
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise ServiceUnavailable(f"The database failed at {name!r}: {reason}.") from error


def _identity(upload: Upload) -> dict[str, Any]:
    return {name: _storable(value) for name, value in asdict(upload).items() if name != "size"}


def _storable(value: Any) -> Any:
    """Text as PostgreSQL takes it: without zeros and halves of characters."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()


def _plain(upload: Upload) -> dict[str, Any]:
    return _identity(upload) | {"last_modified": upload.last_modified.isoformat()}


def _batch(uploads: list[Upload]) -> str:
    return json.dumps([_plain(upload) for upload in uploads])


def migrate(connection: psycopg.Connection[dict[str, Any]], worker: str) -> list[str]:
    """Bring the schema up to date as its owner; return the names of what was applied."""
    applied = []
    try:
        connection.execute("SET statement_timeout = 0")
        connection.execute(_statement("lock").encode())
        connection.execute(_statement("prepare").encode())
        there = {row["version"] for row in connection.execute(_statement("applied").encode())}
        for path in sorted((_FOLDER / "migrations").glob("*.sql")):
            version = int(path.name.partition("_")[0])
            if version not in there:
                with connection.transaction():
                    connection.execute(path.read_bytes())
                    connection.execute(
                        _statement("apply").encode(), {"version": version, "name": path.stem}
                    )
                applied.append(path.stem)
        connection.execute(sql.SQL(_statement("grant")).format(worker=sql.Identifier(worker)))
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        raise ServiceUnavailable(f"The schema cannot be brought up to date: {reason}.") from error
    return applied
