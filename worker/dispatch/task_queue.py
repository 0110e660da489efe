"""What a machine gets from the queue: a procrastinate worker in a thread of its own."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from procrastinate import App, JobContext
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.worker import Worker
from psycopg_pool import PoolTimeout

from worker.dispatch.assignments import STALLED_SECONDS
from worker.dispatch.bundle import Bundle
from worker.dispatch.queue_connector import QueueConnector
from worker.dispatch.queue_name import TASK, queue_name
from worker.errors import ServiceUnavailable
from worker.ledger.connection import worker_parameters
from worker.ledger.postgres_ledger import statement
from worker.settings import Settings

_HEARTBEAT_SECONDS = 5
_POLL_SECONDS = 5  # if a notification is lost
_NEVER_SECONDS = 86_400.0  # tasks are not aborted on request
_OPEN_SECONDS = 20
_ANSWER_SECONDS = 10  # of the database
_CLOSE_SECONDS = 10


@dataclass(frozen=True, eq=False)
class Assigned:
    """A bundle that this machine has got.

    Attributes:
        bundle: The bundle.
        finish: Ends its task: none of its keys is queued or running here any more. It may be called
            from any thread, also after the queue was closed.
    """

    bundle: Bundle
    finish: Callable[[], None]


class TaskQueue:
    """This machine's procrastinate worker.

    Args:
        settings: Where the database is.
        pipeline: The pipeline's name.
        slots: How many bundles this machine has at a time.
        receive: Called with each bundle, in the queue's thread; it must return at once.
        failed: Called with a sentence once the queue no longer works, in the queue's thread.
    """

    def __init__(
        self,
        settings: Settings,
        pipeline: str,
        slots: int,
        receive: Callable[[Assigned], None],
        failed: Callable[[str], None],
    ) -> None:
        self._parameters = worker_parameters(settings)
        self._queue = queue_name(settings.stack, pipeline)
        self._slots, self._receive, self._failed = slots, receive, failed
        self._thread = threading.Thread(target=self._run, name="queue", daemon=True)
        self._opened: Future[None] = Future()
        self._problem: str | None = None
        self._answered = time.monotonic()
        # Used in the queue's thread only.
        self._loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event
        self._worker: Worker
        self._held: dict[int, asyncio.Future[None]] = {}  # by task
        self._returned: list[int] = []  # tasks

    def open(self) -> None:
        """Begin to receive bundles.

        Raises:
            ServiceUnavailable: The database failed.
        """  # noqa: DOC502  raised by the queue's thread
        self._thread.start()
        self._opened.result()

    @property
    def problem(self) -> str | None:
        """Why the queue no longer works; None if it does."""
        if self._problem is None and time.monotonic() - self._answered > STALLED_SECONDS:
            return f"The queue's thread has not answered for {STALLED_SECONDS} s."
        return self._problem

    def close(self) -> None:
        """Give unfinished bundles back, so that any machine may get them at once.

        It may be closed without having been opened.
        """
        if self._thread.ident is None:
            return
        with suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(3 * _CLOSE_SECONDS)

    def _run(self) -> None:
        asyncio.run(self._serve())

    def _report(self, problem: str) -> None:
        """Note a problem, and get no further bundles; only the first is reported."""
        if self._problem is None and not self._closing.is_set():
            self._problem = problem
            self._worker.stop()
            if self._opened.done():
                self._failed(problem)

    def _note_exception(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what ended a coroutine, unless it was reported when it happened."""
        error = context.get("exception")
        if not isinstance(error, ConnectorException | psycopg.Error | JobAborted):
            self._report(f"The queue failed: {context['message']}: {error!r}.")

    def _note_end(self, working: asyncio.Task[None]) -> None:
        self._report(f"The queue's worker has ended: {working.exception()!r}.")

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(self._note_exception)
        connector = QueueConnector(self._parameters, self._report)
        app = App(connector=connector)
        app.task(name=TASK, pass_context=True)(self._take)
        self._worker = Worker(
            app,
            queues=[self._queue],
            concurrency=self._slots,
            fetch_job_polling_interval=_POLL_SECONDS,
            abort_job_polling_interval=_NEVER_SECONDS,
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=_HEARTBEAT_SECONDS,
            stalled_worker_timeout=STALLED_SECONDS,
        )
        try:
            async with connector.make_pool() as pool:
                await app.open_async(pool)
                await self._work(connector)
        except PoolTimeout as error:
            self._report(f"The database failed in the queue: {error}.")
        finally:
            if not self._opened.done():
                problem = self._problem or "The queue was closed."
                self._opened.set_exception(ServiceUnavailable(problem))

    async def _work(self, connector: QueueConnector) -> None:
        """Work until the queue is closed."""
        working = asyncio.create_task(self._worker.run())
        working.add_done_callback(self._note_end)
        listening = asyncio.create_task(connector.is_listening.wait())
        await asyncio.wait(
            {working, listening}, timeout=_OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        watching = asyncio.create_task(self._watch(connector))
        if listening.done():
            self._opened.set_result(None)
            await self._closing.wait()
        else:
            self._report(f"The database has not answered the queue for {_OPEN_SECONDS} s.")
            self._closing.set()
        watching.cancel()
        listening.cancel()
        self._worker.stop()
        for ended in self._held.values():
            if not ended.done():
                ended.set_exception(JobAborted())
        # The database may be gone: then the next pass must not wait for it here.
        await asyncio.wait({working}, timeout=1 if self._problem else _CLOSE_SECONDS)
        if self._returned and working.done():
            with suppress(ConnectorException):  # in 30 s their tasks are void
                query = statement("return_tasks").decode()
                await connector.execute_query_async(query, ids=self._returned)

    async def _take(self, context: JobContext, bundle: str) -> None:
        """Hand a bundle over, and wait until it has ended: what procrastinate calls the task."""
        try:
            loaded = Bundle.loads(bundle)
        except ValueError:
            return  # another release assigned it: its keys are listed again
        task = context.job.id or 0
        ended = self._held[task] = self._loop.create_future()
        try:
            if self._problem or self._closing.is_set():
                ended.set_exception(JobAborted())
            else:
                finish = partial(self._finish, ended)
                self._receive(Assigned(loaded, finish))
            await ended
        except JobAborted:
            self._returned.append(task)
            raise
        except Exception as error:
            self._report(f"The queue failed at a task: {error!r}.")
            raise
        finally:
            del self._held[task]

    def _finish(self, ended: asyncio.Future[None]) -> None:
        """See `Assigned.finish`."""

        def end() -> None:
            if not ended.done():
                ended.set_result(None)

        with suppress(RuntimeError):  # the thread has ended
            self._loop.call_soon_threadsafe(end)

    async def _watch(self, connector: QueueConnector) -> None:
        """Check that the database knows this machine, and that the worker works."""
        while True:
            await asyncio.sleep(_HEARTBEAT_SECONDS)
            query = statement("queue_heartbeat").decode()
            values = {"worker": self._worker.worker_id, "stalled_seconds": STALLED_SECONDS}
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    row = await connector.execute_query_one_async(query, **values)
            except TimeoutError:
                self._report(f"The database has not answered the queue for {_ANSWER_SECONDS} s.")
                return
            if not row["is_alive"]:
                self._report("The database has no heartbeat of this machine's queue.")
                return
            self._answered = time.monotonic()
