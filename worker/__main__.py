"""`python -m worker`: drain, migrate, log, status, sql, apply, build.

Exit status: 0 done, 1 failed (one sentence on standard error says why), 2 the settings are wrong.
"""

import argparse
import json
import os
import sys
from collections.abc import Generator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from worker import settings, transforms
from worker.errors import InvalidSettings, PipelineError
from worker.ledger.ledger import DEFAULT_LOG_ROWS, LogFilter
from worker.settings import Settings

MAX_LINGER_SECONDS = 3600
_STORE_KEYS = ("s3-access-key", "s3-secret-key")
_CREDENTIALS = {
    "drain": (*_STORE_KEYS, "database-password"),
    "migrate": ("database-admin-password",),
    "log": ("database-password",),
    "status": (*_STORE_KEYS, "database-password"),
    "sql": ("database-password",),
}


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    except PipelineError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has enough (`| head`). Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace) -> int:
    # Each command imports what it needs: `apply` works without the database's package.
    if options.command == "apply":
        from worker.apply import apply  # noqa: PLC0415

        values = dict(options.parameter)
        problems = apply(options.transform, values, options.sources, options.destination)
        return _print_problems(problems)
    if options.command == "build":
        from worker.apply import build  # noqa: PLC0415

        return _print_problems(build())
    path = Path(options.settings or os.environ.get("PIPELINE_SETTINGS") or settings.DEFAULT_PATH)
    loaded = settings.load(path, os.environ, _CREDENTIALS[options.command])
    if options.command == "drain":
        from worker.jobs.drain import drain  # noqa: PLC0415

        drain(loaded, options.pipeline, options.linger)
    elif options.command == "migrate":
        _migrate(loaded)
    else:
        _report(loaded, options)
    return 0


def _print_problems(problems: list[str]) -> int:
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


def _migrate(loaded: Settings) -> None:
    from worker.ledger.migrations import migrate  # noqa: PLC0415
    from worker.ledger.postgres_ledger import connect  # noqa: PLC0415

    password = loaded.credential("database-admin-password")
    with connect(loaded.database, loaded.database.admin, password) as connection:
        transforms = {one.transform for one in loaded.pipelines.values()}
        for name in migrate(connection, loaded.database.user, transforms):
            print(f"applied {name}")


def _report(loaded: Settings, options: argparse.Namespace) -> None:
    from worker.jobs import report  # noqa: PLC0415
    from worker.ledger.postgres_ledger import connect_worker, open_ledger  # noqa: PLC0415
    from worker.ledger.query import query  # noqa: PLC0415
    from worker.store.s3_store import open_store  # noqa: PLC0415

    if options.command == "sql":
        with connect_worker(loaded) as connection:
            _print(report.query_lines(query(connection, options.query), as_csv=options.csv))
        return
    pipeline = loaded.chosen(None)
    with open_ledger(loaded, pipeline.name) as ledger:
        if options.command == "log":
            chosen = LogFilter(options.last, options.since, options.like, options.quarantined)
            _print(report.log(ledger, chosen, as_json=options.json))
        else:
            found = report.status(ledger, open_store(loaded), loaded.stack, pipeline.input)
            print(report.status_json(found) if options.json else report.status_text(found))


def _print(lines: Generator[str]) -> None:
    # Closed here, while the connection is open: a generator that is not exhausted holds a cursor.
    with closing(lines):
        for line in lines:
            print(line)
        sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m worker", description=__doc__)
    parser.add_argument("--settings", metavar="PATH", help="path of worker.toml")
    commands = parser.add_subparsers(dest="command", required=True)
    drain = commands.add_parser("drain", help="make one pass over the input bucket")
    drain.add_argument(
        "--pipeline", metavar="NAME", help="which one; needed if the stack has several"
    )
    drain.add_argument(
        "--linger",
        metavar="SECONDS",
        type=_seconds,
        default=0,
        help="keep listing about once per second until nothing new came for this long",
    )
    commands.add_parser("migrate", help="bring the database's schema up to date")
    log = commands.add_parser("log", help="print results, oldest first")
    log.add_argument(
        "--last",
        metavar="N",
        type=_count,
        default=DEFAULT_LOG_ROWS,
        help=f"only the newest N (default: {DEFAULT_LOG_ROWS})",
    )
    log.add_argument(
        "--since", metavar="TIME", type=_time, help="only from this ISO 8601 time on (UTC)"
    )
    log.add_argument("--like", metavar="TEXT", help="only keys that contain TEXT")
    log.add_argument("--quarantined", action="store_true", help="only quarantined uploads")
    log.add_argument("--json", action="store_true", help="print one JSON object per line")
    status = commands.add_parser("status", help="print machines, backlog, counts, last error")
    status.add_argument("--json", action="store_true", help="print a JSON object")
    sql = commands.add_parser("sql", help="run one read-only query in the database")
    sql.add_argument("query", metavar="QUERY", help="a SELECT, WITH, VALUES or TABLE query")
    sql.add_argument(
        "--csv", action="store_true", help="print CSV; default: a JSON array per line, names first"
    )
    commands.add_parser("build", help="compile the parts of transforms that need it")
    apply = commands.add_parser("apply", help="transform local files")
    apply.add_argument("transform", choices=transforms.names())
    apply.add_argument(
        "--parameter",
        metavar="KEY=VALUE",
        type=_parameter,
        action="append",
        default=[],
        help="set a parameter of the transform; VALUE is JSON or text",
    )
    apply.add_argument("sources", metavar="SRC", nargs="+", type=Path)
    apply.add_argument("destination", metavar="DST", type=Path)
    return parser


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
        return name, value


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give an ISO 8601 time such as 2026-01-31 or 2026-01-31T12:00:00Z"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
