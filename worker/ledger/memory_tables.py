"""The tables of the ledger in memory."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from worker.ledger.ledger import Attempt, Lease, Output, Result
from worker.ledger.messages import CameraMinute, Message
from worker.ledger.runs import Gather
from worker.load import Load
from worker.uploads.job import Parent
from worker.uploads.upload import Upload


@dataclass(frozen=True)
class RetryRow:
    """A row of the table `retries`."""

    pipeline: str
    round: int
    run_id: str
    key: str
    sha256: str
    parent: Parent | None = None


@dataclass(frozen=True)
class AttemptRow:
    """A row of the table `attempts`: what `Ledger` shows of it, its starts, and when it failed."""

    shown: Attempt = field(default_factory=Attempt)
    attempts: int = 0
    failed_at: datetime | None = None


@dataclass(frozen=True)
class GatherRow:
    """A row of the table `gathers`: `machine` stores the file, until another one may."""

    gather: Gather
    machine: str
    until: datetime
    is_stored: bool = False


@dataclass(frozen=True)
class MessageRow:
    """A row of the table `messages`."""

    message: Message
    created_at: datetime
    is_stored: bool = False


@dataclass
class MemoryTables:
    """The tables of a stack; several ledgers may share them. Keys begin with the pipeline.

    Attributes:
        attempts: By pipeline and upload.
        results: When a row was written, and the row.
        outputs: The producing pipeline, the run and the objects, by job id.
        former_outputs: What `outputs` named before, by job id.
        prepared: Results without a row.
        leases: The lease, its machine, and when it ends.
        leased_for: By fence: the job.
        lost_leases: By fence: the pipeline, the machine, and the job.
        retries: By the id of the quarantined job.
        gathers: By id.
        messages: By id.
        camera_minutes: The counters, and how much of them has arrived, by their primary key.
        first_passes: When a pipeline that gathers began to, by pipeline.
        heartbeats: When, and the problem, by pipeline and machine.
        live: Machines whose passes go on, with their pipelines.
        loads: Of machines, by pipeline and machine.
        last_errors: When, and the problem, by pipeline.
    """

    attempts: dict[tuple[str, Upload], AttemptRow] = field(default_factory=dict)
    results: dict[tuple[str, str], tuple[datetime, str, Result]] = field(default_factory=dict)
    outputs: dict[str, tuple[str, str, Sequence[Output]]] = field(default_factory=dict)
    former_outputs: dict[str, list[Output]] = field(default_factory=dict)
    prepared: dict[str, Result] = field(default_factory=dict)
    leases: dict[tuple[str, str], tuple[Lease, str, datetime]] = field(default_factory=dict)
    leased_for: dict[int, str] = field(default_factory=dict)
    lost_leases: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    retries: dict[str, RetryRow] = field(default_factory=dict)
    gathers: dict[str, GatherRow] = field(default_factory=dict)
    messages: dict[str, MessageRow] = field(default_factory=dict)
    camera_minutes: dict[tuple[str, str, datetime, int], tuple[CameraMinute, int]] = field(
        default_factory=dict
    )
    first_passes: dict[str, datetime] = field(default_factory=dict)
    heartbeats: dict[tuple[str, str], tuple[datetime, str | None]] = field(default_factory=dict)
    live: set[tuple[str, str]] = field(default_factory=set)
    loads: dict[tuple[str, str], Load] = field(default_factory=dict)
    last_errors: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    fences: Iterator[int] = field(default_factory=lambda: count(1))
    lock: threading.RLock = field(default_factory=threading.RLock)
