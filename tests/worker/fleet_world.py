"""Several machines that share a pipeline's work, in memory: without processes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

from tests.eventually import patience
from tests.worker.world import Transforms, World
from worker.dispatch.memory_assignments import MemoryAssignments
from worker.dispatch.memory_queue import MemoryTaskQueue, QueueTables
from worker.errors import PassInterrupted, ServiceUnavailable
from worker.jobs.bucket_pass import Pass
from worker.jobs.fleet_source import FleetSource
from worker.ledger.ledger import Ledger


@dataclass
class Machine:
    """A machine's pass, in a thread.

    Attributes:
        one: The pass.
        transforms: What its sandbox does.
        expected: Errors that may end the pass.
        queues: Its end of the queue, once it is made.
        problem: Why the pass has failed, if it has.
    """

    one: Pass
    transforms: Transforms
    expected: tuple[type[BaseException], ...]
    queues: list[MemoryTaskQueue] = field(default_factory=list)
    problem: str | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with suppress(PassInterrupted):
                self.one.run()
        except self.expected as error:
            self.problem = str(error)

    def stop(self) -> None:
        """End it as by SIGTERM."""
        self.one.stop()
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(60 * patience())
        assert not self._thread.is_alive()


@contextmanager
def set_at_the_end(event: threading.Event) -> Iterator[None]:
    """Set an event that a transform waits for, also if the test fails before it does so."""
    try:
        yield
    finally:
        event.set()


class Fleet:
    """The machines of a pipeline, while the context lasts.

    Args:
        world: The stack.
        pipeline: The pipeline's name.
        threads: Those of each machine.
        expected: Errors that may end a pass.
    """

    def __init__(
        self,
        world: World,
        pipeline: str = "negatives",
        threads: int = 2,
        expected: tuple[type[BaseException], ...] = (ServiceUnavailable,),
    ) -> None:
        self._expected = expected
        self._world, self._pipeline, self._threads = world, pipeline, threads
        self.queue = QueueTables()
        self.machines: dict[str, Machine] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for machine in self.machines.values():
            machine.stop()

    def start(
        self,
        name: str,
        transforms: Transforms | None = None,
        ledger: Ledger | None = None,
        is_outdated: Callable[[], bool] = lambda: False,
    ) -> Machine:
        """Start a machine; without transforms or a ledger of its own it has the world's."""
        world, queues = self._world, list[MemoryTaskQueue]()
        pool = transforms or world.transforms
        context = replace(world.context(self._pipeline, ledger, name), pool=pool)
        assignments = MemoryAssignments(name, self._pipeline, world.tables, self.queue)

        def make_queue(*functions: object) -> MemoryTaskQueue:
            make = partial(MemoryTaskQueue, self.queue, self._pipeline, self._threads)
            queues.append(make(*functions))  # type: ignore[arg-type]
            return queues[-1]

        source = FleetSource(context, self._threads, world.schedule, assignments, make_queue)
        one = Pass(context, self._threads, source, is_outdated)
        machine = Machine(one, pool, self._expected, queues)
        self.machines[name] = machine
        return machine

    @property
    def is_empty(self) -> bool:
        """Whether nothing is assigned."""
        with self.queue.changed:
            return not self.queue.tasks

    @property
    def lister(self) -> str | None:
        """The machine that lists."""
        with self.queue.changed:
            machine, _ = self.queue.listers.get(self._pipeline, (None, None))
            return machine
