"""Several machines that share a pipeline's work, in memory: without processes."""

import threading
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Self

from tests.worker.world import Transforms, World
from worker.dispatch.memory_assignments import MemoryAssignments
from worker.dispatch.memory_queue import MemoryTaskQueue, QueueTables
from worker.errors import ServiceUnavailable
from worker.jobs.bucket_pass import Pass
from worker.jobs.fleet_source import FleetSource


@dataclass
class Machine:
    """A machine's pass, in a thread.

    Attributes:
        one: The pass.
        transforms: What its sandbox does.
        queues: Its end of the queue, once it is made.
        problem: Why the pass has failed, if it has.
    """

    one: Pass
    transforms: Transforms
    queues: list[MemoryTaskQueue] = field(default_factory=list)
    problem: str | None = None

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.one.run()
        except ServiceUnavailable as error:
            self.problem = str(error)

    def stop(self) -> None:
        """End it as by SIGTERM."""
        self.one.stop()
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(60)
        assert not self._thread.is_alive()


class Fleet:
    """The machines of a pipeline, while the context lasts.

    Args:
        world: The stack.
        pipeline: The pipeline's name.
        threads: Those of each machine.
    """

    def __init__(self, world: World, pipeline: str = "negatives", threads: int = 2) -> None:
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

    def start(self, name: str, transforms: Transforms | None = None) -> Machine:
        """Start a machine; without transforms of its own it has the world's."""
        world, queues = self._world, list[MemoryTaskQueue]()
        pool = transforms or world.transforms
        context = replace(world.context(self._pipeline, machine=name), pool=pool)
        assignments = MemoryAssignments(name, self._pipeline, world.tables, self.queue)

        def make_queue(*functions: object) -> MemoryTaskQueue:
            make = partial(MemoryTaskQueue, self.queue, self._pipeline, self._threads)
            queues.append(make(*functions))  # type: ignore[arg-type]
            return queues[-1]

        source = FleetSource(context, self._threads, world.schedule, assignments, make_queue)
        machine = Machine(Pass(context, self._threads, source), pool, queues)
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
