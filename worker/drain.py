"""One pass over the input bucket: list, do, list again, until a listing brings nothing new."""

import fcntl
import os
import shutil
import signal
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

from worker import listing, transforms
from worker.errors import Crash, Left, Obstacle, Stopped
from worker.journal import say
from worker.ledger import Ledger, connect
from worker.listing import Work
from worker.sandbox import Pool
from worker.settings import Settings
from worker.step import CRASHES, Tools, remove, step
from worker.store import Store
from worker.upload import Upload

_GRACE_SECONDS = 10  # after a signal; what is dropped is done again by the next pass


def drain(settings: Settings) -> None:
    """Make a pass; Obstacle where something stood in its way, also in the heartbeat."""
    with ExitStack() as stack:
        folder = _prepare(settings.state, stack)
        password = settings.credential("database-password")
        connection = stack.enter_context(
            connect(settings.database, settings.database.user, password)
        )
        ledger = Ledger(connection, settings.pipeline, settings.machine)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = 2 * (cores or 1) + 2  # downloads and uploads overlap with the transforms
        pool = Pool(settings.transform, settings.limits, folder, cores or 1)
        tools = Tools(
            store_of(settings),
            settings.store,
            ledger,
            pool,
            transforms.load(settings.transform),
            settings.machine,
            folder,
        )
        one_pass = Pass(tools, threads)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: one_pass.stop())
        try:
            one_pass.run()
        except Obstacle as error:
            say("pass", obstacle=str(error), **one_pass.counts)
            with suppress(Obstacle):  # where the database is what failed
                ledger.heartbeat(settings.machine, str(error))
            raise
        say("pass", unenforced=pool.unenforced or None, **one_pass.counts)
        ledger.heartbeat(settings.machine, None)


def store_of(settings: Settings) -> Store:
    """The pipeline's object store."""
    access, secret = settings.credential("s3-access-key"), settings.credential("s3-secret-key")
    return Store(settings.store, access, secret)


class Pass:
    """The work of one pass. A key is worked on by one thread, its uploads oldest first."""

    def __init__(self, tools: Tools, threads: int) -> None:
        self._tools, self._threads = tools, threads
        self._bucket = tools.buckets.input
        self._room = threading.Semaphore(threads)
        self._halted = threading.Event()
        self._obstacles: list[str] = []  # ends the pass
        self._left: list[str] = []  # does not
        self._tried: set[Upload] = set()  # and still in the bucket
        self._suspects: dict[Upload, int] = {}  # to run alone, with the crashes counted
        self._alone: list[Work] = []
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self) -> None:
        """Go on until a listing brings nothing new; Obstacle where anything was in the way."""
        self._suspects = self._tools.ledger.suspects(self._bucket)
        unseen = dict(self._suspects)
        versioned = self._tools.store.versioned(self._bucket)
        executor = ThreadPoolExecutor(self._threads)
        try:
            while self._once(versioned, executor, unseen) and not self._halted.is_set():
                pass
        finally:
            executor.shutdown()
            self._tools.pool.close()
        if self._obstacles or self._left:
            raise Obstacle((self._obstacles or self._left)[0])
        if self._halted.is_set():
            raise Obstacle("The pass was stopped by a signal.")
        for upload in unseen:  # removed by the user meanwhile
            self._tools.ledger.forget(upload)

    def stop(self) -> None:
        """End soon: transforms in hand are dropped, nothing new is begun."""
        self._halted.set()
        self._tools.pool.stop()
        timer = threading.Timer(_GRACE_SECONDS, os._exit, [1])
        timer.daemon = True
        timer.start()

    def _once(
        self, versioned: bool, executor: ThreadPoolExecutor, unseen: dict[Upload, int]
    ) -> bool:
        """Work off one listing; whether it brought anything new."""
        news = False
        futures: set[Future[None]] = set()
        for found in listing.work(self._bucket, self._tools.store.pages(self._bucket, versioned)):
            for upload in found.uploads:
                unseen.pop(upload, None)
            work = self._untried(found)
            if not (work.purge or work.uploads):
                continue
            if not news:
                for bucket in (self._tools.buckets.output, self._tools.buckets.quarantine):
                    self._tools.store.reach(bucket)
            news = True
            if any(upload in self._suspects for upload in work.uploads):
                self._alone.append(work)
                continue
            self._room.acquire()
            if self._halted.is_set():
                break
            future = executor.submit(self._do, work, None)
            futures.add(future)
            future.add_done_callback(futures.discard)
            future.add_done_callback(lambda _: self._room.release())
        for future in list(futures):
            future.result()
        self._work_alone(executor)
        return news

    def _untried(self, work: Work) -> Work:
        return Work(
            work.key,
            [upload for upload in work.purge if upload not in self._tried],
            [upload for upload in work.uploads if upload not in self._tried],
        )

    def _work_alone(self, executor: ThreadPoolExecutor) -> None:
        """What ended a worker or crashed in company: those with the fewest crashes first, so
        that one that ends the worker again and again keeps no other from its turn."""

        def crashes(work: Work) -> int:
            return max(self._suspects.get(upload, 0) for upload in work.uploads)

        waiting, self._alone = sorted(self._alone, key=crashes), []
        for work in waiting:
            if not self._halted.is_set():
                executor.submit(self._do, work, self._suspects).result()

    def _do(self, work: Work, alone: dict[Upload, int] | None) -> None:
        """One key. What goes wrong is noted, never raised; the key's other uploads then wait,
        since the newest one's output must be the last to be written."""
        try:
            self._tried.update(remove(self._tools.store, work.purge))
            self._count("withdrawn", len(work.purge))
            for number, upload in enumerate(work.uploads):
                if self._halted.is_set():
                    return
                try:
                    self._one(upload, alone)
                except Crash as crash:
                    rest = work.uploads[number:]
                    self._crashed(Work(work.key, [], rest), crash, alone)
                    return
        except Stopped:
            pass
        except Obstacle as error:
            self._obstacles.append(str(error))
            self._halted.set()
        except OSError as error:
            self._obstacles.append(
                f"The state folder cannot be used: {error.strerror} ({error.filename})."
            )
            self._halted.set()
        except Exception as error:  # noqa: BLE001  no upload may keep the others from their turn
            text = str(error) if isinstance(error, Left) else f"{type(error).__name__}: {error}"
            say("left", key=work.key, reason=text)
            self._tried.update(work.uploads)
            self._left.append(text)
            self._count("left")

    def _one(self, upload: Upload, alone: dict[Upload, int] | None) -> None:
        results, missed = step(self._tools, [upload], alone)
        if missed:
            self._tried.add(upload)
        if not results:
            self._count("gone")
        for result in results:
            self._count(result.outcome)
            say(
                result.outcome,
                key=upload.key,
                output=result.output_key,
                sha256=result.output_sha256,
                seconds=result.seconds,
                reason=result.reason,
            )

    def _count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def _crashed(self, work: Work, crash: Crash, alone: dict[Upload, int] | None) -> None:
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


def _prepare(state: Path, stack: ExitStack) -> Path:
    """Lock the state folder against a second pass here; return its empty folder for files."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = stack.enter_context((state / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = state / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except BlockingIOError:
        raise Obstacle(f"Another pass is under way in {state}: wait for its end.") from None
    except OSError as error:
        raise Obstacle(f"The state folder {state} cannot be used: {error.strerror}.") from error
    return folder
