"""The ledger in PostgreSQL. Its statements are in `sql/`, one file each."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from worker.errors import ServiceUnavailable, TablesMissing
from worker.ledger.connection import Connection, connect_worker, reason_of
from worker.ledger.ledger import (
    Attempt,
    Claim,
    Lease,
    LostLease,
    Maker,
    Origin,
    Output,
    OutputVersion,
    Result,
    Started,
)
from worker.ledger.runs import Gather, Run, Upstream, run_from_row
from worker.ledger.values import identity, key_sha256, storable_json, storable_values
from worker.load import Load
from worker.settings import Settings
from worker.uploads.job import Job, Parent, job_id
from worker.uploads.upload import Upload, storable

_RUNS_TOGETHER = 100  # runs whose jobs are held in memory
SQL_FOLDER = Path(__file__).parent / "sql"


@cache
def statement(name: str) -> bytes:
    """Return `sql/NAME.sql` without comments and indentation.

    psycopg parses a statement of more than 4,096 bytes each time that it is executed.
    """
    lines = (line.strip() for line in (SQL_FOLDER / f"{name}.sql").read_bytes().splitlines())
    return b"\n".join(line for line in lines if not line.startswith(b"--"))


@contextmanager
def open_ledger(settings: Settings, pipeline: str) -> Iterator["PostgresLedger"]:
    """Open the ledger of a pipeline as the worker's role, until the context ends."""
    with connect_worker(settings) as connection:
        yield PostgresLedger(connection, settings.stack, pipeline, settings.machine)


