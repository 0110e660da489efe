"""What the ledger and the input buckets contain, as text or JSON."""

import csv
import io
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from worker.jobs.bucket_counts import bucket_counts
from worker.jobs.camera_lines import camera_lines, missing
from worker.jobs.machines import SHOWN_JOBS, machine_facts, machine_rows
from worker.jobs.pace import queue_text, seconds_left, time_left
from worker.jobs.pending import Backlog, tally
from worker.jobs.warnings import stack_warnings
from worker.ledger.messages import INGEST
from worker.ledger.stack_ledger import LogFilter, StackLedger
from worker.quantities import counted
from worker.settings import Camera, Pipeline, Settings
from worker.store.store import Store
from worker.uploads.job import short_id

_Row = dict[str, Any]
_SHOWN_REASONS = 20
_SHOWN_UPLOADS = 10


def log(ledger: StackLedger, log_filter: LogFilter, *, as_json: bool) -> Generator[str]:
    """Report results, oldest first: one line per result, as it comes from the database."""
    return lines(ledger.log(log_filter), _log_line, as_json=as_json)


def results(
    ledger: StackLedger, name: str, pipeline: str | None, *, as_json: bool
) -> Generator[str]:
    """Report the newest results of an object, or stored as one of this name: one line each."""
    rows = ledger.results_of(name, pipeline)
    return lines(rows, lambda row: f"{row['pipeline']}  {row['key']}", as_json=as_json)


def lines(rows: Iterable[_Row], text: Callable[[_Row], str], *, as_json: bool) -> Generator[str]:
    """Format rows.

    Args:
        rows: Rows of the ledger.
        text: Returns the line of a row for people.
        as_json: Whether each line is a JSON object instead.

    Yields:
        One line per row.
    """
    for row in rows:
        yield json.dumps(row) if as_json else text(row)


def job_line(row: _Row) -> str:
    """Return a row of `jobs list` as a line for people."""
    end = row["reason"] or ", ".join(row["results"]) or row["machine"] or ""
    if row["retried_by"]:
        end = f"retried as {short_id(row['retried_by'])}: {end}"
    start = f"{short_id(row['id'])}  {row['time']}  {row['pipeline']}  {row['state']}"
    return f"{start}  {row['key']}  {end}".rstrip()


def change_line(row: _Row) -> str:
    """Return a row of `jobs retry` or `jobs drop` as a line for people."""
    return row["problem"] or f"{short_id(row['id'])}  {row['pipeline']}  {row['key']}"


def status(
    settings: Settings, ledger: StackLedger, store: Store, pipelines: Sequence[Pipeline]
) -> dict[str, Any]:
    """Report machines, backlogs, counts, rates, reasons and the last error.

    Args:
        settings: The stack's.
        ledger: Reads the ledger.
        store: The object store.
        pipelines: The pipelines to report on; cameras that send to others are left out.

    Returns:
        What `status --json` prints: sums, and the same for each of the pipelines.
    """
    names = [pipeline.name for pipeline in pipelines]
    heartbeats, rates = ledger.machines(names), ledger.rates(names)
    running, queues = ledger.running(names, SHOWN_JOBS), ledger.queue_depths(names)
    totals = {row["name"]: row for row in ledger.totals(names)}
    latest = max(
        (row for row in totals.values() if row["last_error"]),
        key=lambda row: row["last_error_at"],
        default=None,
    )
    quarantine = ledger.quarantine_reasons(names, _SHOWN_REASONS)
    undeletable = ledger.undeletable(names, _SHOWN_UPLOADS)
    backlogs = {one.name: tally(ledger, store, one) for one in pipelines}
    reports = []
    for pipeline in pipelines:
        name, total = pipeline.name, totals[pipeline.name]
        del total["last_error_at"]
        own_rates = _own(rates, name)
        reports.append(
            {
                "name": name,
                "machines": machine_rows(_own(heartbeats, name), own_rates, _own(running, name)),
                "backlog": _backlog(backlogs[name]),
                "queue": queues.get(name),
                "seconds_left": seconds_left(backlogs[name].pending, own_rates),
                "waiting_because": [
                    {"reason": reason, "count": count} for reason, count in backlogs[name].problems
                ],
                "quarantine": _grouped(_own(quarantine, name)),
                "undeletable": _undeletable(_own(undeletable, name)),
            }
            | total
        )
    pending = {name: one.pending for name, one in backlogs.items()}
    buckets = bucket_counts(settings, ledger, store, pending)
    return {
        "stack": settings.stack,
        "machines": machine_rows(heartbeats, rates, running),
        "backlog": _sum([one["backlog"] for one in reports]),
        "done": sum(one["done"] for one in reports),
        "quarantined": sum(one["quarantined"] for one in reports),
        "waiting_because": _grouped(row for one in reports for row in one["waiting_because"]),
        "quarantine": _grouped(quarantine),
        "undeletable": _undeletable(undeletable),
        "rate": sum(one["rate"] for one in reports),
        "last_error": latest and latest["last_error"],
        "buckets": [asdict(one) for one in buckets],
        "warnings": stack_warnings(settings, ledger, heartbeats, buckets),
        "pipelines": reports,
        **_camera_reports(
            ledger, [one for one in settings.cameras.values() if one.pipeline in names]
        ),
    }


