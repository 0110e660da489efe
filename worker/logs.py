"""Logging: the standard library's `logging`, one JSON object per line on standard output.

A record's message is the name of an event; `fields` adds its data. Secrets must not be logged:
lines reach the journal and the operator's terminal (`./pipeline logs`).
"""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

_ROOT = "worker"
_LINES = "lines"
_encode = json.JSONEncoder(ensure_ascii=False).encode


class JsonFormatter(logging.Formatter):
    """Formats each line of a record as `{"time": …, "event": …, field: value, …}`.

    Args:
        common: Fields that every line has.
    """

    def __init__(self, **common: object) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        """Return lines of JSON; fields that are None are left out."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        common = {"time": time, "event": record.getMessage(), **self._common}
        texts = (
            _encode(common | {name: value for name, value in line.items() if value is not None})
            for line in getattr(record, _LINES, [{}])
        )
        # Names of files and errors may hold lone surrogates, which no stream can encode.
        return "\n".join(texts).encode(errors="replace").decode()


def fields(**values: object) -> dict[str, Sequence[Mapping[str, object]]]:
    """Return the argument `extra` of a logging call that adds fields to its line."""
    return {_LINES: [values]}


def lines(entries: Sequence[Mapping[str, object]]) -> dict[str, Sequence[Mapping[str, object]]]:
    """Return the argument `extra` of a logging call that writes one line for each mapping."""
    return {_LINES: entries}


def configure(**common: object) -> None:
    """Send the worker's log records to standard output; every line gets the fields `common`."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(**common))
    logger = logging.getLogger(_ROOT)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
