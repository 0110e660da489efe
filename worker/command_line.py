"""The command line of `python -m worker`."""

import argparse
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from worker import transforms
from worker.broker import PORT
from worker.ledger.ledger import DONE, DROPPED, QUARANTINED

MAX_LINGER_SECONDS = 3600
_DEFAULT_ROWS = 50
_STATES = ("waiting", "running", DONE, QUARANTINED, DROPPED)
_ID = re.compile("[0-9a-f]{6,32}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the worker's commands."""
    made = argparse.ArgumentParser("python -m worker")
    made.add_argument("--settings", metavar="PATH", help="path of worker.toml")
    commands = made.add_subparsers(dest="command", required=True)
    drain = commands.add_parser("drain", help="make one pass over the input bucket")
    _add_pipeline(drain, "which one; needed if the stack has several")
    drain.add_argument(
        "--linger",
        metavar="SECONDS",
        type=_seconds,
        default=0,
        help="keep listing about once per second until nothing new came for this long",
    )
    commands.add_parser("migrate", help="bring the database's schema up to date")
    prepare = commands.add_parser("prepare", help="install what a pipeline's transform needs")
    _add_pipeline(prepare, "which one; needed if the stack has several")
    prepare.add_argument(
        "--installer",
        metavar="PATH",
        type=Path,
        help="script that installs Debian packages; default: they are left out",
    )
    web = commands.add_parser("web", help="serve the page and the upload API")
    web.add_argument("--port", metavar="N", type=_count, help="default: the one of the settings")
    ingest = commands.add_parser("ingest", help="store what cameras send to the broker")
    ingest.add_argument(
        "--port", metavar="N", type=_count, default=PORT, help="of the broker, on the loopback"
    )
    log = commands.add_parser("log", help="print results, oldest first")
    _add_filters(log)
    log.add_argument("--quarantined", action="store_true", help="only quarantined uploads")
    log.add_argument("--json", action="store_true", help="print one JSON object per line")
    status = commands.add_parser("status", help="print machines, backlog, counts, last error")
    _add_pipeline(status)
    status.add_argument("--json", action="store_true", help="print a JSON object")
    _add_jobs(commands.add_parser("jobs", help="list, show, retry or drop jobs"))
    results = commands.add_parser("results", help="print the results of an object, if any")
    results.add_argument("name", metavar="NAME", help="key of an upload, or of a result")
    _add_pipeline(results)
    results.add_argument("--json", action="store_true", help="print one JSON object per line")
    sql = commands.add_parser("sql", help="run one read-only query in the database")
    sql.add_argument("query", metavar="QUERY", help="a SELECT, WITH, VALUES or TABLE query")
    sql.add_argument(
        "--csv", action="store_true", help="print CSV; default: a JSON array per line, names first"
    )
    rebuilt = commands.add_parser(
        "rebuild-log", help="add rows that the database lost, from the metadata of results"
    )
    _add_pipeline(rebuilt)
    commands.add_parser("build", help="compile the parts of transforms that need it")
    apply = commands.add_parser("apply", help="transform local files")
    apply.add_argument(
        "transform",
        metavar="TRANSFORM",
        help=f"{', '.join(transforms.names())}, or package.module:function of your folder",
    )
    apply.add_argument(
        "--folder", metavar="PATH", type=Path, help="the folder of the function or the command"
    )
    apply.add_argument(
        "--parameter",
        metavar="KEY=VALUE",
        type=_parameter,
        action="append",
        default=[],
        help="set a parameter of the transform; VALUE is JSON or a text without quotes",
    )
    apply.add_argument("--gather", action="store_true", help="give the transform all files at once")
    apply.add_argument(
        "--to",
        metavar="DST",
        help="a folder for the results (created for several files, or if it ends with /), or the "
        "only result",
    )
    apply.add_argument(
        "sources", metavar="SRC", nargs="+", help="files; without --to, DST is the last"
    )
    return made


def _add_jobs(jobs: argparse.ArgumentParser) -> None:
    verbs = jobs.add_subparsers(dest="verb", required=True)
    lists = verbs.add_parser("list", help="print jobs, oldest first")
    _add_filters(lists)
    lists.add_argument("--state", choices=_STATES, help="only jobs in this state")
    lists.add_argument("--run", metavar="ID", type=_prefix, help="only jobs of this run")
    lists.add_argument("--reason", metavar="TEXT", help="only jobs whose reason contains TEXT")
    show = verbs.add_parser("show", help="print all about a job")
    show.add_argument("id", metavar="ID", type=_prefix)
    run = verbs.add_parser("run", help="print how far a run is")
    run.add_argument("id", metavar="ID", type=_prefix, help="of the run, or of one of its jobs")
    retry = verbs.add_parser(
        "retry", help="put uploads back into the input bucket, from quarantine or the archive"
    )
    drop = verbs.add_parser("drop", help="delete quarantined uploads")
    for verb, states in ((retry, [QUARANTINED, DONE]), (drop, [QUARANTINED])):
        verb.add_argument("ids", metavar="ID", nargs="*", type=_prefix)
        verb.add_argument("--state", choices=states, help="all jobs in this state")
        verb.add_argument("--reason", metavar="TEXT", help="all whose reason contains TEXT")
        verb.add_argument("--run", metavar="ID", type=_prefix, help="all of this run")
        _add_pipeline(verb)
        verb.add_argument(
            "--force",
            action="store_true",
            help="even if an upload of the key waits, or a newer one is done",
        )
    for verb in (lists, show, run, retry, drop):
        verb.add_argument("--json", action="store_true", help="print one JSON object per line")


def _add_pipeline(command: argparse.ArgumentParser, text: str = "only this one") -> None:
    command.add_argument("--pipeline", metavar="NAME", help=text)


def _add_filters(command: argparse.ArgumentParser) -> None:
    _add_pipeline(command)
    command.add_argument(
        "--last",
        metavar="N",
        type=_count,
        default=_DEFAULT_ROWS,
        help=f"only the newest N (default: {_DEFAULT_ROWS})",
    )
    command.add_argument(
        "--since", metavar="TIME", type=_time, help="only from this ISO 8601 time on (UTC)"
    )
    command.add_argument("--like", metavar="TEXT", help="only keys that contain TEXT")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= MAX_LINGER_SECONDS:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r}: give seconds, from 0 to {MAX_LINGER_SECONDS}")


def _count(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (count := int(text)) < 2**63:  # PostgreSQL's LIMIT is a bigint
            return count
    raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1")


def _parameter(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        if value.startswith(("[", "{")):  # as in YAML, no text begins so
            raise argparse.ArgumentTypeError(
                f"{text!r}: write the list or map as JSON, its texts in quotes, such as "
                """'argv=["sh", "-c"]'"""
            ) from None
        return name, value


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give an ISO 8601 time such as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _prefix(text: str) -> str:
    if _ID.fullmatch(text.lower()):
        return text.lower()
    raise argparse.ArgumentTypeError(f"{text!r}: give the first 6 to 32 digits of an id")