def _camera_reports(ledger: StackLedger, cameras: Sequence[Camera]) -> dict[str, Any]:
    """Return the state of the service that stores pictures of cameras, and theirs."""
    if not cameras:
        return {"ingest": [], "cameras": []}
    pipelines = {one.name: one.pipeline for one in cameras}
    rows = ledger.cameras(list(pipelines))
    for row in rows:
        row["pipeline"] = pipelines[row["camera"]]
        row["missing"] = missing(row)
    return {"ingest": machine_rows(ledger.machines([INGEST])), "cameras": rows}


def status_json(report: dict[str, Any]) -> str:
    """Return a status report as a JSON object."""
    return json.dumps(report)


def status_text(report: dict[str, Any]) -> str:
    """Return a status report as lines for people."""
    lines = [f"stack {report['stack']}"]
    lines += [f"warning: {one}" for one in report["warnings"]]
    lines += [
        f"machine {one['machine']}: {_facts(one)}, {_problem(one)}" for one in report["machines"]
    ] or ["no machine has made a pass yet"]
    lines += [
        f"ingest on {one['machine']}: last heartbeat {one['last_pass']}, {_problem(one)}"
        for one in report["ingest"]
    ]
    if report["cameras"] and not report["ingest"]:
        lines.append("ingest has not started yet: messages of cameras are not stored")
    for one in report["cameras"]:
        lines += [f"camera {one['camera']}", *(f"  {each}" for each in camera_lines(one))]
    for one in report["pipelines"]:
        backlog = one["backlog"]
        waiting = f"{counted(backlog['count'], 'upload')}, {counted(backlog['bytes'], 'byte')}"
        left = time_left(backlog["count"], one["seconds_left"])
        lines += [
            f"pipeline {one['name']}",
            f"  waiting {waiting}"
            + (f", since {backlog['oldest']}" if backlog["oldest"] else "")
            + (f", {left}" if left else ""),
            *([f"  queue: {queue_text(one['queue'])}"] if one["queue"] else []),
            *(f"    {row['count']} because: {row['reason']}" for row in one["waiting_because"]),
            f"  done {one['done']} ({one['rate']:.1f} a minute over the last 10 min), "
            f"quarantined {one['quarantined']}",
            *(f"    {row['count']} quarantined: {row['reason']}" for row in one["quarantine"]),
            *(
                f"    not deletable: {row['key']}: {row['reason']}"
                for row in one["undeletable"]["uploads"]
            ),
            f"  last error: {one['last_error'] or 'none'}",
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


def _facts(machine: _Row) -> str:
    return ", ".join(f"{title} {text}" for title, text in machine_facts(machine).items())


def _problem(machine: _Row) -> str:
    return f"problem: {machine['obstacle']}" if machine["obstacle"] else "no problem"


def _own(rows: Iterable[_Row], pipeline: str) -> list[_Row]:
    return [row for row in rows if row["pipeline"] == pipeline]


def _backlog(backlog: Backlog) -> dict[str, Any]:
    oldest = backlog.oldest.strftime("%Y-%m-%dT%H:%M:%SZ") if backlog.oldest else None
    return {
        "count": backlog.pending,
        "running": backlog.running,
        "bytes": backlog.bytes,
        "oldest": oldest,
    }


def _grouped(rows: Iterable[_Row]) -> list[_Row]:
    """Return one row per reason, the most frequent first: count, and newest if the rows have it."""
    groups: dict[str, _Row] = {}
    for row in rows:
        other = groups.setdefault(row["reason"], {"reason": row["reason"], "count": 0})
        other["count"] += row["count"]
        if "newest" in row:
            other["newest"] = max(other.get("newest", ""), row["newest"])
    return sorted(groups.values(), key=lambda row: -row["count"])


def _undeletable(rows: Iterable[_Row]) -> dict[str, Any]:
    """Return the number of undeletable uploads, and some of them."""
    rows = list(rows)
    totals = {row["pipeline"]: row["total"] for row in rows}
    shown = [{"key": row["key"], "reason": row["reason"]} for row in rows]
    return {"count": sum(totals.values()), "uploads": shown[:_SHOWN_UPLOADS]}


def _sum(backlogs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "count": sum(one["count"] for one in backlogs),
        "running": sum(one["running"] for one in backlogs),
        "bytes": sum(one["bytes"] for one in backlogs),
        "oldest": min((one["oldest"] for one in backlogs if one["oldest"]), default=None),
    }


def _log_line(row: dict[str, Any]) -> str:
    end = row["output_key"] or f"{row['outcome']}: {row['reason']}"
    return f"{row['timestamp']}  {row['seconds']:7.3f} s  {row['input_key']} -> {end}"
