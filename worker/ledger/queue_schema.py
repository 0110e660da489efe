"""The tables and functions of procrastinate, made by the library's own SQL files.

The library keeps no record of what was applied to a database, and its schema cannot be applied
twice (procrastinate documentation, "Database migrations").
"""

from importlib.util import find_spec
from pathlib import Path

from worker.errors import ServiceUnavailable
from worker.ledger.connection import Connection
from worker.ledger.postgres_ledger import statement


def migrate_queue(connection: Connection) -> list[str]:
    """Bring procrastinate's objects in the schema `pipeline` up to date.

    Args:
        connection: A session of the schema's owner that holds the lock of migrations.

    Returns:
        The names of the migrations that were applied now, none in a fresh database.
    """
    scripts = _scripts()
    files = sorted((scripts / "migrations").glob("*.sql"))
    present = {row["name"] for row in connection.execute(statement("applied_queue_migrations"))}
    if not present:
        _apply(connection, (scripts / "schema.sql").read_bytes(), [file.stem for file in files])
        return []
    missing = [file for file in files if file.stem not in present]
    for file in missing:
        _apply(connection, file.read_bytes(), [file.stem])
    return [file.stem for file in missing]


def _scripts() -> Path:
    """Return the folder of the library's SQL files.

    Found without an import, which is a fifth of the CPU that the start of a new machine's migration
    takes; procrastinate.schema.SchemaManager reads the same files.

    Raises:
        ServiceUnavailable: The library is not installed.
    """
    spec = find_spec("procrastinate")
    if not spec or not spec.origin:
        raise ServiceUnavailable("The Python package procrastinate is not installed.")
    return Path(spec.origin).parent / "sql"


def _apply(connection: Connection, script: bytes, names: list[str]) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL search_path = pipeline")
        connection.execute(script)
        connection.execute(statement("add_queue_migrations"), {"names": names})
