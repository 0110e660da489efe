"""`log`, `status` and `sql`: what the ledger and the input bucket contain, as text or JSON."""

import csv
import io
import json
from collections.abc import Generator, Iterable
from typing import Any

from worker.ledger.ledger import Ledger, LogFilter
from worker.store.store import Store
from worker.uploads.listing import group_by_key


def log(ledger: Ledger, log_filter: LogFilter, *, as_json: bool) -> Generator[str]:
    """Report results, oldest first.

    Args:
        ledger: The pipeline's ledger.
        log_filter: Which results.
        as_json: Whether each line is a JSON object.

    Yields:
        One line per result, as it comes from the database.
    """
    for row in ledger.log(log_filter):
        yield json.dumps(row) if as_json else _log_line(row)


def status(ledger: Ledger, store: Store, pipeline: str, bucket: str) -> dict[str, Any]:
    """Report the machines, the backlog, counts, the rate and the last error.

    Args:
        ledger: The pipeline's ledger.
        store: The pipeline's object store.
        pipeline: The pipeline's name.
        bucket: The input bucket.

    Returns:
        What `status --json` prints.
    """
    report: dict[str, Any] = {"pipeline": pipeline, "machines": ledger.machines()}
    return report | {"backlog": _backlog(store, bucket)} | ledger.totals()


def status_json(report: dict[str, Any]) -> str:
    """Return a status report as a JSON object."""
    return json.dumps(report)


def status_text(report: dict[str, Any]) -> str:
    """Return a status report as lines for people."""
    backlog = report["backlog"]
    lines = [f"pipeline {report['pipeline']}"]
    lines += [
        f"machine {one['machine']}: last pass {one['last_pass']}, "
        + (f"problem: {one['obstacle']}" if one["obstacle"] else "no problem")
        for one in report["machines"]
    ] or ["no machine has made a pass yet"]
    waiting = f"{backlog['count']} uploads, {backlog['bytes']} bytes"
    lines += [
        f"waiting {waiting}" + (f", since {backlog['oldest']}" if backlog["oldest"] else ""),
        f"done {report['done']}, quarantined {report['quarantined']}, "
        f"{report['rate']:.1f} per minute over the last ten",
        f"last error: {report['last_error'] or 'none'}",
    ]
    return "\n".join(lines)


def query_lines(rows: Iterable[tuple[Any, ...]], *, as_csv: bool) -> Generator[str]:
    """Format the rows of a query, the column names first.

    Args:
        rows: From `worker.ledger.query`.
        as_csv: Whether to write CSV (RFC 4180); otherwise each line is a JSON array.

    Yields:
        One line per row; a CSV line may contain line breaks.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        if as_csv:
            writer.writerow(row)
            yield buffer.getvalue().removesuffix("\n")
            buffer.seek(0)
            buffer.truncate()
        else:
            yield json.dumps(row, default=_json_value)


def _json_value(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else str(value)


def _backlog(store: Store, bucket: str) -> dict[str, Any]:
    count = size = 0
    oldest = None
    pages = store.list_pages(bucket, versions=store.is_versioned(bucket))
    for work in group_by_key(bucket, pages):
        for upload in work.uploads:
            count, size = count + 1, size + upload.size
            oldest = min(oldest or upload.last_modified, upload.last_modified)
    when = oldest.strftime("%Y-%m-%dT%H:%M:%SZ") if oldest else None
    return {"count": count, "bytes": size, "oldest": when}


def _log_line(row: dict[str, Any]) -> str:
    end = row["output_key"] or f"{row['outcome']}: {row['reason']}"
    return f"{row['timestamp']}  {row['seconds']:7.3f} s  {row['input_key']} -> {end}"
