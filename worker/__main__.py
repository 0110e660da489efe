"""`python -m worker`: drain, migrate, prepare, web, ingest, log, status, jobs and others.

Exit status: 0 done, 1 failed (one sentence on standard error says why), 2 the settings are wrong,
3 the database has no tables yet.
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from worker import settings
from worker.command_line import parser
from worker.errors import InvalidSettings, JobRefused, PipelineError, TablesMissing
from worker.ledger.ledger import QUARANTINED
from worker.settings import Pipeline, Settings

if TYPE_CHECKING:
    from worker.ledger.stack_ledger import StackLedger

_STORE_KEYS = ("s3-access-key", "s3-secret-key")
_CREDENTIALS = {
    "drain": (*_STORE_KEYS, "database-password"),
    "migrate": ("database-admin-password",),
    "log": ("database-password",),
    "status": (*_STORE_KEYS, "database-password"),
    "jobs": (*_STORE_KEYS, "database-password"),
    "results": ("database-password",),
    "sql": ("database-password",),
    "rebuild-log": (*_STORE_KEYS, "database-password"),
    "prepare": _STORE_KEYS,
    "web": (*_STORE_KEYS, "database-password"),
    "ingest": (*_STORE_KEYS, "database-password", "broker-password"),
}


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name.

    Returns:
        The exit status.
    """
    options = parser().parse_args(arguments)
    try:
        return _run(options)
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    except TablesMissing as error:
        print(error, file=sys.stderr)
        return error.exit_status
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
        from worker.apply import Trial, apply  # noqa: PLC0415

        *sources, destination = _paths(options)
        trial = Trial(
            options.transform, dict(options.parameter), options.folder, gather=options.gather
        )
        is_folder = destination.endswith(os.sep)
        files = list(map(Path, sources))
        return _print_problems(apply(trial, files, Path(destination), is_folder=is_folder))
    if options.command == "build":
        from worker.apply import build  # noqa: PLC0415

        return _print_problems(build())
    path = Path(options.settings or os.environ.get("PIPELINE_SETTINGS") or settings.DEFAULT_PATH)
    loaded = settings.load(path, os.environ, _CREDENTIALS[options.command])
    if options.command == "drain":
        gc.disable()
        from worker.jobs.drain import drain  # noqa: PLC0415

        gc.freeze()  # objects of imports live as long as the process: no collection need visit them
        gc.enable()
        drain(loaded, options.pipeline, options.linger)
    elif options.command == "web":
        from worker.web.server import serve  # noqa: PLC0415

        serve(loaded, options.port or loaded.web.port)
    elif options.command == "ingest":
        from worker.ingest.service import ingest  # noqa: PLC0415

        ingest(loaded, options.port)
    elif options.command == "migrate":
        _migrate(loaded)
    elif options.command == "prepare":
        from worker.preparation import prepare  # noqa: PLC0415

        prepare(loaded, loaded.chosen(options.pipeline), options.installer)
    else:
        _report(loaded, options)
    return 0


def _paths(options: argparse.Namespace) -> list[str]:
    """Return the files that `apply` transforms, and last where results go."""
    paths = [*options.sources, *([options.to] if options.to else [])]
    if len(paths) == 1:
        raise InvalidSettings(["Where results go is missing: give --to DST."])
    return paths


def _print_problems(problems: list[str]) -> int:
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


def _migrate(loaded: Settings) -> None:
    from worker.ledger.migrations import migrate_stack  # noqa: PLC0415

    for name in migrate_stack(loaded):
        print(f"applied {name}")


