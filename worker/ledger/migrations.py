"""Migrations: the files of `sql/migrations/`, applied in the order of their numbers."""

import psycopg
from psycopg import sql

from worker.errors import ServiceUnavailable
from worker.ledger.postgres_ledger import SQL_FOLDER, Connection, reason_of, statement


def migrate(connection: Connection, worker_role: str) -> list[str]:
    """Bring the schema up to date; several machines may do so at once.

    Args:
        connection: A session of the role that owns the schema.
        worker_role: The role that the worker uses; it is granted its rights again.

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
        grants = sql.SQL(statement("grant_rights").decode())
        connection.execute(grants.format(worker=sql.Identifier(worker_role)))
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The migration failed: {reason_of(error)}.") from error
    return applied
