"""The dispatch of a pipeline's works: in memory, and in PostgreSQL."""

import queue
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.eventually import eventually, patience
from tests.worker.ledgers import Ledgers, LedgersInMemory, LedgersInPostgres
from tests.worker.pipeline import Pipeline
from worker import settings
from worker.dispatch.assignments import Assignments, Depth
from worker.dispatch.bundle import Bundle
from worker.dispatch.memory_assignments import MemoryAssignments
from worker.dispatch.memory_queue import MemoryTaskQueue, QueueTables
from worker.dispatch.postgres_assignments import open_assignments
from worker.dispatch.queue_name import queue_name
from worker.dispatch.task_queue import Assigned, TaskQueue
from worker.jobs.fleet_source import Queue
from worker.ledger.connection import connect_worker
from worker.ledger.postgres_ledger import open_ledger
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

NAME = "negatives"


Receive = Callable[[Assigned], None]
Fail = Callable[[str], None]


class Dispatch:
    """The assignments and queues of a pipeline's machines, and its ledgers."""

    ledgers: Ledgers

    def assignments(self, machine: str) -> Assignments:
        raise NotImplementedError

    def queue(self, machine: str, slots: int, receive: Receive, failed: Fail) -> Queue:
        raise NotImplementedError

    def cancel_queued(self) -> None:
        """Do what a pass does that lists by itself."""
        raise NotImplementedError

    def end_lister_lease(self) -> None:
        """Let the lister's lease end."""
        raise NotImplementedError

    def stall(self) -> None:
        """Let all machines' last heartbeat in the queue be a minute old."""
        raise NotImplementedError


class DispatchInMemory(Dispatch):
    def __init__(self) -> None:
        self.ledgers: LedgersInMemory = LedgersInMemory()
        self.tables = QueueTables()
        self._queues: list[MemoryTaskQueue] = []

    def assignments(self, machine: str) -> Assignments:
        return MemoryAssignments(machine, NAME, self.ledgers.tables, self.tables)

    def queue(self, machine: str, slots: int, receive: Receive, failed: Fail) -> Queue:
        made = MemoryTaskQueue(self.tables, NAME, slots, receive, failed)
        self._queues.append(made)
        return made

    def cancel_queued(self) -> None:
        for number, row in list(self.tables.tasks.items()):
            if row.machine is None:
                self.tables.delete(number)

    def end_lister_lease(self) -> None:
        for name, (machine, until) in self.tables.listers.items():
            self.tables.listers[name] = (machine, until - timedelta(minutes=1))

    def stall(self) -> None:
        for one in self._queues:
            one.vanish()


class DispatchInPostgres(Dispatch):
    def __init__(self, pipeline: Pipeline, stack: ExitStack) -> None:
        self.pipeline, self._stack = pipeline, stack
        self._settings = settings.load(pipeline.settings, {}, ())
        connection = stack.enter_context(connect_worker(self._settings))
        self.ledgers = LedgersInPostgres(pipeline, connection)

    def assignments(self, machine: str) -> Assignments:
        opened = open_assignments(replace(self._settings, machine=machine), NAME)
        return self._stack.enter_context(opened)

    def queue(self, machine: str, slots: int, receive: Receive, failed: Fail) -> Queue:
        named = replace(self._settings, machine=machine)
        return TaskQueue(named, NAME, slots, receive, failed)

    def cancel_queued(self) -> None:
        with open_ledger(self._settings, NAME) as ledger:
            ledger.cancel_tasks(queue_name(self._settings.stack, NAME))

    def end_lister_lease(self) -> None:
        self.pipeline.sql("UPDATE pipeline.listers SET until = until - interval '1 minute'")

    def stall(self) -> None:
        self.pipeline.sql(
            "UPDATE pipeline.procrastinate_workers "
            "SET last_heartbeat = last_heartbeat - interval '1 minute'"
        )


def dispatched(pipeline: Pipeline) -> str:
    """Assign a key, and return the one that is received, as the worker's role."""
    loaded = settings.load(pipeline.settings, {}, ())
    upload = Upload(pipeline.input, "a.png", "v", "e", datetime(2026, 1, 2, tzinfo=UTC))
    received = queue.Queue[Assigned]()
    tasks = TaskQueue(loaded, NAME, 1, received.put, lambda problem: None)
    with open_assignments(loaded, NAME) as lister:
        assert lister.lead()
        lister.assign([Bundle([KeyUploads("a.png", [], [upload])], {}, is_slow=False)])
        tasks.open()
        assigned = received.get(timeout=60 * patience())
        assigned.finish()
        eventually(lambda: lister.depth() == Depth())
        tasks.close()
    return assigned.bundle.works[0].key