class PostgresLedger:
    """Implements `Ledger`. The session is shared by all threads; psycopg locks it.

    Released leases wait for the next `start` or `heartbeat`, so that a batch needs two statements.
    """

    def __init__(self, connection: Connection, stack: str, pipeline: str, machine: str) -> None:
        self._connection, self._pipeline = connection, pipeline
        self._names = {"stack": stack, "pipeline": pipeline, "machine": machine}
        self._released: deque[Lease] = deque()

    def unfinished_attempts(self, bucket: str) -> dict[Upload, Attempt]:
        """See `Ledger.unfinished_attempts`."""
        identity = ("key", "version_id", "etag", "last_modified")
        return {
            Upload(bucket, **{name: row.pop(name) for name in identity}): Attempt(**row)
            for row in self._run("unfinished_attempts", bucket=bucket)
        }

    def find_origins(
        self, claims: Sequence[Claim], sources: Collection[str]
    ) -> dict[Upload, Origin]:
        """See `Ledger.find_origins`."""
        rows = [
            {
                "claim": number,
                "key": claim.upload.key,
                "sha256": claim.sha256,
                "retry": claim.retry,
                "parent": claim.parent and claim.parent.job_id,
                "number": claim.parent and claim.parent.number,
            }
            for number, claim in enumerate(claims)
        ]
        found = self._run("find_origins", claims=storable_json(rows), sources=list(sources))
        # Retries are last: they replace the copies that they put back.
        found.sort(key=lambda row: row["retry_of"] is not None)
        return {claims[row["claim"]].upload: _origin(row) for row in found}

    def start(self, jobs: Sequence[Job], *, alone: bool) -> dict[str, Started]:
        """See `Ledger.start`."""
        if not jobs:
            return {}
        # ON CONFLICT cannot lease a key twice in one statement: only one of those whose keys are
        # stored as the same text is started.
        by_key = {storable(job.upload.key): job for job in jobs}
        by_id = {job.id: job for job in by_key.values()}
        rows = [
            {"job_id": job.id, "attempt_id": self._attempt_id_of(job)} | identity(job.upload)
            for job in by_id.values()
        ]
        found = self._run_releasing("start_jobs", jobs=storable_json(rows), alone=alone)
        return {
            row["job_id"]: Started(
                row["fence"],
                row["attempts"],
                row["crashes"],
                row["recorded"],
                row["prepared"]
                and _result(by_id[row["job_id"]], row["fence"], row["attempts"], row["prepared"]),
            )
            for row in found
        }

    def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """See `Ledger.renew`."""
        rows = [vars(lease) for lease in leases]
        held = {row["fence"] for row in self._run("renew_leases", leases=storable_json(rows))}
        return {lease for lease in leases if lease.fence in held}

    def release(self, leases: Collection[Lease]) -> None:
        """See `Ledger.release`."""
        self._released.extend(leases)

    def end_leases(self) -> None:
        """See `Ledger.end_leases`."""
        self._run_releasing("end_leases")

    def clear_attempts(self, uploads: Sequence[Upload], *, keep_undeletable: bool = False) -> None:
        """See `Ledger.clear_attempts`."""
        if uploads:
            ids = [self._attempt_id(one) for one in uploads]
            self._run("clear_attempts", ids=ids, keep_undeletable=keep_undeletable)

    def fail(self, problems: Mapping[Upload, str], *, undeletable: bool = False) -> None:
        """See `Ledger.fail`."""
        # By id: ON CONFLICT cannot update a row twice in one statement.
        rows = {
            self._attempt_id(upload): identity(upload) | {"problem": problem}
            for upload, problem in problems.items()
        }
        failures = [{"attempt_id": attempt_id} | row for attempt_id, row in rows.items()]
        if failures:
            self._run("fail_attempts", failures=storable_json(failures), undeletable=undeletable)

    def uncount_crash(self, upload: Upload) -> None:
        """See `Ledger.uncount_crash`."""
        self._run("uncount_crash", id=self._attempt_id(upload))

    def prepare(self, result: Result) -> bool:
        """See `Ledger.prepare`."""
        return bool(self._record([result], final=False))

    def record(self, results: Sequence[Result]) -> set[str]:
        """See `Ledger.record`."""
        # ON CONFLICT cannot update a row twice in one statement: the last result of a job wins.
        latest = {result.job.id: result for result in results}
        return self._record(latest.values(), final=True) if latest else set()

    def lost_leases(self) -> list[LostLease]:
        """See `Ledger.lost_leases`."""
        return [
            LostLease(
                row["fence"],
                row["job_id"],
                [OutputVersion(*map(one.get, OutputVersion._fields)) for one in row["outputs"]],
            )
            for row in self._run("lost_leases")
        ]

    def end_lost_leases(self, leases: Collection[LostLease]) -> None:
        """See `Ledger.end_lost_leases`."""
        self._run("end_lost_leases", fences=[lease.fence for lease in leases])

    def needs_copy(self, key: str, sha256: str) -> bool:
        """See `Ledger.needs_copy`."""
        return bool(self._run("needs_copy", key=key, sha256=sha256)[0]["needed"])

    def begin_gathering(self) -> None:
        """See `Ledger.begin_gathering`."""
        self._run("begin_gathering")

    def ended_runs(self, upstream: Upstream, seconds: float | None) -> Iterator[Run]:
        """See `Ledger.ended_runs`."""
        found = self._run(
            "ended_runs",
            upstream=list(upstream.pipelines),
            sources=list(upstream.sources),
            edge_sources=[source for source, _ in upstream.readers],
            edge_readers=[reader for _, reader in upstream.readers],
            seconds=seconds,
        )
        ids = [row["run_id"] for row in found]
        for start in range(0, len(ids), _RUNS_TOGETHER):
            rows = self._run("runs", runs=ids[start : start + _RUNS_TOGETHER])
            yield from map(run_from_row, rows)

    def gather(self, gathers: Sequence[Gather]) -> list[Gather]:
        """See `Ledger.gather`."""
        rows = [
            {"id": one.id, "run_id": one.run, "manifest": one.manifest, "bytes": one.bytes}
            for one in gathers
        ]
        found = self._run("add_gathers", gathers=storable_json(rows))
        return [Gather.read(row["manifest"]) for row in found]

    def note_gathered(self, gathers: Collection[Gather]) -> None:
        """See `Ledger.note_gathered`."""
        self._run("note_gathers", ids=[one.id for one in gathers])

    def gathers(self, ids: Collection[str]) -> dict[str, Gather]:
        """See `Ledger.gathers`."""
        rows = self._run("gathers", ids=list(ids))
        return {row["id"]: Gather.read(row["manifest"]) for row in rows}

    def gathered_bytes(self, runs: Collection[str]) -> dict[str, int]:
        """See `Ledger.gathered_bytes`."""
        return {row["run_id"]: row["bytes"] for row in self._run("gathered_bytes", runs=list(runs))}

    def heartbeat(
        self, problem: str | None, load: Load | None = None, *, is_live: bool = False
    ) -> None:
        """See `Ledger.heartbeat`."""
        load = load or Load()
        self._run_releasing("heartbeat", obstacle=problem, live=is_live, **vars(load))

    def live_machines(self) -> list[str]:
        """See `Ledger.live_machines`."""
        return [row["machine"] for row in self._run("live_machines")]

    def cancel_tasks(self, queue: str) -> None:
        """Delete the tasks of the pipeline's queue that no machine has begun.

        Args:
            queue: Its name (worker/dispatch).
        """
        self._run("cancel_tasks", queue=queue)

    def _run_releasing(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        """Run a statement that also releases leases; they are kept if it fails."""
        leases = [self._released.popleft() for _ in range(len(self._released))]
        released = storable_json([vars(lease) for lease in leases])
        try:
            return self._run(name, released=released, **parameters)
        except ServiceUnavailable:
            self._released.extend(leases)
            raise

    def _run(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        values = self._names | {k: storable_values(v) for k, v in parameters.items()}
        with translated_errors(name):
            cursor = self._connection.execute(statement(name), values, prepare=True)
            return cursor.fetchall() if cursor.description else []

    def _record(self, results: Iterable[Result], *, final: bool) -> set[str]:
        rows = storable_json([self._row(result) for result in results])
        try:
            recorded = self._run("record_results", rows=rows, final=final)
        except ServiceUnavailable as error:
            if not isinstance(error.__cause__, psycopg.errors.UniqueViolation):
                raise
            # Another session has just recorded a copy of the same result: now the row is seen.
            recorded = self._run("record_results", rows=rows, final=final)
        return {row["job_id"] for row in recorded}

    def _attempt_id(self, upload: Upload) -> str:
        """Return the id of an upload's attempts, which does not depend on retries."""
        return job_id(self._pipeline, upload)

    def _attempt_id_of(self, job: Job) -> str:
        return job.id if job.round == 0 else self._attempt_id(job.upload)

    def _row(self, result: Result) -> dict[str, Any]:
        job, maker = result.job, result.maker
        first = result.outputs[0] if result.outputs else None
        names = {"stack": self._names["stack"], "pipeline": self._pipeline}
        common = {**names, "job_id": job.id, "run_id": job.run_id, "fence": result.fence}
        return {
            **common,
            "attempt_id": self._attempt_id_of(job),
            "round": job.round,
            "parent_id": job.parent and job.parent.job_id,
            "parent_number": job.parent and job.parent.number,
            "retry_of": job.retry_of,
            "attempts": result.attempts,
            **identity(job.upload),
            "key_sha256": key_sha256(job.upload.key),
            "input_sha256": result.input_sha256,
            "input_bytes": result.input_bytes,
            "output_key": first and first.key,
            "output_sha256": first and first.sha256,
            "output_bytes": first and first.bytes,
            "seconds": result.seconds,
            "worker": self._names["machine"],
            "outcome": result.outcome,
            "reason": result.reason,
            "transform": maker.transform,
            "transform_version": maker.version,
            "parameters_sha256": maker.parameters_sha256,
            "notes": list(result.notes),
            "log": result.log,
            "input_text": result.input_text,
            "upload_token": result.upload_token,
            "outputs": [
                {**vars(output), **common, "key_sha256": key_sha256(output.key)}
                for output in result.outputs
            ],
            "records": list(result.records),
        }


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Raise ServiceUnavailable if the statement of this name fails, or TablesMissing."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise TablesMissing from error
    except psycopg.Error as error:
        raise ServiceUnavailable(f"The database failed at {name!r}: {reason_of(error)}.") from error


def _result(job: Job, fence: int, attempts: int, row: dict[str, Any]) -> Result:
    """Return a result that was prepared under an earlier lease."""
    return Result(
        job,
        fence,
        Maker(row["transform"], row["transform_version"], row["parameters_sha256"]),
        row["input_sha256"],
        row["input_bytes"],
        row["outcome"],
        row["seconds"],
        attempts,
        [
            Output(**{each.name: output[each.name] for each in fields(Output)})
            for output in row["outputs"]
        ],
        row["records"],
        row["notes"],
        row["log"],
        row["reason"],
        row["input_text"],
        row.get("upload_token"),  # an earlier worker has prepared it
    )


def _origin(row: dict[str, Any]) -> Origin:
    parent = Parent(row["parent_id"], row["parent_number"]) if row["parent_id"] else None
    return Origin(row["run_id"], row["round"], parent, row["retry_of"], row["successor"])
