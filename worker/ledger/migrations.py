"""Migrations: the files of `sql/migrations/`, applied in the order of their numbers."""

import re
from collections.abc import Collection

import psycopg
from psycopg import sql

from worker.errors import ServiceUnavailable
from worker.ledger.connection import Connection, reason_of
from worker.ledger.postgres_ledger import SQL_FOLDER, statement


def migrate(connection: Connection, worker_role: str, transforms: Collection[str]) -> list[str]:
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
        for path in sorted((SQL_FOLDER / "migrations").glob("*.sql")):
            version = int(path.name.partition("_")[0])
            if version not in present:
                with connection.transaction():
                    connection.execute(path.read_bytes())
                    connection.execute(
                        statement("add_migration"), {"version": version, "name": path.stem}
                    )
                applied.append(path.stem)
        worker = sql.Identifier(worker_role)
        database = sql.Identifier(connection.info.dbname)
        grant = sql.SQL(statement("grant_rights").decode())
        connection.execute(grant.format(worker=worker, database=database))
        for transform in transforms:
            view = sql.Identifier("pipeline", records_view(transform))
            create = sql.SQL(statement("create_records_view").decode())
            names = {"view": view, "transform": sql.Literal(transform), "worker": worker}
            connection.execute(create.format(**names))
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The migration failed: {reason_of(error)}.") from error
    return applied


def records_view(transform: str) -> str:
    """Return the name of the view of a transform's records."""
    return "records_" + re.sub(r"[^a-z0-9]+", "_", transform.lower()).strip("_")
