"""The ledger of a whole stack, as its operators read and change it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from worker.ledger.connection import Connection
from worker.ledger.postgres_ledger import statement, translated_errors
from worker.ledger.runs import Gather, Run, run_from_row
from worker.ledger.values import storable_json, storable_values
from worker.uploads.job import job_id
from worker.uploads.upload import Upload

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


@dataclass(frozen=True)
class JobFilter:
    """Which recorded jobs `jobs` returns: the newest `last` of those that meet all conditions.

    Attributes:
        last: The largest number of jobs.
        since: Only jobs recorded at this time or later.
        like: Only jobs whose key, or the key of a result, contains this text.
        state: Only jobs in this state; quarantined ones only if they were not retried.
        reason: Only jobs whose reason contains this text.
        run: Only jobs of the runs whose ids begin with this.
        pipeline: Only jobs of this pipeline.
        is_latest: Only jobs that no retry repeated, and no done ones of a key with a newer result.
    """

    last: int = DEFAULT_ROWS
    since: datetime | None = None
    like: str | None = None
    state: str | None = None
    reason: str | None = None
    run: str | None = None
    pipeline: str | None = None
    is_latest: bool = False


@dataclass(frozen=True)
class HttpUpload:
    """A file that came over HTTP.

    Attributes:
        token: What its sender asks for it with; also in its object's metadata.
        pipeline: The pipeline that it is for.
        key: Its object key.
        sha256: In hex.
        bytes: Its size.
    """

    token: str
    pipeline: str
    key: str
    sha256: str
    bytes: int


class StackLedger:
    """The tables of a stack. Every method raises ServiceUnavailable if the database fails."""

    def __init__(self, connection: Connection, stack: str) -> None:
        self.connection, self.stack = connection, stack

    def log(self, log_filter: LogFilter) -> Iterator[dict[str, Any]]:
        """Yield results, oldest first."""
        return self._stream("log", **asdict(log_filter))

    def machines(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Return each machine's last heartbeat for each pipeline (sql/machines.sql)."""
        return self._rows("machines", pipelines=list(pipelines))

    def rates(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Return what each machine recorded during the last ten minutes (sql/rates.sql)."""
        return self._rows("rates", pipelines=list(pipelines))

    def running(self, pipelines: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return the jobs that machines work on (sql/running_jobs.sql).

        Args:
            pipelines: The pipelines.
            most: How many of each machine and pipeline.
        """
        return self._rows("running_jobs", pipelines=list(pipelines), most=most)

    def queue_depths(self, pipelines: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what the queues of pipelines hold (sql/queue_depths.sql), by pipeline."""
        rows = self._rows("queue_depths", pipelines=list(pipelines))
        return {row.pop("pipeline"): row for row in rows}

    def connection_limit(self) -> int:
        """Return how many sessions the worker's role may have at a time."""
        return int(self._rows("connection_limit")[0]["sessions"])

    def stored_objects(self, pipelines: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return how many objects pipelines have stored (sql/stored_objects.sql), by pipeline."""
        rows = self._rows("stored_objects", pipelines=list(pipelines))
        return {row.pop("pipeline"): row for row in rows}

    def totals(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Return for each pipeline the counts of results, the rate and the last error."""
        return self._rows("totals", pipelines=list(pipelines))

    def quarantine_reasons(self, pipelines: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return for each pipeline the most frequent reasons: count and time of the newest job."""
        return self._rows("quarantine_reasons", pipelines=list(pipelines), most=most)

    def undeletable(self, pipelines: Sequence[str], most: int) -> list[dict[str, Any]]:
        """Return for each pipeline uploads whose deletion the store refuses: key, reason, total."""
        return self._rows("undeletable_uploads", pipelines=list(pipelines), most=most)

    def cameras(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return what cameras counted during the last hour (sql/cameras.sql), by name."""
        return self._rows("cameras", cameras=list(names))

    def camera_minutes(self, camera: str, last: int) -> list[dict[str, Any]]:
        """Return the minutes that a camera counted last (sql/camera_minutes.sql), oldest first."""
        return self._rows("camera_minutes", camera=camera, last=last)

    def jobs(self, job_filter: JobFilter) -> Iterator[dict[str, Any]]:
        """Yield recorded jobs, oldest first; each row has their `total`."""
        return self._stream("jobs", **asdict(job_filter))

    def pending(
        self, pipeline: str, sources: Collection[str], uploads: Sequence[Upload]
    ) -> list[dict[str, Any]]:
        """Return what is known about uploads that are not recorded yet.

        Args:
            pipeline: The pipeline whose input bucket they are in.
            sources: The pipelines whose results it reads.
            uploads: The uploads, as they were listed.

        Returns:
            A row for each upload without a row in `results`; `number` is its index in `uploads`.
        """
        rows = [
            {
                "number": number,
                "attempt_id": job_id(pipeline, upload),
                "bucket": upload.bucket,
                "key": upload.key,
                # With several sources the key of a copy begins with the source's name.
                "result_key": upload.key.partition("/")[2],
                "version_id": upload.version_id,
                "etag": upload.etag,
                "last_modified": upload.last_modified.isoformat(),
            }
            for number, upload in enumerate(uploads)
        ]
        listed = storable_json(rows)
        names = {"pipeline": pipeline, "sources": list(sources)}
        return self._rows("pending_uploads", uploads=listed, **names)

    def find(self, prefix: str) -> list[str]:
        """Return the recorded ids that begin with a prefix; at most two."""
        return [row["id"] for row in self._rows("find_jobs", prefix=prefix)]

    def job(self, identifier: str) -> dict[str, Any] | None:
        """Return a recorded job (sql/job.sql), None if there is none of this id."""
        rows = self._rows("job", id=identifier)
        return rows[0] if rows else None

    def outputs(self, identifier: str) -> list[dict[str, Any]]:
        """Return the objects that a job stored."""
        return self._rows("job_outputs", id=identifier)

    def find_runs(self, prefix: str) -> list[str]:
        """Return the runs whose ids, or the ids of whose jobs, begin with a prefix; at most two."""
        return [row["run_id"] for row in self._rows("find_runs", prefix=prefix)]

    def run(self, run_id: str) -> Run:
        """Return what is recorded of a run."""
        (row,) = self._rows("runs", runs=[run_id])
        return run_from_row(row)

    def run_start(self, run_id: str) -> dict[str, Any]:
        """Return the first job of a run (sql/run_start.sql)."""
        (row,) = self._rows("run_start", run=run_id)
        return row

    def gathers(self, run_id: str) -> dict[str, Gather]:
        """Return the gathers of a run by id."""
        rows = self._rows("run_gathers", run=run_id)
        return {row["id"]: Gather.read(row["manifest"]) for row in rows}

    def run_outputs(self, run_id: str) -> list[dict[str, Any]]:
        """Return the objects that the done jobs of a run stored (sql/run_outputs.sql)."""
        return self._rows("run_outputs", run=run_id)

    def run_records(self, run_id: str, most: int) -> list[dict[str, Any]]:
        """Return the first records of the done jobs of a run: pipeline, job, data."""
        return self._rows("run_records", run=run_id, most=most)

    def add_uploads(self, batch: str, uploads: Sequence[HttpUpload]) -> None:
        """Add the files of a request, before their objects are stored.

        Args:
            batch: Stands for the request.
            uploads: The files.
        """
        rows = [
            asdict(one) | {"batch": batch, "number": number}
            for number, one in enumerate(uploads, 1)
        ]
        self._rows("add_uploads", uploads=storable_json(rows))

    def remove_uploads(self, tokens: Collection[str]) -> None:
        """Remove files whose objects could not be stored."""
        self._rows("remove_uploads", tokens=list(tokens))

    def uploads(self, tokens: Collection[str] = (), batch: str = "") -> list[dict[str, Any]]:
        """Return the files with these tokens, or of a request, and their states.

        Returns:
            Rows of sql/uploads.sql: token, pipeline, key, bytes, sha256, state, reason, and if it
            is recorded job and run.
        """
        return self._rows("uploads", tokens=list(tokens), batch=batch)

    def results_of(self, key: str, pipeline: str | None) -> list[dict[str, Any]]:
        """Return the newest results of a key, or stored under it, in each pipeline."""
        return self._rows("results_of", key=key, pipeline=pipeline)

    @contextmanager
    def leased(self, identifier: str, holder: str) -> Iterator[int | None]:
        """Lease the key of a recorded job until the context ends, so that no machine works on it.

        Args:
            identifier: The job's id.
            holder: Names the command.

        Yields:
            The lease's fence, None if a machine or another command has leased the key. The lease
            of a command that was killed ends after `LEASE_SECONDS`.
        """
        rows = self._rows("lease_key", id=identifier, holder=holder)
        fence = rows[0]["fence"] if rows else None
        try:
            yield fence
        finally:
            if fence is not None:
                self._rows("release_key", id=identifier, fence=fence)

    def quarantined(self, pipeline: str | None) -> Iterator[dict[str, Any]]:
        """Yield quarantined jobs that no retry repeated: id, pipeline, key, sha256."""
        return self._stream("quarantined", pipeline=pipeline, keys=None)

    def quarantined_of(self, pipeline: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """Return those that `quarantined` yields and that have one of these keys."""
        return self._rows("quarantined", pipeline=pipeline, keys=list(keys))

    def add_quarantined(self, rows: Sequence[dict[str, Any]]) -> list[str]:
        """Add rows of quarantined jobs; return the ids of those that had none."""
        listed = storable_json(rows)
        return [row["id"] for row in self._rows("add_quarantined", rows=listed)]

    def retry(self, identifier: str) -> bool:
        """Note that a quarantined or done upload is put back; repeating it changes nothing.

        Returns:
            False if that has led to another job already; then nothing was noted.
        """
        return bool(self._rows("retry_job", id=identifier))

    def drop(self, identifier: str, fence: int) -> bool:
        """Record that a quarantined job was dropped.

        Args:
            identifier: The job's id.
            fence: Of the lease of its key.

        Returns:
            False if it was retried or dropped before, or the lease was lost; then nothing was
            recorded.
        """
        return bool(self._rows("drop_job", id=identifier, fence=fence))

    def rebuild(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add the rows of done jobs that results describe (sql/rebuild_jobs.sql).

        Args:
            rows: Columns of `results`, and as `output` those of `outputs`.

        Returns:
            How many rows were added: no row that is there is changed.
        """
        listed = storable_json(list(rows))
        return len(self._rows("rebuild_jobs", rows=listed))

    def name_first_outputs(self, pipeline: str) -> None:
        """Complete the rows that `rebuild` added to a pipeline."""
        self._rows("name_first_outputs", pipeline=pipeline)

    def _rows(self, name: str, **parameters: object) -> list[dict[str, Any]]:
        with translated_errors(name):
            cursor = self.connection.execute(statement(name), self._values(parameters))
            return cursor.fetchall() if cursor.description else []

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
