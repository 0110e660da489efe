"""A store, a database and a worker to measure, on this computer: `rclone serve s3`, PostgreSQL."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import meter
from bench.meter import Used
from local import object_store, postgres, processes
from tests.worker.pipeline import Pipeline, client


class Stage:
    """Stands below a folder while the context lasts; its bucket has no versions."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder, self._source = folder, source

    def __enter__(self) -> Self:
        try:
            self.store = object_store.start(self._store, "rclone")
            self.database = postgres.start(self._database)
            self.pipeline = Pipeline(
                self._folder / "worker", self.store, self.database, versions=False
            )
            self.pipeline.__enter__()
            self.pipeline.environment["PYTHONPATH"] = str(self._source)
            self.pipeline.migrate()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        object_store.stop(self._store)
        postgres.stop(self._database)

    @property
    def _store(self) -> Path:
        return self._folder / "store"

    @property
    def _database(self) -> Path:
        return self._folder / "database"

    def lay(self, count: int, upload: Callable[[int], tuple[str, bytes]]) -> None:
        """Lay uploads 0 to count into the input bucket, past the store, which begins anew.

        The output bucket is emptied. (Through S3, 100,000 would take longer than draining them.)
        """
        processes.kill(self._store, object_store.NAME)
        objects = self._store / "objects"
        for path in (objects / self.pipeline.output).iterdir():
            path.unlink()
        for number in range(count):
            key, content = upload(number)
            (objects / self.pipeline.input / key).write_bytes(content)
        self.store = object_store.start(self._store, "rclone")
        self.pipeline.store = self.store
        self.pipeline.s3 = client(self.store)
        self.pipeline.configure()

    def drain(self) -> Used:
        """One pass of the worker, to an empty input bucket; RuntimeError if anything is left."""
        with (self._folder / "pass.log").open("w", encoding="utf-8") as log:
            used = meter.run(lambda: self.pipeline.popen("drain", stdout=log))
        if left := self.pipeline.left():
            raise RuntimeError(f"{len(left)} objects were left in the input bucket")
        return used

    def store_cpu(self) -> float:
        """Seconds of CPU of the store so far, since it began last."""
        return meter.tree_cpu(_pid(self._store / f"{object_store.NAME}.pid"))

    def database_cpu(self) -> float:
        """Seconds of CPU of PostgreSQL so far."""
        return meter.tree_cpu(_pid(self._database / f"{postgres.NAME}.pid"))


def _pid(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))