def _report(loaded: Settings, options: argparse.Namespace) -> None:
    from worker.jobs import report  # noqa: PLC0415
    from worker.ledger.connection import connect_worker, require_tables  # noqa: PLC0415
    from worker.ledger.query import query  # noqa: PLC0415
    from worker.ledger.stack_ledger import LogFilter, StackLedger  # noqa: PLC0415
    from worker.store.s3_store import open_store  # noqa: PLC0415

    with connect_worker(loaded) as connection:
        require_tables(connection)
        if options.command == "sql":
            _print(report.query_lines(query(connection, options.query), as_csv=options.csv))
            return
        ledger, chosen = StackLedger(connection, loaded.stack), _chosen(loaded, options)
        if options.command == "log":
            names = ("last", "since", "like", "quarantined", "pipeline")
            log_filter = LogFilter(**{name: getattr(options, name) for name in names})
            _print(report.log(ledger, log_filter, as_json=options.json))
        elif options.command == "results":
            _print(report.results(ledger, options.name, options.pipeline, as_json=options.json))
        elif options.command == "status":
            found = report.status(loaded, ledger, open_store(loaded), chosen)
            print(report.status_json(found) if options.json else report.status_text(found))
        elif options.command == "rebuild-log":
            _rebuild(loaded, ledger, chosen, options.pipeline)
        else:
            _jobs(loaded, options, ledger)


def _rebuild(
    loaded: Settings, ledger: "StackLedger", chosen: list[Pipeline], name: str | None
) -> None:
    from worker.jobs.quarantine_recovery import recover_quarantine  # noqa: PLC0415
    from worker.jobs.rebuild_log import rebuild  # noqa: PLC0415
    from worker.store.s3_store import open_store  # noqa: PLC0415

    store = open_store(loaded)
    for pipeline in chosen:
        print(json.dumps(vars(rebuild(ledger, store, pipeline))), flush=True)
    # Last: by now the done jobs are known that repeat a quarantined one.
    print(json.dumps({"quarantine": vars(recover_quarantine(loaded, ledger, store, name))}))


def _jobs(loaded: Settings, options: argparse.Namespace, ledger: "StackLedger") -> None:
    from worker.jobs import report  # noqa: PLC0415
    from worker.jobs.job_changes import JobChanges  # noqa: PLC0415
    from worker.jobs.job_details import job_details  # noqa: PLC0415
    from worker.jobs.job_list import list_jobs  # noqa: PLC0415
    from worker.jobs.run_report import run_report  # noqa: PLC0415
    from worker.ledger.stack_ledger import JobFilter  # noqa: PLC0415
    from worker.store.s3_store import open_store  # noqa: PLC0415

    store, chosen = open_store(loaded), _chosen(loaded, options)
    if options.verb == "list":
        names = ("last", "since", "like", "state", "reason", "run", "pipeline")
        job_filter = JobFilter(**{name: getattr(options, name) for name in names})
        rows = list_jobs(ledger, store, chosen, job_filter)
        _print(report.lines(rows, report.job_line, as_json=options.json))
        return
    if options.verb in ("show", "run"):
        if options.verb == "show":
            details = job_details(ledger, store, chosen, options.id)
        else:
            details = run_report(ledger, store, loaded.pipelines, options.id)
        print(json.dumps(details, indent=None if options.json else 2))
        return
    jobs = JobChanges(loaded, ledger, store, force=options.force)
    ids = options.ids
    by_filter = bool(options.state or options.reason or options.run)
    if by_filter == bool(ids):
        raise JobRefused("Give the ids of jobs, or --state quarantined, --reason TEXT or --run ID.")
    if by_filter:
        chosen_jobs = JobFilter(
            sys.maxsize,
            state=options.state or QUARANTINED,
            reason=options.reason,
            run=options.run,
            pipeline=options.pipeline,
            is_latest=True,
        )
        ids = [row["id"] for row in ledger.jobs(chosen_jobs)]
    change = jobs.retry if options.verb == "retry" else jobs.drop
    refused = 0
    for row in map(change, ids):
        refused += not row["ok"]
        print(json.dumps(row) if options.json else report.change_line(row), flush=True)
    if refused:
        what = "retried" if options.verb == "retry" else "dropped"
        raise JobRefused(f"{refused} of {len(ids)} jobs were not {what}.")


def _chosen(loaded: Settings, options: argparse.Namespace) -> list[Pipeline]:
    """Return the pipeline that --pipeline names, or all of them."""
    name = getattr(options, "pipeline", None)
    return list(loaded.pipelines.values()) if name is None else [loaded.chosen(name)]


def _print(lines: Generator[str]) -> None:
    # Closed here, while the connection is open: a generator that is not exhausted holds a cursor.
    with closing(lines):
        for line in lines:
            print(line)
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
