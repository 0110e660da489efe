"""The interface of the ledger, implemented by PostgreSQL and, for tests, in memory."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from worker.ledger.runs import Gather, Run, Upstream
from worker.load import Load
from worker.uploads.job import Job, Parent
from worker.uploads.upload import Upload

DONE, QUARANTINED, DROPPED = "done", "quarantined", "dropped"
#: States of jobs that are not recorded.
WAITING, RUNNING = "waiting", "running"
#: How long a lease lasts unless it is renewed, in seconds of the database's clock.
LEASE_SECONDS = 30
#: Age of a heartbeat after which its pass counts as ended, in seconds of the database's clock.
LIVE_SECONDS = 30


@dataclass(frozen=True)
class Output:
    """An object that a job stored: one row of the table `outputs`.

    Attributes:
        number: From 1, in the order in which the transform named them.
        bucket: The bucket.
        key: The object key.
        version_id: "" where the bucket has no versions.
        etag: Without quotes.
        sha256: In hex.
        bytes: The object's size.
        content_type: Its media type.
    """

    number: int
    bucket: str
    key: str
    version_id: str
    etag: str
    sha256: str
    bytes: int
    content_type: str


@dataclass(frozen=True)
class Maker:
    """What made a result.

    Attributes:
        transform: The transform's name.
        version: Of its code (worker/transforms).
        parameters_sha256: Of its parameters, in hex: they may be secret.
    """

    transform: str
    version: str = ""
    parameters_sha256: str = ""


@dataclass(frozen=True)
class Result:
    """How an upload was processed: one row of the table `results`.

    Attributes:
        job: The job on the upload.
        fence: Of the lease that the job ran under.
        maker: What made it.
        input_sha256: In hex.
        input_bytes: The size of the input.
        outcome: DONE or QUARANTINED.
        seconds: From the start of the download to the stored output.
        attempts: How often the job was started.
        outputs: The objects that were stored; none unless the outcome is DONE.
        records: The rows that the transform produced.
        notes: What the transform says about its result.
        log: The end of the transform's output.
        reason: Why the upload was quarantined, None if it was not.
        input_text: The input itself, if it is a small text in a first pipeline that others read.
        upload_token: The token of its upload, if that came over HTTP.
    """

    job: Job
    fence: int
    maker: Maker
    input_sha256: str
    input_bytes: int
    outcome: str
    seconds: float = 0
    attempts: int = 1
    outputs: Sequence[Output] = ()
    records: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    log: str | None = None
    reason: str | None = None
    input_text: str | None = None
    upload_token: str | None = None

    @property
    def upload(self) -> Upload:
        """The upload, as it was listed."""
        return self.job.upload


@dataclass(frozen=True)
class Attempt:
    """What is known about an upload that was tried and has no result, or was not deleted.

    Attributes:
        crashes: How often the worker or the transform crashed while the upload ran alone.
        is_alone: Whether the last attempt ran alone.
        problem: Why the last attempt failed; None if it did not end: something crashed.
        failures: How often attempts failed.
        seconds: The time since the last failure.
        is_undeletable: Whether the store refuses to delete the upload.
    """

    crashes: int = 0
    is_alone: bool = False
    problem: str | None = None
    failures: int = 0
    seconds: float = 0
    is_undeletable: bool = False

    @property
    def is_suspect(self) -> bool:
        """Whether the upload must run alone, since it may have caused a crash."""
        return self.problem is None or self.is_alone


@dataclass(frozen=True)
class Started:
    """A job that was started: its key is leased to this machine.

    Attributes:
        fence: Of the lease.
        attempts: How often the job was started, this time included.
        crashes: If the last attempt did not end, the crashes that were counted before.
        recorded: The outcome, if the job was recorded during the last hour, or the store refuses to
            delete its upload: only the deletion is missing.
        prepared: The job's result, if it is stored but not recorded.
    """

    fence: int
    attempts: int = 1
    crashes: int | None = None
    recorded: str | None = None
    prepared: Result | None = None


@dataclass(frozen=True)
class Claim:
    """What an upload's metadata says about where it comes from; anybody can write it.

    Attributes:
        upload: The upload.
        sha256: Of its content, in hex.
        retry: The job whose quarantined upload it was, "" for none.
        parent: The result of another pipeline that it is a copy of, or the message, if any.
    """

    upload: Upload
    sha256: str
    retry: str = ""
    parent: Parent | None = None


@dataclass(frozen=True)
class Origin:
    """Where an upload really comes from.

    Attributes:
        run_id: Its run, None if it begins one: it is a camera's message.
        round: The number of the retry, 0 for a copy of another pipeline's result.
        parent: The result of another pipeline, or the message.
        retry_of: The job that the retry repeats, None for a copy.
        successor: A job that was recorded for the same origin, or the retried job if it was
            dropped: if it is another one than the upload's own, the upload is superfluous.
    """

    run_id: str | None
    round: int = 0
    parent: Parent | None = None
    retry_of: str | None = None
    successor: str | None = None


@dataclass(frozen=True)
class Lease:
    """This machine's right to record and delete the uploads of a key.

    Attributes:
        key: The object key.
        fence: The lease is void once a larger one was given out for the key.
    """

    key: str
    fence: int


class OutputVersion(NamedTuple):
    """A version of an object. Attributes: bucket, key, version_id."""

    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True)
class LostLease:
    """A lease that ended before its job was recorded, under a later lease.

    Attributes:
        fence: Of the lost lease.
        job_id: The job.
        outputs: The recorded versions. Other versions of these keys that the job stored under the
            lost lease are leftovers.
    """

    fence: int
    job_id: str
    outputs: Sequence[OutputVersion]


class Ledger(Protocol):
    """Attempts, leases, results and heartbeats of one pipeline, as seen by one machine.

    An attempt exists from before the transform until the result is recorded. One that is found at
    the start of a pass and has no problem did not end: the worker or the transform died. Every
    method may be called from several threads and raises ServiceUnavailable if the database fails.
    """

    def unfinished_attempts(self, bucket: str) -> dict[Upload, Attempt]:
        """Return the uploads with an attempt, unless another machine has leased their key."""

    def find_origins(
        self, claims: Sequence[Claim], sources: Collection[str]
    ) -> dict[Upload, Origin]:
        """Check where uploads come from.

        Args:
            claims: What their metadata says.
            sources: The pipelines whose results this one reads.

        Returns:
            The origins of those that a row confirms; a retry's rather than a copy's.
        """

    def start(self, jobs: Sequence[Job], *, alone: bool) -> dict[str, Started]:
        """Lease the keys of jobs and count an attempt for each.

        Args:
            jobs: Jobs, each on another key.
            alone: Whether nothing else runs: each also counts as a crash until it ends.

        Returns:
            By id, the jobs whose keys no other machine has leased. A machine takes its own leases
            over.
        """

    def renew(self, leases: Collection[Lease]) -> set[Lease]:
        """Extend leases, and return those that are still held."""

    def release(self, leases: Collection[Lease]) -> None:
        """Give leases back; it may wait for the next statement."""

    def end_leases(self) -> None:
        """End all leases of this machine, so that any machine may start jobs on their keys now.

        No pass may be running on it. Jobs that were not recorded under them count as lost.
        """

    def clear_attempts(self, uploads: Sequence[Upload], *, keep_undeletable: bool = False) -> None:
        """Remove attempts, with crash counts and problems.

        Args:
            uploads: The uploads.
            keep_undeletable: Whether to keep those of uploads that the store refused to delete.
        """

    def fail(self, problems: Mapping[Upload, str], *, undeletable: bool = False) -> None:
        """Record why the last attempts on uploads failed.

        Args:
            problems: A sentence for each upload.
            undeletable: Whether the store refuses to delete them. If they are recorded, they are
                not processed again until their attempts are cleared.
        """

    def uncount_crash(self, upload: Upload) -> None:
        """Undo the crash count of the current attempt."""

    def prepare(self, result: Result) -> bool:
        """Keep a result whose objects are stored: from now on the job is not transformed again.

        Returns:
            Whether it would be recorded (see `record`). If not, nothing was written.
        """

    def record(self, results: Sequence[Result]) -> set[str]:
        """Insert or update one row per job and remove the attempts.

        Returns:
            The ids of the jobs that were recorded: those whose lease is still held, that are no
            further copy of a result that another job has done, and repeat no dropped job.
        """

    def lost_leases(self) -> list[LostLease]:
        """Return the pipeline's lost leases that may have left results; at most 1,000."""

    def end_lost_leases(self, leases: Collection[LostLease]) -> None:
        """Delete lost leases of this machine; those of other machines are kept for a day.

        Another machine may be frozen, and store a result when it continues.
        """

    def needs_copy(self, key: str, sha256: str) -> bool:
        """Return whether a quarantined job without a retry still needs its quarantined copy.

        Args:
            key: The object key.
            sha256: Of the content, in hex: jobs on the same content share a copy.
        """

    def begin_gathering(self) -> None:
        """Note that the pipeline gathers: runs that ended before are left alone."""

    def ended_runs(self, upstream: Upstream, seconds: float | None) -> Iterator[Run]:
        """Yield runs whose results the pipeline may have to gather.

        Args:
            upstream: What is upstream of the pipeline.
            seconds: Only runs that have changed during the last seconds; None: since the first pass
                of the pipeline.

        Yields:
            All that have ended upstream (run_progress.py decides) and have no gather, perhaps more.
        """

    def gather(self, gathers: Sequence[Gather]) -> list[Gather]:
        """Add gathers; one of each run.

        Args:
            gathers: New ones, perhaps none.

        Returns:
            Those whose files this machine is to store: new ones, and those of machines that have
            not done so for `LEASE_SECONDS`. Runs that another machine gathers are left out.
        """

    def note_gathered(self, gathers: Collection[Gather]) -> None:
        """Note that the files of gathers are stored."""

    def gathers(self, ids: Collection[str]) -> dict[str, Gather]:
        """Return the pipeline's gathers of these ids."""

    def gathered_bytes(self, runs: Collection[str]) -> dict[str, int]:
        """Return the size of all members, for runs that the pipeline gathers."""

    def heartbeat(
        self, problem: str | None, load: Load | None = None, *, is_live: bool = False
    ) -> None:
        """Record that this machine works.

        Args:
            problem: What keeps it from working, or stopped its last pass, if anything.
            load: How busy it is; without it, the last one stays.
            is_live: Whether the pass goes on, and waits for further uploads.
        """

    def live_machines(self) -> list[str]:
        """Return the machines whose passes go on: with a heartbeat of the last `LIVE_SECONDS`."""
