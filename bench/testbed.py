"""Servers and a worker to measure, on this computer: `rclone serve s3` and PostgreSQL."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from bench import usage
from bench.pipeline import WorkerPipeline
from bench.usage import Usage
from local import object_store, postgres

_LOOK_SECONDS, _AWAIT_SECONDS = 0.02, 0.2


class Testbed:
    """Servers below a folder, running while the context lasts; the buckets have no versions."""

    def __init__(self, folder: Path, source: Path) -> None:
        self._folder, self._source = folder, source

    def __enter__(self) -> Self:
        try:
            self.store = object_store.start(self._store, "rclone")
            self.database = postgres.start(self._database)
            self.pipeline = WorkerPipeline(
                self._folder / "worker", self.store, self.database, versions=False
            )
            self.pipeline.__enter__()
            self.pipeline.environment["PYTHONPATH"] = str(self._source)
            self.pipeline.migrate()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        object_store.stop(self._store)
        postgres.stop(self._database)

    @property
    def _store(self) -> Path:
        return self._folder / "store"

    @property
    def _database(self) -> Path:
        return self._folder / "database"

    def fill(
        self, count: int, upload: Callable[[int], tuple[str, bytes]], bucket: str = ""
    ) -> None:
        """Fill the input bucket with uploads 0 to `count`, and empty the output bucket.

        Files are written into the folder of the store, which then reads it again: through S3,
        100,000 uploads would take longer than draining them. Workers may be running.

        Args:
            count: How many.
            upload: Returns the key and content of an upload.
            bucket: Another bucket to fill instead.
        """
        objects = self._store / "objects"
        output, bucket = objects / self.pipeline.output, bucket or self.pipeline.input
        for path in output.iterdir():
            path.unlink()
        for number in range(count):
            key, content = upload(number)
            (objects / bucket / key).write_bytes(content)
        # rclone's VFS forgets the folders that it has read: rclone.org/commands/rclone_mount,
        # "VFS Directory Cache".
        os.kill(_pid(self._store / f"{object_store.NAME}.pid"), signal.SIGHUP)
        while count and not (self._is_filled(bucket) or any(output.iterdir())):
            time.sleep(_LOOK_SECONDS)

    def _is_filled(self, bucket: str) -> bool:
        return "Contents" in self.pipeline.s3.list_objects_v2(Bucket=bucket, MaxKeys=1)

    def await_empty(self) -> None:
        """Wait until the workers have emptied the input bucket, without a request to a server.

        Raises:
            RuntimeError: They take more than two minutes and half a second for each upload.
        """
        folder = self._store / "objects" / self.pipeline.input
        deadline = time.monotonic() + 120 + sum(1 for _ in folder.iterdir()) / 2
        while True:
            with os.scandir(folder) as entries:
                left = next(entries, None)
            if left is None:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"{left.name!r} and others are left in the input bucket")
            time.sleep(_AWAIT_SECONDS)

    def drain(self) -> Usage:
        """Run one pass of the worker, which must empty the input bucket."""
        with (self._folder / "pass.log").open("w", encoding="utf-8") as log:
            used = usage.measure(lambda: self.pipeline.popen("drain", stdout=log))
        if left := self.pipeline.left():
            raise RuntimeError(f"{len(left)} objects were left in the input bucket")
        return used

    def store_cpu(self) -> float:
        """Return the CPU seconds of the store since its last start."""
        return usage.tree_cpu_seconds(_pid(self._store / f"{object_store.NAME}.pid"))

    def database_cpu(self) -> float:
        """Return the CPU seconds of PostgreSQL so far."""
        return usage.tree_cpu_seconds(_pid(self._database / f"{postgres.NAME}.pid"))


def _pid(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))
