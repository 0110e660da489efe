"""What the overview shows, kept up to date by two threads, so that no request waits for it.

The ledger is asked every two seconds while somebody looks, the input buckets at a pace that their
size allows: listing takes at most a quarter of one thread's time. Objects are counted every ten
minutes.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from traceback import format_exception
from typing import Any

from worker.errors import PipelineError
from worker.jobs.bucket_counts import bucket_counts
from worker.jobs.machines import SHOWN_JOBS
from worker.jobs.pending import Backlog, tally
from worker.jobs.warnings import stack_warnings
from worker.ledger.messages import INGEST
from worker.ledger.page_ledger import PageLedger
from worker.logs import fields
from worker.settings import Settings
from worker.store.store import Store
from worker.web.connections import Connections
from worker.web.throughput import Period, Throughput

#: Minutes of a camera that are read and drawn.
CAMERA_MINUTES = 60
_SECONDS = 2.0  # between two updates while somebody looks
_IDLE_SECONDS = 30.0
_COUNT_SECONDS = 600.0  # between two counts of the buckets' objects
_WATCHED_SECONDS = 60.0  # since the last look
_SHARE = 4  # of the time between two updates, one part is spent on an update
_NEWEST = 200  # pending jobs of a pipeline that are kept
_REASONS = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """What the ledger says about a pipeline.

    Attributes:
        done: Jobs.
        quarantined: Jobs that no retry repeated.
        queue: What its queue holds (sql/queue_depths.sql), None if it has no tasks.
        hour: The last 60 minutes.
        day: The last 96 quarters of an hour.
    """

    done: int = 0
    quarantined: int = 0
    queue: Mapping[str, int] | None = None
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
        rates: Rows of `PageLedger.rates`.
        running: Rows of `PageLedger.running`.
        undeletable: Rows of `PageLedger.undeletable`.
        cameras: Rows of `PageLedger.cameras`.
        minutes: By camera, rows of its last minutes (`PageLedger.camera_minutes`).
    """

    seen: datetime | None = None
    counts: Mapping[str, Counts] = field(default_factory=dict)
    reasons: Sequence[dict[str, Any]] = ()
    machines: Sequence[dict[str, Any]] = ()
    rates: Sequence[dict[str, Any]] = ()
    running: Sequence[dict[str, Any]] = ()
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
        self._warnings: list[str] = []
        self._counted = -inf
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

    @property
    def warnings(self) -> list[str]:
        """What will soon keep the stack from working, a sentence each."""
        return self._warnings

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
            queues = ledger.queue_depths(names)
            snapshot = Snapshot(
                now,
                {
                    name: self._counts(name, now, quarantined.get(name, 0), queues.get(name))
                    for name in names
                },
                ledger.quarantine_reasons(names, _REASONS),
                ledger.machines([*names, *([INGEST] if cameras else [])]),
                ledger.rates(names),
                ledger.running(names, SHOWN_JOBS),
                ledger.undeletable(names, _REASONS),
                ledger.cameras(cameras) if cameras else (),
                {name: ledger.camera_minutes(name, CAMERA_MINUTES) for name in cameras},
            )
        with self._wake:
            self._snapshot = snapshot

    def _counts(
        self, name: str, now: datetime, quarantined: int, queue: Mapping[str, int] | None
    ) -> Counts:
        found = self._throughput
        return Counts(
            found.done(name),
            quarantined,
            queue,
            found.periods(name, now, timedelta(minutes=1), 60),
            found.periods(name, now, timedelta(minutes=15), 96),
        )

    def _update_backlogs(self) -> None:
        for name, pipeline in self._settings.pipelines.items():
            with self._connections.lend() as connection:
                ledger = PageLedger(connection, self._settings.stack)
                backlog = tally(ledger, self._store, pipeline, _NEWEST)
            with self._wake:
                self._backlogs[name] = backlog
        if time.monotonic() - self._counted > _COUNT_SECONDS:
            self._update_warnings()
            self._counted = time.monotonic()

    def _update_warnings(self) -> None:
        pending = {name: one.pending for name, one in self._backlogs.items()}
        with self._connections.lend() as connection:
            ledger = PageLedger(connection, self._settings.stack)
            counts = bucket_counts(self._settings, ledger, self._store, pending)
            heartbeats = ledger.machines(list(pending))
            self._warnings = stack_warnings(self._settings, ledger, heartbeats, counts)
