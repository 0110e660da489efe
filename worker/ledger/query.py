"""Read-only queries that an operator types (`python -m worker sql`)."""

from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from worker.errors import InvalidInput, ServiceUnavailable
from worker.ledger.connection import Connection, reason_of

TIMEOUT_SECONDS = 60
_BATCH = 1000  # rows that are held in memory at a time
_REMEDY = "write one SELECT, WITH, VALUES or TABLE query"


def query(connection: Connection, text: str) -> Iterator[tuple[Any, ...]]:
    """Run one query in a read-only transaction with a time limit.

    The query becomes a server-side cursor: PostgreSQL accepts nothing there that modifies data, and
    the extended protocol accepts a single statement.

    Args:
        connection: A session of the worker's role.
        text: The query; unqualified names are looked up in the schemas `pipeline` and `public`.

    Yields:
        The column names first, then the rows. Memory stays constant.

    Raises:
        InvalidInput: PostgreSQL refused the query.
        ServiceUnavailable: The connection was lost.
    """
    try:
        yield from _rows(connection, text)
    except UnicodeEncodeError:
        raise InvalidInput(f"The query was refused (it is not UTF-8): {_REMEDY}.") from None
    except psycopg.errors.QueryCanceled as error:
        raise InvalidInput(
            f"The query took longer than {TIMEOUT_SECONDS} seconds: narrow it down."
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise ServiceUnavailable(f"The database failed: {reason_of(error)}.") from error
    except psycopg.Error as error:
        refusal = error.diag.message_primary or reason_of(error)
        raise InvalidInput(f"The query was refused ({refusal}): {_REMEDY}.") from error


def _rows(connection: Connection, text: str) -> Iterator[tuple[Any, ...]]:
    try:
        with connection.transaction():
            connection.execute(
                "SET TRANSACTION READ ONLY; SET LOCAL search_path = pipeline, public; "
                f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'"
            )
            with connection.cursor(name="query", row_factory=tuple_row) as cursor:
                cursor.itersize = _BATCH
                cursor.execute(text.encode())
                yield tuple(column.name for column in cursor.description or ())
                yield from cursor
    except psycopg.errors.UndefinedTable as error:
        raise InvalidInput(
            f"The query was refused ({error.diag.message_primary}): there are results, outputs, "
            f"records and the views {_views(connection)}. A transform's view of its records comes "
            "with its first pipeline."
        ) from error


def _views(connection: Connection) -> str:
    """Return the names of the views that the worker's role may read, with commas."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.views WHERE table_schema = 'pipeline' "
            "ORDER BY table_name"
        )
        return ", ".join(str(name) for (name,) in cursor)
