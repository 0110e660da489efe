"""A pass over the input bucket: list, process, list again, until a listing shows nothing new."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from worker.errors import PassInterrupted, ServiceUnavailable, TransformCrashed
from worker.jobs.batch import process_batch
from worker.jobs.context import Context
from worker.jobs.deletion import delete_withdrawn
from worker.jobs.lease_keeper import LeaseKeeper
from worker.jobs.transform import MAX_CRASHES
from worker.logs import fields
from worker.uploads.batching import batches
from worker.uploads.listing import KeyUploads, group_by_key
from worker.uploads.upload import Upload

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """The times of a pass, in seconds.

    Attributes:
        pause: The shortest and the longest pause between two listings; random, so that machines do
            not list in step.
        heartbeat: Between two heartbeats while nothing comes.
        retry: How long a pass continues after an upload failed; the next pass tries it again.
        held: How long an upload that another machine works on is left alone.
    """

    pause: tuple[float, float] = (0.5, 1.5)
    heartbeat: float = 5
    retry: float = 5
    held: float = 10


class Pass:
    """One pass. A key's uploads are processed by one thread, oldest first.

    Args:
        context: What all jobs share. The pass closes its pool.
        threads: How many batches are processed at a time.
        schedule: The times.
    """

    def __init__(self, context: Context, threads: int, schedule: Schedule | None = None) -> None:
        self._context, self._threads = context, threads
        self._schedule = schedule or Schedule()
        self._bucket = context.pipeline.input
        self._executor = ThreadPoolExecutor(threads)
        self._free_threads = threading.Semaphore(threads)
        self._stopped = threading.Event()
        self._fatal: list[str] = []  # problems that end the pass
        self._deferred: list[str] = []  # problems of single uploads
        self._tried: set[Upload] = set()  # still in the bucket; not tried again in this pass
        self._held: dict[Upload, float] = {}  # when they may be tried, by time.monotonic
        self._suspects: dict[Upload, int] = {}  # to run alone; crashes counted so far
        self._unlisted: set[Upload] = set()  # suspects that no listing has shown
        self._alone: list[KeyUploads] = []
        self._buckets_checked = False
        self._leases = LeaseKeeper(context.ledger)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def run(self, linger: float) -> None:
        """Process listed uploads until nothing new has been listed for `linger` seconds.

        An upload that failed is not tried twice in a pass. The pass then ends early, so that the
        next one tries it soon; uploads that arrive until then are processed as usual.

        Args:
            linger: 0: end with the first listing that shows nothing new.

        Raises:
            ServiceUnavailable: The pass could not continue, was stopped while there was work, or
                an upload failed.
        """
        self._suspects = self._context.ledger.unfinished_attempts(self._bucket)
        self._unlisted = set(self._suspects)
        versioned = self._context.store.is_versioned(self._bucket)
        end = next_heartbeat = 0.0
        self._leases.open()
        try:
            while True:
                found = self._process_listing(versioned)
                if self._fatal:
                    raise ServiceUnavailable(self._fatal[0])
                if found and self._stopped.is_set():
                    raise ServiceUnavailable("The pass was stopped by a signal.")
                if found:
                    next_heartbeat = 0.0
                    continue
                now = time.monotonic()
                end = end or now + linger
                if self._deferred:
                    end = min(end, now + self._schedule.retry)
                if now >= end or self._stopped.is_set():
                    break
                if now >= next_heartbeat:
                    self._heartbeat()
                    next_heartbeat = now + self._schedule.heartbeat
                pause = random.uniform(*self._schedule.pause)  # noqa: S311
                if self._stopped.wait(pause):
                    break
        finally:
            self._executor.shutdown()
            self._leases.close()
            self._context.pool.close()
        if self._deferred:
            raise ServiceUnavailable(self._deferred[0])
        self._heartbeat()

    def stop(self) -> None:
        """End soon: running transforms are killed, their uploads are left for the next pass."""
        self._stopped.set()
        self._context.pool.stop()

    def _heartbeat(self) -> None:
        """Record that everything listed has been tried, and the first problem of an upload."""
        ledger = self._context.ledger
        ledger.clear_attempts(list(self._unlisted))  # deleted by the user meanwhile
        self._unlisted.clear()
        ledger.heartbeat(self._deferred[0] if self._deferred else None)

    def _process_listing(self, versioned: bool) -> bool:
        """Process one listing, and return whether it showed anything new."""
        found = False
        futures: set[Future[None]] = set()
        pages = self._context.store.list_pages(self._bucket, versions=versioned)
        works = group_by_key(self._bucket, pages, self._context.pipeline.ignore)
        for batch in batches(self._untried(works), self._threads):
            found = True
            self._free_threads.acquire()
            if self._stopped.is_set():
                break
            future = self._executor.submit(self._process, batch, alone=False)
            futures.add(future)
            future.add_done_callback(futures.discard)
            future.add_done_callback(lambda _: self._free_threads.release())
        for future in list(futures):
            future.result()
        return self._process_alone() or found

    def _untried(self, works: Iterable[KeyUploads]) -> Iterator[KeyUploads]:
        """Yield what has not been tried yet; hold back what must run alone."""
        for listed in works:
            self._unlisted.difference_update(listed.uploads)
            work = KeyUploads(
                listed.key,
                [upload for upload in listed.withdrawn if upload not in self._tried],
                [upload for upload in listed.uploads if upload not in self._tried],
            )
            if not (work.withdrawn or work.uploads) or self._is_held(work):
                continue
            self._check_buckets()
            if any(upload in self._suspects for upload in work.uploads):
                self._alone.append(work)
            else:
                yield work

    def _is_held(self, work: KeyUploads) -> bool:
        now = time.monotonic()
        return any(self._held.get(upload, now) > now for upload in work.uploads)

    def _check_buckets(self) -> None:
        if not self._buckets_checked:
            for bucket in self._context.buckets:
                self._context.store.check_bucket(bucket)
            self._buckets_checked = True

    def _process_alone(self) -> bool:
        """Process one by one what crashed the worker, or crashed while others ran beside it.

        Those with the fewest crashes come first: a file that crashes the worker every time must not
        keep the others waiting.

        Returns:
            Whether there was any.
        """

        def crashes(work: KeyUploads) -> int:
            return max(self._suspects.get(upload, 0) for upload in work.uploads)

        waiting, self._alone = sorted(self._alone, key=crashes), []
        for work in waiting:
            if not self._stopped.is_set():
                self._executor.submit(self._process, [work], alone=True).result()
        return bool(waiting)

    def _process(self, batch: list[KeyUploads], *, alone: bool) -> None:
        """Process the single uploads of several keys, or all work for one key; never raise.

        If an upload of a key fails, its newer ones wait: the newest one's output must come last.
        """
        try:
            if batch[0].is_single:
                self._process_uploads([work.uploads[0] for work in batch], alone=alone)
            else:
                self._process_key(batch[0], alone=alone)
        except PassInterrupted:
            pass
        except ServiceUnavailable as error:
            self._end(str(error))
        except OSError as error:
            self._end(f"The state folder cannot be used: {error.strerror} ({error.filename}).")
        except Exception as error:  # noqa: BLE001  a bug must not affect the other batches
            for work in batch:
                self._defer(work.key, work.uploads, f"{type(error).__name__}: {error}")

    def _process_key(self, work: KeyUploads, *, alone: bool) -> None:
        for upload in work.withdrawn:  # one by one: the order matters
            deletion = delete_withdrawn(self._context.store, upload)
            self._tried.update(deletion.missing)
            if deletion.failures:
                reason = str(deletion.failures[upload])
                self._defer(work.key, [upload, *work.uploads], reason)
                return
        self._count("withdrawn", len(work.withdrawn))
        for number, upload in enumerate(work.uploads):
            if self._stopped.is_set():
                return
            newer = work.uploads[number + 1 :]
            if not self._process_uploads([upload], newer, alone=alone):
                return

    def _process_uploads(
        self, uploads: list[Upload], newer: Sequence[Upload] = (), *, alone: bool
    ) -> bool:
        """Process uploads, note their outcomes, and keep back those that failed.

        Args:
            uploads: Each of another key.
            newer: Uploads of the same key, if it is one, that wait for it.
            alone: Whether nothing else runs at the same time.

        Returns:
            Whether none of them failed, and no other machine works on one.
        """
        crashes = self._suspects if alone else None
        outcome = process_batch(self._context, self._leases, uploads, crashes)
        self._tried.update(outcome.missing, outcome.replaced)
        self._count("missing", len(outcome.missing))
        self._count("superfluous", len(outcome.superfluous))
        next_try = time.monotonic() + self._schedule.held
        self._held |= dict.fromkeys(outcome.held, next_try)
        for result in outcome.results:
            self._count(result.outcome)
            extra = fields(
                key=result.upload.key,
                outputs=[output.key for output in result.outputs] or None,
                seconds=result.seconds,
                reason=result.reason,
            )
            _log.info(result.outcome, extra=extra)
        for upload, error in outcome.failures.items():
            if isinstance(error, TransformCrashed):
                self._suspect(KeyUploads(upload.key, [], [upload, *newer]), error, alone=alone)
            else:
                self._defer(upload.key, [upload, *newer], str(error))
        return not (outcome.failures or outcome.held)

    def _suspect(self, work: KeyUploads, crash: TransformCrashed, *, alone: bool) -> None:
        upload = work.uploads[0]
        if not alone:  # another file may be the cause: it runs alone later in this pass
            self._suspects[upload] = 0
            self._alone.append(work)
            return
        crashes = self._suspects.get(upload, 0) + 1
        self._suspects[upload] = crashes
        self._tried.update(work.uploads)
        _log.info("crashed", extra=fields(key=upload.key, reason=str(crash), crashes=crashes))
        self._deferred.append(
            f"{upload.key!r} crashed its transform ({crashes} of {MAX_CRASHES}): {crash}"
        )

    def _defer(self, key: str, uploads: Iterable[Upload], reason: str) -> None:
        _log.info("deferred", extra=fields(key=key, reason=reason))
        self._tried.update(uploads)
        self._deferred.append(reason)
        self._count("deferred")

    def _end(self, problem: str) -> None:
        self._fatal.append(problem)
        self._stopped.set()

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number
