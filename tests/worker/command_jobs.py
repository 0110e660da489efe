"""Pools of command jobs for tests, and sockets that start supervisors."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from worker.environment import Environment
from worker.sandbox.job_pool import JobPool
from worker.settings import Limits, Pipeline

LIMITS = Limits(memory_mb=200, cpu_seconds=30, seconds=60)


class Jobs:
    """A pool, and an input."""

    def __init__(self, folder: Path, job_socket: str | None = None) -> None:
        self.folder, self._socket = folder, job_socket
        self.source = folder / "jobs" / "upload"
        self.source.parent.mkdir()
        self.source.write_text("input")
        self._pools: list[JobPool] = []

    def pool(
        self, *argv: str, limits: Limits = LIMITS, environment: Environment | None = None
    ) -> JobPool:
        pipeline = Pipeline(
            "own",
            "command",
            "in",
            "out",
            parameters=json.dumps({"argv": argv}),
            limits=limits,
        )
        environment = environment or Environment()
        pool = JobPool(pipeline, environment, self.source.parent, 2, self._socket)
        self._pools.append(pool)
        return pool

    def shell(self, script: str, limits: Limits = LIMITS) -> JobPool:
        return self.pool("sh", "-c", script, limits=limits)

    def close(self) -> None:
        for pool in self._pools:
            pool.close()


@contextmanager
def accepting(path: Path, start: Callable[[socket.socket], None]) -> Iterator[None]:
    """Listen, and hand each connection to a function."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with suppress(OSError):  # it was shut down
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        start(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
