"""`log` and `status`: what the ledger and the input bucket tell, as text or JSON."""

import json
from typing import Any

from worker.jobs.drain import store_of
from worker.ledger.postgres_ledger import Ledger, connect
from worker.settings import Settings
from worker.uploads import listing


def log(settings: Settings, like: str | None, as_json: bool) -> str:
    """Results in the order they came."""
    password = settings.credential("database-password")
    with connect(settings.database, settings.database.user, password) as connection:
        rows = Ledger(connection, settings.pipeline, settings.machine).log(like)
    if as_json:
        return json.dumps(rows, ensure_ascii=False)
    return "\n".join(_line(row) for row in rows)


def status(settings: Settings, as_json: bool) -> str:
    """Machines, backlog, counts, rate and the last thing that went wrong."""
    password = settings.credential("database-password")
    with connect(settings.database, settings.database.user, password) as connection:
        ledger = Ledger(connection, settings.pipeline, settings.machine)
        report: dict[str, Any] = {"pipeline": settings.pipeline, "machines": ledger.machines()}
        report |= {"backlog": _backlog(settings)} | ledger.totals()
    if as_json:
        return json.dumps(report, ensure_ascii=False)
    return _text(report)


def _backlog(settings: Settings) -> dict[str, Any]:
    store, bucket = store_of(settings), settings.store.input
    count = size = 0
    oldest = None
    for work in listing.work(bucket, store.pages(bucket, store.versioned(bucket))):
        for upload in work.uploads:
            count, size = count + 1, size + upload.size
            oldest = min(oldest or upload.last_modified, upload.last_modified)
    when = oldest.strftime("%Y-%m-%dT%H:%M:%SZ") if oldest else None
    return {"count": count, "bytes": size, "oldest": when}


def _line(row: dict[str, Any]) -> str:
    end = row["output_key"] or f"{row['outcome']}: {row['reason']}"
    return f"{row['timestamp']}  {row['seconds']:7.3f} s  {row['input_key']} -> {end}"


def _text(report: dict[str, Any]) -> str:
    backlog = report["backlog"]
    lines = [f"pipeline {report['pipeline']}"]
    lines += [
        f"machine {one['machine']}: last pass {one['last_pass']}, "
        + (f"in the way: {one['obstacle']}" if one["obstacle"] else "nothing in the way")
        for one in report["machines"]
    ] or ["no machine has made a pass yet"]
    waiting = f"{backlog['count']} uploads, {backlog['bytes']} bytes"
    lines += [
        f"waiting {waiting}" + (f", since {backlog['oldest']}" if backlog["oldest"] else ""),
        f"done {report['done']}, quarantined {report['quarantined']}, "
        f"{report['rate']:.1f} a minute over the last ten",
        f"last error: {report['last_error'] or 'none'}",
    ]
    return "\n".join(lines)
