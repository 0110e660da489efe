"""What the ledger knows about a stack: all its pipelines, machines and jobs, read by operators."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from worker.ledger.postgres_ledger import (
    Connection,
    statement,
    storable_values,
    translated_errors,
)

DEFAULT_ROWS = 50
_BATCH = 1000  # rows that are held in memory at a time


@dataclass(frozen=True)
class LogFilter:
    """Which results `log` returns: the newest `last` of those that meet all conditions.

    Attributes:
        last: The largest number of rows.
        since: Only results recorded at this time or later.
        like: Only results whose input or output key contains this text.
        quarantined: Only quarantined uploads.
        pipeline: Only results of this pipeline.
    """

    last: int = DEFAULT_ROWS
    since: datetime | None = None
    like: str | None = None
    quarantined: bool = False
    pipeline: str | None = None


class Reader:
    """Reads the tables of a stack.

    Every method raises ServiceUnavailable if the database fails.
    """

    def __init__(self, connection: Connection, stack: str) -> None:
        self.connection, self.stack = connection, stack

    def log(self, log_filter: LogFilter) -> Iterator[dict[str, Any]]:
        """Yield results, oldest first."""
        return self._stream("log", **asdict(log_filter))

    def machines(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Return each machine's last pass for each pipeline, and the problem that stopped it."""
        return self._rows("machines", pipelines=list(pipelines))

    def totals(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Return for each pipeline the counts of results, the rate and the last error."""
        return self._rows("totals", pipelines=list(pipelines))

    def _rows(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        with translated_errors(name):
            return self.connection.execute(statement(name), self._values(parameters)).fetchall()

    def _stream(self, name: str, **parameters: object) -> Iterator[dict[str, Any]]:
        """Yield rows in constant memory: they come through a server-side cursor."""
        with (
            translated_errors(name),
            self.connection.transaction(),
            self.connection.cursor(name=name) as cursor,
        ):
            cursor.itersize = _BATCH
            cursor.execute(statement(name), self._values(parameters))
            yield from cursor

    def _values(self, parameters: dict[str, object]) -> dict[str, object]:
        named = {name: storable_values(value) for name, value in parameters.items()}
        return named | {"stack": self.stack}
