"""Migrations: the files of `sql/migrations/`, applied in the order of their numbers."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import psycopg
from psycopg import sql

from worker.errors import ServiceUnavailable
from worker.ledger.connection import Connection, connect_admin, reason_of
from worker.ledger.postgres_ledger import SQL_FOLDER, statement
from worker.ledger.queue_schema import migrate_queue
from worker.settings import Settings
from worker.transforms import Description, describe, is_function

_MAX_NAME = 63  # bytes of an identifier (PostgreSQL, "Lexical Structure")
_NUMBER = (
    "CASE WHEN jsonb_typeof(d.data -> {{name}}) = 'number' THEN"
    " CASE WHEN abs((d.data ->> {{name}})::numeric) < {0} THEN (d.data ->> {{name}})::numeric::{1}"
    " END END"
)
#: Type of a column -> its value. A record may hold anything: a value of another type is NULL.
_COLUMNS: Mapping[str, str] = {
    "text": "d.data ->> {name}",
    "jsonb": "d.data -> {name}",
    "boolean": "CASE jsonb_typeof(d.data -> {name}) WHEN 'boolean'"
    " THEN (d.data ->> {name})::boolean END",
    "integer": _NUMBER.format("2e9", "integer"),
    "bigint": _NUMBER.format("9e18", "bigint"),
    "double precision": _NUMBER.format("1e308", "double precision"),
}


def migrate_stack(settings: Settings) -> list[str]:
    """Bring the database of a stack up to date.

    Args:
        settings: The stack's, of this machine, with the credential `database-admin-password`.

    Returns:
        The names of the migrations that were applied now.
    """
    transforms = sorted({one.transform for one in settings.pipelines.values()})
    with connect_admin(settings) as connection:
        applied = migrate(connection, settings.database.user, map(describe, transforms))
        _begin_gathering(connection, settings)
    return applied


def migrate(
    connection: Connection, worker_role: str, transforms: Iterable[Description]
) -> list[str]:
    """Bring the schema up to date; several machines may do so at once.

    Args:
        connection: A session of the role that owns the schema.
        worker_role: The role that the worker uses; it is granted its rights again.
        transforms: The transforms whose records get a view.

    Returns:
        The names of the migrations that were applied now.

    Raises:
        ServiceUnavailable: A statement failed; migrations before it stay applied.
    """
    applied = []
    try:
        connection.execute("SET statement_timeout = 0")
        connection.execute(statement("lock_migrations"))
        connection.execute(statement("create_schema"))
        present = {row["version"] for row in connection.execute(statement("applied_migrations"))}
        queue_migrations = migrate_queue(connection)  # 007 refers to its tables
        for path in sorted((SQL_FOLDER / "migrations").glob("*.sql")):
            version = int(path.name.partition("_")[0])
            if version not in present:
                with connection.transaction():
                    connection.execute(path.read_bytes())
                    connection.execute(
                        statement("add_migration"), {"version": version, "name": path.stem}
                    )
                applied.append(path.stem)
        applied += queue_migrations
        worker = sql.Identifier(worker_role)
        database = sql.Identifier(connection.info.dbname)
        grant = sql.SQL(statement("grant_rights").decode())
        connection.execute(grant.format(worker=worker, database=database))
        views: dict[str, list[Description]] = {}
        for transform in transforms:
            views.setdefault(records_view(transform.name), []).append(transform)
        for name, described in views.items():
            _create_view(connection, name, described, worker)
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The migration failed: {reason_of(error)}.") from error
    return applied


def _begin_gathering(connection: Connection, settings: Settings) -> None:
    """Note that runs that end from now on are gathered: other pipelines may be faster to begin."""
    place = {"stack": settings.stack, "machine": settings.machine}
    try:
        for name in (one.name for one in settings.pipelines.values() if one.gather):
            connection.execute(statement("begin_gathering"), place | {"pipeline": name})
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The migration failed: {reason_of(error)}.") from error


def _create_view(
    connection: Connection, name: str, described: Sequence[Description], worker: sql.Identifier
) -> None:
    """Create a view of records, or replace the one of an earlier worker."""
    view = sql.Identifier("pipeline", name)
    columns = {column: kind for one in described for column, kind in one.columns.items()}
    create = sql.SQL(statement("create_records_view").decode()).format(
        view=view,
        columns=sql.SQL("").join(_column(*each) for each in columns.items()),
        transforms=sql.Literal([one.name for one in described]),
        worker=worker,
    )
    try:
        with connection.transaction():
            connection.execute(create)
    except psycopg.errors.InvalidTableDefinition:  # other columns than before
        with connection.transaction():
            connection.execute(sql.SQL("DROP VIEW {}").format(view))
            connection.execute(create)


def _column(name: str, kind: str) -> sql.Composed:
    value = sql.SQL(_COLUMNS[kind]).format(name=sql.Literal(name))
    return sql.SQL("{} AS {},\n    ").format(value, sql.Identifier(name))


def records_view(transform: str) -> str:
    """Return the name of the view of a transform's records: its name; a function's has a prefix.

    PostgreSQL cuts names, so those of two functions could become one: a name that is too long ends
    with digits of its hash.
    """
    name = re.sub(r"[^a-z0-9]+", "_", transform.lower()).strip("_")
    name = f"records_{name}" if is_function(transform) else name
    if len(name) <= _MAX_NAME:
        return name
    digits = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_NAME - len(digits) - 1]}_{digits}"
