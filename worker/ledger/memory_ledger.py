"""The ledger in memory, for tests of the layers above it.

tests/worker/test_ledger_contract.py runs the same checks on it and on PostgreSQL.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.ledger.ledger import (
    DONE,
    DROPPED,
    LEASE_SECONDS,
    LIVE_SECONDS,
    QUARANTINED,
    WAITING,
    Attempt,
    Claim,
    Lease,
    LostLease,
    Origin,
    Output,
    OutputVersion,
    Result,
    Started,
)
from worker.ledger.memory_tables import AttemptRow, GatherRow, MemoryTables
from worker.ledger.runs import Gather, Run, RunJob, RunResult, Upstream, gather_id
from worker.load import Load
from worker.uploads.job import Job, Parent
from worker.uploads.upload import Upload

_RECENT = timedelta(hours=1)


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryLedger:
    """Implements `Ledger`.

    Args:
        machine: The name that results and heartbeats carry.
        pipeline: The pipeline's name.
        tables: Shared with other machines and pipelines.
        clock: Returns the time of a row.
    """

    def __init__(
        self,
        machine: str,
        pipeline: str = "negatives",
        tables: MemoryTables | None = None,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._machine, self._pipeline, self._clock = machine, pipeline, clock
        self.tables = tables or MemoryTables()
        self._lock = self.tables.lock

    @property
    def results(self) -> list[Result]:
        """The pipeline's results, in the order of their first recording."""
        return [result for _, _, result in self._rows()]

    def unfinished_attempts(self, bucket: str) -> dict[Upload, Attempt]:
        """See `Ledger.unfinished_attempts`."""
        with self._lock:
            now = self._clock()
            return {
                upload: replace(row.shown, seconds=(now - (row.failed_at or now)).total_seconds())
                for (pipeline, upload), row in self.tables.attempts.items()
                if (pipeline, upload.bucket) == (self._pipeline, bucket)
                and not self._is_leased_elsewhere(upload.key)
            }

    def _is_leased_elsewhere(self, key: str) -> bool:
        now = self._clock()
        _, machine, until = self.tables.leases.get((self._pipeline, key), (None, "", now))
        return machine != self._machine and until > now

    def find_origins(
        self, claims: Sequence[Claim], sources: Collection[str]
    ) -> dict[Upload, Origin]:
        """See `Ledger.find_origins`."""
        with self._lock:
            found = {
                one.upload: self._retry(one)
                or self._copy(one, sources)
                or self._manifest(one)
                or self._message(one)
                for one in claims
            }
        return {upload: origin for upload, origin in found.items() if origin}

    def _retry(self, claim: Claim) -> Origin | None:
        row = self.tables.retries.get(claim.retry)
        wanted = (self._pipeline, claim.upload.key, claim.sha256)
        if row is None or (row.pipeline, row.key, row.sha256) != wanted:
            return None
        successors = (
            one.job.id
            for one in self.results
            if one.job.retry_of == claim.retry
            or (one.job.id == claim.retry and one.outcome == DROPPED)
        )
        return Origin(row.run_id, row.round, row.parent, claim.retry, next(successors, None))

    def _copy(self, claim: Claim, sources: Collection[str]) -> Origin | None:
        if claim.parent is None:
            return None
        parent = claim.parent.job_id
        pipeline, run, outputs = self.tables.outputs.get(parent, ("", "", ()))
        outputs = [*outputs, *self.tables.former_outputs.get(parent, ())]
        named = {(one.number, one.sha256) for one in outputs}
        if pipeline not in sources or (claim.parent.number, claim.sha256) not in named:
            return None
        return Origin(run, 0, claim.parent, None, self._successor(claim.parent))

    def _manifest(self, claim: Claim) -> Origin | None:
        parent = claim.parent
        if parent is None or parent.number != 1:
            return None
        gather = self.gathers([parent.job_id]).get(parent.job_id)
        if gather is None:
            return None
        if hashlib.sha256(gather.manifest.encode()).hexdigest() != claim.sha256:
            return None
        return Origin(gather.run, 0, parent, None, self._successor(parent))

    def _message(self, claim: Claim) -> Origin | None:
        row = self.tables.messages.get(claim.parent.job_id) if claim.parent else None
        if row is None or claim.parent is None or claim.parent.number != 1:
            return None
        if (row.message.pipeline, row.message.sha256) != (self._pipeline, claim.sha256):
            return None
        return Origin(None, 0, claim.parent, None, self._successor(claim.parent))

    def _successor(self, parent: Parent) -> str | None:
        jobs = (one.job for one in self.results)
        return next((job.id for job in jobs if job.parent == parent and job.round == 0), None)

    def start(self, jobs: Sequence[Job], *, alone: bool) -> dict[str, Started]:
        """See `Ledger.start`."""
        started = {}
        with self._lock:
            for job in jobs:
                key = (self._pipeline, job.upload.key)
                if self._is_leased_elsewhere(job.upload.key):
                    continue
                if key in self.tables.leases:
                    old, machine, _ = self.tables.leases[key]
                    self._note_lost(old, machine)
                lease = Lease(job.upload.key, next(self.tables.fences))
                self.tables.leases[key] = (lease, self._machine, self._lease_end())
                self.tables.leased_for[lease.fence] = job.id
                started[job.id] = self._started(job, lease.fence, alone=alone)
        return started

    def _note_lost(self, lease: Lease, machine: str) -> None:
        job_id = self.tables.leased_for[lease.fence]
        row = self.tables.results.get((self._pipeline, job_id))
        if row is None or row[2].fence < lease.fence:
            self.tables.lost_leases[lease.fence] = (self._pipeline, machine, job_id)

    def _started(self, job: Job, fence: int, *, alone: bool) -> Started:
        place = (self._pipeline, job.upload)
        before = self.tables.attempts.get(place)
        attempt = before or AttemptRow()
        shown = replace(
            attempt.shown, crashes=attempt.shown.crashes + alone, is_alone=alone, problem=None
        )
        attempt = replace(attempt, shown=shown, attempts=attempt.attempts + 1)
        self.tables.attempts[place] = attempt
        row = self.tables.results.get((self._pipeline, job.id))
        is_known = row and (row[0] > self._clock() - _RECENT or shown.is_undeletable)
        recorded = row[2].outcome if row and is_known else None
        prepared = self.tables.prepared.get(job.id)
        if prepared:
            prepared = replace(prepared, fence=fence, attempts=attempt.attempts)
        crashes = before.shown.crashes if before and before.shown.problem is None else None
        return Started(fence, attempt.attempts, crashes, recorded, prepared)

    def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """See `Ledger.renew`."""
        with self._lock:
            return {lease for lease in leases if self._renewed(lease.key, lease.fence)}

    def _renewed(self, key: str, fence: int) -> bool:
        place = (self._pipeline, key)
        lease, machine, _ = self.tables.leases.get(place, (None, "", None))
        if lease is None or lease.fence != fence:
            return False
        self.tables.leases[place] = (lease, machine, self._lease_end())
        return True

    def _may_write(self, result: Result) -> bool:
        """Return whether the lease is held and the job is no copy of a done or dropped one."""
        job = result.job
        is_dropped = any(
            (one.job.id, one.outcome) == (job.retry_of, DROPPED) for one in self.results
        )
        is_done = job.parent is not None and any(
            (one.job.parent, one.job.round, one.outcome) == (job.parent, job.round, DONE)
            for one in self.results
            if one.job.id != job.id
        )
        return self._renewed(job.upload.key, result.fence) and not (is_dropped or is_done)

    def _lease_end(self) -> datetime:
        return self._clock() + timedelta(seconds=LEASE_SECONDS)

    def release(self, leases: Collection[Lease]) -> None:
        """See `Ledger.release`."""
        with self._lock:
            for lease in leases:
                if self._renewed(lease.key, lease.fence):
                    del self.tables.leases[self._pipeline, lease.key]

    def end_leases(self) -> None:
        """See `Ledger.end_leases`."""
        with self._lock:
            for place, (lease, machine, _) in self.tables.leases.items():
                if (place[0], machine) == (self._pipeline, self._machine):
                    past = self._clock() - timedelta(microseconds=1)
                    self.tables.leases[place] = (lease, machine, past)

    def clear_attempts(self, uploads: Sequence[Upload], *, keep_undeletable: bool = False) -> None:
        """See `Ledger.clear_attempts`."""
        with self._lock:
            for upload in uploads:
                row = self.tables.attempts.get((self._pipeline, upload))
                if row and not (keep_undeletable and row.shown.is_undeletable):
                    del self.tables.attempts[self._pipeline, upload]

    def fail(self, problems: Mapping[Upload, str], *, undeletable: bool = False) -> None:
        """See `Ledger.fail`."""
        with self._lock:
            for upload, problem in problems.items():
                place = (self._pipeline, upload)
                row = self.tables.attempts.get(place, AttemptRow(attempts=1))
                shown = replace(
                    row.shown,
                    problem=problem,
                    failures=row.shown.failures + 1,
                    is_undeletable=row.shown.is_undeletable or undeletable,
                )
                self.tables.attempts[place] = replace(row, shown=shown, failed_at=self._clock())

    def uncount_crash(self, upload: Upload) -> None:
        """See `Ledger.uncount_crash`."""
        with self._lock:
            place = (self._pipeline, upload)
            if row := self.tables.attempts.get(place):
                shown = replace(row.shown, crashes=max(row.shown.crashes - 1, 0))
                self.tables.attempts[place] = replace(row, shown=shown)

    def prepare(self, result: Result) -> bool:
        """See `Ledger.prepare`."""
        job = result.job
        with self._lock:
            if job.id in self.tables.prepared or not self._may_write(result):
                return False
            self.tables.prepared[job.id] = result
            self._put_outputs(result)
            return True

    def record(self, results: Sequence[Result]) -> set[str]:
        """See `Ledger.record`."""
        recorded = set()
        with self._lock:
            for result in results:
                job = result.job
                if not self._may_write(result):
                    continue
                row = (self._clock(), self._machine, result)
                self.tables.results[self._pipeline, job.id] = row
                self._put_outputs(result)
                self.tables.prepared.pop(job.id, None)
                self.clear_attempts([job.upload])
                recorded.add(job.id)
        return recorded

    def needs_copy(self, key: str, sha256: str) -> bool:
        """See `Ledger.needs_copy`."""
        results = self.results
        repeated = {one.job.retry_of for one in results}
        return any(
            (one.upload.key, one.input_sha256, one.outcome) == (key, sha256, QUARANTINED)
            and one.job.id not in repeated
            for one in results
        )

    def _put_outputs(self, result: Result) -> None:
        job = result.job
        _, _, former = self.tables.outputs.get(job.id, ("", "", ()))
        self.tables.former_outputs.setdefault(job.id, []).extend(former)
        self.tables.outputs[job.id] = (self._pipeline, job.run_id, result.outputs)

    def lost_leases(self) -> list[LostLease]:
        """See `Ledger.lost_leases`."""
        with self._lock:
            found = []
            for fence, (pipeline, _, job_id) in self.tables.lost_leases.items():
                row = self.tables.results.get((pipeline, job_id))
                if pipeline != self._pipeline or row is None or row[2].fence <= fence:
                    continue
                outputs = [
                    OutputVersion(one.bucket, one.key, one.version_id)
                    for one in row[2].outputs
                    if one.version_id
                ]
                if outputs:
                    found.append(LostLease(fence, job_id, outputs))
            return found

    def end_lost_leases(self, leases: Collection[LostLease]) -> None:
        """See `Ledger.end_lost_leases`."""
        with self._lock:
            for lease in leases:
                if self.tables.lost_leases[lease.fence][1] == self._machine:
                    del self.tables.lost_leases[lease.fence]

    def begin_gathering(self) -> None:
        """See `Ledger.begin_gathering`."""
        with self._lock:
            self.tables.first_passes.setdefault(self._pipeline, self._clock())

    def ended_runs(self, upstream: Upstream, seconds: float | None) -> Iterator[Run]:
        """See `Ledger.ended_runs`."""
        with self._lock:
            since = self.tables.first_passes[self._pipeline]
            if seconds is not None:
                since = max(since, self._clock() - timedelta(seconds=seconds))
            runs = {
                result.job.run_id
                for (pipeline, _), (moment, _, result) in self.tables.results.items()
                if pipeline in upstream.pipelines and moment >= since
            }
            yield from (
                self._run(run)
                for run in sorted(runs)
                if gather_id(self._pipeline, run) not in self.tables.gathers
            )

    def _run(self, run_id: str) -> Run:
        tables = self.tables
        rows = {
            result.job.id: (pipeline, result)
            for (pipeline, _), (_, _, result) in tables.results.items()
            if result.job.run_id == run_id
        }
        repeated = {result.job.retry_of for _, result in rows.values()}
        prepared = {
            job_id: (tables.outputs[job_id][0], result)
            for job_id, result in tables.prepared.items()
            if result.job.run_id == run_id
        }
        jobs = [
            RunJob(
                job_id,
                pipeline,
                result.upload.key,
                WAITING if job_id in prepared else result.outcome,
                result.reason,
                result.job.parent.job_id if result.job.parent else None,
                result.job.parent.number if result.job.parent else None,
                result.job.retry_of,
                is_put_back=job_id in tables.retries and job_id not in repeated,
            )
            for job_id, (pipeline, result) in (rows | prepared).items()
        ]
        results = [
            RunResult(pipeline, job_id, **_result_fields(output))
            for job_id, (pipeline, result) in rows.items()
            for output in tables.outputs[job_id][2]
            if result.outcome == DONE
        ]
        gathers = {
            gather.pipeline: gather.id
            for gather in (row.gather for row in tables.gathers.values())
            if gather.run == run_id
        }
        return Run(run_id, jobs, results, gathers)

    def gather(self, gathers: Sequence[Gather]) -> list[Gather]:
        """See `Ledger.gather`."""
        with self._lock:
            now, end = self._clock(), self._lease_end()
            mine = [
                row.gather
                for row in self.tables.gathers.values()
                if row.gather.pipeline == self._pipeline
                and not row.is_stored
                and (row.machine == self._machine or row.until < now)
            ]
            mine += [one for one in gathers if one.id not in self.tables.gathers]
            for gather in mine:
                self.tables.gathers[gather.id] = GatherRow(gather, self._machine, end)
            return mine

    def note_gathered(self, gathers: Collection[Gather]) -> None:
        """See `Ledger.note_gathered`."""
        with self._lock:
            for one in gathers:
                row = self.tables.gathers[one.id]
                self.tables.gathers[one.id] = replace(row, is_stored=True)

    def gathers(self, ids: Collection[str]) -> dict[str, Gather]:
        """See `Ledger.gathers`."""
        with self._lock:
            rows = [self.tables.gathers[one] for one in ids if one in self.tables.gathers]
        found = (row.gather for row in rows)
        return {one.id: one for one in found if one.pipeline == self._pipeline}

    def gathered_bytes(self, runs: Collection[str]) -> dict[str, int]:
        """See `Ledger.gathered_bytes`."""
        found = self.gathers([gather_id(self._pipeline, run) for run in runs])
        return {one.run: one.bytes for one in found.values()}

    def heartbeat(
        self, problem: str | None, load: Load | None = None, *, is_live: bool = False
    ) -> None:
        """See `Ledger.heartbeat`."""
        place = (self._pipeline, self._machine)
        with self._lock:
            now = self._clock()
            self.tables.heartbeats[place] = (now, problem)
            if is_live:
                self.tables.live.add(place)
            else:
                self.tables.live.discard(place)
            if load is not None:
                self.tables.loads[place] = load
            if problem is not None:
                self.tables.last_errors[self._pipeline] = (now, problem)

    def live_machines(self) -> list[str]:
        """See `Ledger.live_machines`."""
        with self._lock:
            recent = self._clock() - timedelta(seconds=LIVE_SECONDS)
            return sorted(
                machine
                for pipeline, machine in self.tables.live
                if pipeline == self._pipeline
                and self.tables.heartbeats[pipeline, machine][0] > recent
            )

    def _rows(self) -> list[tuple[datetime, str, Result]]:
        with self._lock:
            return [
                row
                for (pipeline, _), row in self.tables.results.items()
                if pipeline == self._pipeline
            ]


def _result_fields(output: Output) -> dict[str, Any]:
    names = ("number", "bucket", "key", "version_id", "etag", "sha256", "bytes")
    return {name: getattr(output, name) for name in names}
