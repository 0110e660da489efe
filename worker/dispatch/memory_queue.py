"""The queue in memory, for tests of the layers above it.

tests/worker/test_assignments.py runs the same checks on it and on PostgreSQL.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import count

from worker.dispatch.bundle import Bundle
from worker.dispatch.task_queue import Assigned


@dataclass(frozen=True)
class TaskRow:
    """A row of procrastinate's tasks.

    Attributes:
        pipeline: The pipeline.
        bundle: As `Bundle.dumps` returns it.
        is_slow: See `Bundle`.
        machine: The machine that has begun it, None if none has.
    """

    pipeline: str
    bundle: str
    is_slow: bool
    machine: "MemoryTaskQueue | None" = None


@dataclass
class QueueTables:
    """The tables of dispatch, which the machines of a fleet share.

    Attributes:
        tasks: By id, oldest first.
        keys: The task of an assigned key, by pipeline and the key's hash.
        listers: The machine, and when its lease ends, by pipeline.
        changed: Their lock; a task was added, or a queue closed.
    """

    tasks: dict[int, TaskRow] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    listers: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add(self, row: TaskRow) -> int:
        """Add a task and return its id."""
        number = next(self._numbers)
        self.tasks[number] = row
        self.changed.notify_all()
        return number

    def delete(self, number: int) -> None:
        """Delete a task, if it is there, with its assignments."""
        self.tasks.pop(number, None)
        for place in [one for one, task in self.keys.items() if task == number]:
            del self.keys[place]


class MemoryTaskQueue:
    """Has the interface of `TaskQueue`.

    Args:
        tables: Those of all machines.
        pipeline: The pipeline's name.
        slots: How many bundles this machine has at a time.
        receive: Called with each bundle, in the queue's thread.
        failed: Called with the reason if the queue fails.
    """

    def __init__(
        self,
        tables: QueueTables,
        pipeline: str,
        slots: int,
        receive: Callable[[Assigned], None],
        failed: Callable[[str], None],
    ) -> None:
        self._tables, self._pipeline, self._slots = tables, pipeline, slots
        self._receive, self._failed = receive, failed
        self._held: set[int] = set()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.problem: str | None = None

    @property
    def is_alive(self) -> bool:
        """Whether its heartbeats go on."""
        return self._is_open

    def open(self) -> None:
        """See `TaskQueue.open`."""
        self._is_open = True
        self._thread.start()

    def close(self) -> None:
        """See `TaskQueue.close`."""
        self.vanish()
        with self._tables.changed:
            for number in self._held:
                self._tables.delete(number)

    def vanish(self) -> None:
        """End as a machine that lost its power, and whose heartbeats ended 30 s ago."""
        with self._tables.changed:
            self._is_open = False
            self._tables.changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def fail(self, problem: str) -> None:
        """Fail: get no further bundles."""
        with self._tables.changed:
            self.problem = problem
            self._tables.changed.notify_all()
        self._failed(problem)

    def _run(self) -> None:
        while assigned := self._next():
            self._receive(assigned)

    def _next(self) -> Assigned | None:
        """Wait for a bundle; None once the queue is closed or has failed."""
        with self._tables.changed:
            while self._is_open and self.problem is None:
                if len(self._held) < self._slots:
                    for number, row in self._tables.tasks.items():
                        if row.pipeline == self._pipeline and row.machine is None:
                            self._tables.tasks[number] = replace(row, machine=self)
                            self._held.add(number)
                            return Assigned(Bundle.loads(row.bundle), partial(self._finish, number))
                self._tables.changed.wait()
            return None

    def _finish(self, number: int) -> None:
        with self._tables.changed:
            if number in self._held and self._is_open:
                self._held.remove(number)
                self._tables.delete(number)
                self._tables.changed.notify_all()
