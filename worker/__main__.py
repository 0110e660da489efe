"""`python -m worker`: drain, migrate, log, status, apply.

Exit status: 0 done, 1 something stands in the way, 2 the settings are wrong.
"""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from worker import settings
from worker.errors import InvalidSettings, ServiceUnavailable
from worker.transforms import Transform

MOST_SECONDS = 3600
_SECRETS = {
    "drain": ("s3-access-key", "s3-secret-key", "database-password"),
    "migrate": ("database-admin-password",),
    "log": ("database-password",),
    "status": ("s3-access-key", "s3-secret-key", "database-password"),
}


def main(arguments: list[str]) -> int:
    """Run one command."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    except ServiceUnavailable as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    # Modules are imported where they are needed: `apply` shall not wait for a database's.
    if options.command == "apply":
        from worker.apply import apply  # noqa: PLC0415

        problems = apply(options.transform, options.sources, options.destination)
        print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
        return 1 if problems else 0
    path = Path(options.settings or os.environ.get("PIPELINE_SETTINGS") or settings.DEFAULT_PATH)
    loaded = settings.load(path, os.environ, _SECRETS[options.command])
    if options.command == "drain":
        from worker.jobs.drain import drain  # noqa: PLC0415

        drain(loaded, options.linger)
    elif options.command == "migrate":
        from worker.ledger.postgres_ledger import connect, migrate  # noqa: PLC0415

        password = loaded.credential("database-admin-password")
        with connect(loaded.database, loaded.database.admin, password) as connection:
            for name in migrate(connection, loaded.database.user):
                print(f"applied {name}")
    else:
        from worker.jobs import report  # noqa: PLC0415

        if options.command == "log":
            print(report.log(loaded, options.like, options.json))
        else:
            print(report.status(loaded, options.json))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m worker", description=__doc__)
    parser.add_argument("--settings", metavar="PATH", help="worker.toml")
    commands = parser.add_subparsers(dest="command", required=True)
    drain = commands.add_parser("drain", help="make one pass over the input bucket")
    drain.add_argument(
        "--linger",
        metavar="SECONDS",
        type=_seconds,
        default=0,
        help="once all is done, look about every second for so long whether there is more",
    )
    commands.add_parser("migrate", help="bring the database's schema up to date")
    log = commands.add_parser("log", help="what was done")
    log.add_argument("--like", metavar="TEXT", help="only names that contain it")
    status = commands.add_parser("status", help="what is waiting, done, in the way")
    for command in (log, status):
        command.add_argument("--json", action="store_true")
    apply = commands.add_parser("apply", help="transform files of this machine")
    apply.add_argument("transform", choices=list(Transform))
    apply.add_argument("sources", metavar="SRC", nargs="+", type=Path)
    apply.add_argument("destination", metavar="DST", type=Path)
    return parser


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= MOST_SECONDS:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r}: give seconds, from 0 to {MOST_SECONDS}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
