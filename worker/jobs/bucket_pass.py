"""One pass over the input bucket: list, do, list again, until listings bring nothing new."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from worker.errors import PassInterrupted, ServiceUnavailable, TransformCrashed
from worker.jobs.steps import CRASHES, Context, remove, step
from worker.logs import say
from worker.store.answers import Found
from worker.uploads import listing
from worker.uploads.listing import Work
from worker.uploads.upload import Upload

_GRACE_SECONDS = 10  # after a signal; what is dropped is done again by the next pass
_PAUSE_SECONDS = 0.5, 1.5  # between listings; at random, so that machines do not list in step
_BEAT_SECONDS = 5
_RETRY_SECONDS = 5


class Pass:
    """The work of one pass. A key is worked on by one thread, its uploads oldest first."""

    def __init__(self, context: Context, threads: int) -> None:
        self._context, self._threads = context, threads
        self._bucket = context.buckets.input
        self._executor = ThreadPoolExecutor(threads)
        self._room = threading.Semaphore(threads)
        self._halted = threading.Event()
        self._obstacles: list[str] = []  # ends the pass
        self._left: list[str] = []  # does not
        self._tried: set[Upload] = set()  # and still in the bucket
        self._suspects: dict[Upload, int] = {}  # to run alone, with the crashes counted
        self._unseen: set[Upload] = set()  # those of them that no listing showed yet
        self._alone: list[Work] = []
        self._reached = False
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self, linger: float) -> None:
        """Go on until a listing brings nothing new, and from then on list again for so many
        seconds; ServiceUnavailable where anything was in the way.

        What was left is not tried twice in a pass. The pass ends soon for its sake, so that the
        next one can try; what comes in meanwhile is not kept waiting.
        """
        self._suspects = self._context.ledger.unfinished_attempts(self._bucket)
        self._unseen = set(self._suspects)
        versioned = self._context.store.versioned(self._bucket)
        end = beat = 0.0
        try:
            while True:
                news = self._once(versioned)
                if self._obstacles:
                    raise ServiceUnavailable(self._obstacles[0])
                if news and self._halted.is_set():
                    raise ServiceUnavailable("The pass was stopped by a signal.")
                if news:
                    beat = 0.0
                    continue
                now = time.monotonic()
                end = end or now + linger
                if self._left:
                    end = min(end, now + _RETRY_SECONDS)
                if now >= end or self._halted.is_set():
                    break
                if now >= beat:
                    self._rest()
                    beat = now + _BEAT_SECONDS
                if self._halted.wait(random.uniform(*_PAUSE_SECONDS)):  # noqa: S311
                    break
        finally:
            self._executor.shutdown()
            self._context.pool.close()
        if self._left:
            raise ServiceUnavailable(self._left[0])
        self._rest()

    def stop(self) -> None:
        """End soon: transforms in hand are dropped, nothing new is begun."""
        self._halted.set()
        self._context.pool.stop()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, [1])
        timer.daemon = True
        timer.start()

    def _rest(self) -> None:
        """Tell the ledger that all is drained, and what was left."""
        ledger = self._context.ledger
        ledger.clear_attempts(list(self._unseen))  # removed by the user meanwhile
        self._unseen.clear()
        ledger.heartbeat(self._left[0] if self._left else None)

    def _once(self, versioned: bool) -> bool:
        """Work off one listing; whether it brought anything new."""
        news = False
        futures: set[Future[None]] = set()
        pages = self._context.store.pages(self._bucket, versioned)
        fresh = self._fresh(listing.work(self._bucket, pages))
        for batch in listing.batches(fresh, self._threads):
            news = True
            self._room.acquire()
            if self._halted.is_set():
                break
            future = self._executor.submit(self._do, batch, None)
            futures.add(future)
            future.add_done_callback(futures.discard)
            future.add_done_callback(lambda _: self._room.release())
        for future in list(futures):
            future.result()
        return self._work_alone() or news

    def _fresh(self, works: Iterable[Work]) -> Iterator[Work]:
        """What was not tried yet; what must run alone is put aside."""
        for found in works:
            self._unseen.difference_update(found.uploads)
            work = Work(
                found.key,
                [upload for upload in found.purge if upload not in self._tried],
                [upload for upload in found.uploads if upload not in self._tried],
            )
            if not (work.purge or work.uploads):
                continue
            if not self._reached:
                for bucket in (self._context.buckets.output, self._context.buckets.quarantine):
                    self._context.store.reach(bucket)
                self._reached = True
            if any(upload in self._suspects for upload in work.uploads):
                self._alone.append(work)
            else:
                yield work

    def _work_alone(self) -> bool:
        """What ended a worker or crashed in company: those with the fewest crashes first, so
        that one that ends the worker again and again keeps no other from its turn."""

        def crashes(work: Work) -> int:
            return max(self._suspects.get(upload, 0) for upload in work.uploads)

        waiting, self._alone = sorted(self._alone, key=crashes), []
        for work in waiting:
            if not self._halted.is_set():
                self._executor.submit(self._do, [work], self._suspects).result()
        return bool(waiting)

    def _do(self, batch: list[Work], alone: dict[Upload, int] | None) -> None:
        """Several keys' only uploads together, or all there is to do for one. What goes wrong is
        noted, never raised; a key's other uploads then wait, since the newest one's output must be
        the last to be written."""
        try:
            if batch[0].simple:
                self._step([work.uploads[0] for work in batch], alone)
            else:
                self._do_key(batch[0], alone)
        except PassInterrupted:
            pass
        except ServiceUnavailable as error:
            self._obstacles.append(str(error))
            self._halted.set()
        except OSError as error:
            self._obstacles.append(
                f"The state folder cannot be used: {error.strerror} ({error.filename})."
            )
            self._halted.set()
        except Exception as error:  # noqa: BLE001  a flaw of ours may keep no other from its turn
            for work in batch:
                self._leave(work.key, work.uploads, f"{type(error).__name__}: {error}")

    def _do_key(self, work: Work, alone: dict[Upload, int] | None) -> None:
        for upload in work.purge:  # one by one: their order counts
            listed = Found(upload.etag, upload.last_modified, upload.size)
            missed, troubles = remove(self._context.store, {upload: listed})
            self._tried.update(missed)
            if troubles:
                return self._leave(work.key, [upload, *work.uploads], str(troubles[upload]))
        self._count("withdrawn", len(work.purge))
        for number, upload in enumerate(work.uploads):
            if self._halted.is_set() or self._step([upload], alone, work.uploads[number + 1 :]):
                return None
        return None

    def _step(
        self,
        uploads: list[Upload],
        alone: dict[Upload, int] | None,
        waiting: Sequence[Upload] = (),
    ) -> bool:
        """Bring uploads to their end; whether any is still there. `waiting`: newer ones of the
        same key."""
        outcome = step(self._context, uploads, alone)
        self._tried.update(outcome.gone, outcome.missed)
        self._count("gone", len(outcome.gone))
        for result in outcome.results:
            self._count(result.outcome)
            say(
                result.outcome,
                key=result.upload.key,
                output=result.output_key,
                sha256=result.output_sha256,
                seconds=result.seconds,
                reason=result.reason,
            )
        for upload, trouble in outcome.troubles.items():
            if isinstance(trouble, TransformCrashed):
                self._crashed(Work(upload.key, [], [upload, *waiting]), trouble, alone)
            else:
                self._leave(upload.key, [upload, *waiting], str(trouble))
        return bool(outcome.troubles)

    def _leave(self, key: str, uploads: Iterable[Upload], reason: str) -> None:
        say("left", key=key, reason=reason)
        self._tried.update(uploads)
        self._left.append(reason)
        self._count("left")

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def _crashed(
        self, work: Work, crash: TransformCrashed, alone: dict[Upload, int] | None
    ) -> None:
        upload = work.uploads[0]
        if alone is None:  # perhaps for what ran beside it: it gets its turn alone, in this pass
            self._suspects[upload] = 0
            self._alone.append(work)
            return
        self._suspects[upload] = alone.get(upload, 0) + 1
        self._tried.update(work.uploads)
        text = (
            f"{upload.key!r} crashed its transform ({self._suspects[upload]} of {CRASHES}): {crash}"
        )
        say("crash", key=upload.key, reason=str(crash), crashes=self._suspects[upload])
        self._left.append(text)
