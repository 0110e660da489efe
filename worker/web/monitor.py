"""What the overview shows, kept up to date by two threads, so that no request waits for it.

The ledger is asked every two seconds while somebody looks, the input buckets at a pace that their
size allows: listing takes at most a quarter of one thread's time.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from traceback import format_exception
from typing import Any

from worker.errors import PipelineError
from worker.jobs.pending import PendingJob, pending_jobs
from worker.ledger.ledger import RUNNING
from worker.ledger.messages import INGEST
from worker.ledger.page_ledger import PageLedger
from worker.logs import fields
from worker.settings import Pipeline, Settings
from worker.store.store import Store
from worker.web.connections import Connections
from worker.web.throughput import Period, Throughput

#: Minutes of a camera that are read and drawn.
CAMERA_MINUTES = 60
_SECONDS = 2.0  # between two updates while somebody looks
_IDLE_SECONDS = 30.0
_WATCHED_SECONDS = 60.0  # since the last look
_SHARE = 4  # of the time between two updates, one part is spent on an update
_NEWEST = 200  # pending jobs of a pipeline that are kept
_REASONS = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backlog:
    """What a pipeline's input bucket holds.

    Attributes:
        seen: When it was listed; None if it was not yet.
        waiting: Jobs that wait.
        running: Jobs that a machine works on.
        bytes: Of all of them.
        oldest: When the oldest was uploaded.
        newest: The newest of them, newest first.
        problems: Why attempts failed, and of how many jobs.
    """

    seen: datetime | None = None
    waiting: int = 0
    running: int = 0
    bytes: int = 0
    oldest: datetime | None = None
    newest: Sequence[PendingJob] = ()
    problems: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class Counts:
    """What the ledger says about a pipeline.

    Attributes:
        done: Jobs.
        quarantined: Jobs that no retry repeated.
        rate: Jobs done in a minute, over the last ten.
        hour: The last 60 minutes.
        day: The last 96 quarters of an hour.
    """

    done: int = 0
    quarantined: int = 0
    rate: float = 0
    hour: Sequence[Period] = ()
    day: Sequence[Period] = ()


@dataclass(frozen=True)
class Snapshot:
    """What the ledger held at a time.

    Attributes:
        seen: When, by the database's clock; None if nothing is known yet.
        counts: By pipeline.
        reasons: Rows of `PageLedger.quarantine_reasons`.
        machines: Rows of `PageLedger.machines`.
        undeletable: Rows of `PageLedger.undeletable`.
        cameras: Rows of `PageLedger.cameras`.
        minutes: By camera, rows of its last minutes (`PageLedger.camera_minutes`).
    """

    seen: datetime | None = None
    counts: Mapping[str, Counts] = field(default_factory=dict)
    reasons: Sequence[dict[str, Any]] = ()
    machines: Sequence[dict[str, Any]] = ()
    undeletable: Sequence[dict[str, Any]] = ()
    cameras: Sequence[dict[str, Any]] = ()
    minutes: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)


class Monitor:
    """Watches a stack from `start` to `stop`."""

    def __init__(self, settings: Settings, store: Store, connections: Connections) -> None:
        self._settings, self._store, self._connections = settings, store, connections
        self._throughput = Throughput(list(settings.pipelines))
        self._snapshot = Snapshot(counts={name: Counts() for name in settings.pipelines})
        self._backlogs = {name: Backlog() for name in settings.pipelines}
        self._problems: dict[str, str] = {}
        self._looked, self._wake, self._is_stopped = 0.0, threading.Condition(), False
        self._threads = [
            threading.Thread(target=self._run, args=(update,), daemon=True)
            for update in (self._update_ledger, self._update_backlogs)
        ]

    def start(self) -> None:
        """Start watching."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching; an update that has begun is not waited for."""
        with self._wake:
            self._is_stopped = True
            self._wake.notify_all()

    @property
    def problems(self) -> list[str]:
        """Why the last updates failed."""
        return list(dict.fromkeys(self._problems.values()))

    def look(self) -> tuple[Snapshot, dict[str, Backlog]]:
        """Return the newest snapshot and the backlogs, and keep them up to date for a minute."""
        with self._wake:
            was_idle = not self._is_watched
            self._looked = time.monotonic()
            if was_idle:
                self._wake.notify_all()
            return self._snapshot, dict(self._backlogs)

    @property
    def _is_watched(self) -> bool:
        return time.monotonic() - self._looked < _WATCHED_SECONDS

    def _run(self, update: Callable[[], None]) -> None:
        while not self._is_stopped:
            begin = time.monotonic()
            try:
                update()
                self._problems.pop(update.__name__, None)
            except PipelineError as error:
                self._problems[update.__name__] = str(error)
            except Exception as error:  # noqa: BLE001  without its thread the page would be old
                self._problems[update.__name__] = "An update failed: the journal says why."
                _log.error("update failed", extra=fields(error="".join(format_exception(error))))
            cost = time.monotonic() - begin
            with self._wake:
                if not self._is_stopped:
                    pause = _SECONDS if self._is_watched else _IDLE_SECONDS
                    self._wake.wait(max(pause, (_SHARE - 1) * cost))

    def _update_ledger(self) -> None:
        names, cameras = list(self._settings.pipelines), list(self._settings.cameras)
        with self._connections.lend() as connection:
            ledger = PageLedger(connection, self._settings.stack)
            now = ledger.now()
            self._throughput.update(ledger, now)
            quarantined = ledger.quarantined_counts(names)
            snapshot = Snapshot(
                now,
                {name: self._counts(name, now, quarantined.get(name, 0)) for name in names},
                ledger.quarantine_reasons(names, _REASONS),
                ledger.machines([*names, *([INGEST] if cameras else [])]),
                ledger.undeletable(names, _REASONS),
                ledger.cameras(cameras) if cameras else (),
                {name: ledger.camera_minutes(name, CAMERA_MINUTES) for name in cameras},
            )
        with self._wake:
            self._snapshot = snapshot

    def _counts(self, name: str, now: datetime, quarantined: int) -> Counts:
        found = self._throughput
        return Counts(
            found.done(name),
            quarantined,
            found.rate(name, now),
            found.periods(name, now, timedelta(minutes=1), 60),
            found.periods(name, now, timedelta(minutes=15), 96),
        )

    def _update_backlogs(self) -> None:
        for name, pipeline in self._settings.pipelines.items():
            with self._connections.lend() as connection:
                ledger = PageLedger(connection, self._settings.stack)
                backlog = _backlog(ledger, self._store, pipeline)
            with self._wake:
                self._backlogs[name] = backlog


def _backlog(ledger: PageLedger, store: Store, pipeline: Pipeline) -> Backlog:
    """List an input bucket."""
    seen = datetime.now(UTC)
    count = running = size = 0
    oldest = None
    newest: list[PendingJob] = []
    problems: Counter[str] = Counter()
    for job in pending_jobs(ledger, store, pipeline):
        upload = job.upload
        count, running = count + 1, running + (job.state == RUNNING)
        size += upload.size
        oldest = min(oldest or upload.last_modified, upload.last_modified)
        if job.problem:  # the same for other uploads, but for the key
            problems[job.problem.replace(repr(upload.key), "it")] += 1
        newest.append(job)
        if len(newest) >= 2 * _NEWEST:
            newest = _latest(newest)
    waiting = count - running
    found = problems.most_common(_REASONS)
    return Backlog(seen, waiting, running, size, oldest, _latest(newest), found)


def _latest(jobs: Sequence[PendingJob]) -> list[PendingJob]:
    return nlargest(_NEWEST, jobs, key=lambda job: job.time)
