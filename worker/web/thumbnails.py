"""Small pictures of inputs and results, made in the worker's sandbox and kept on disk.

Users' files are decoded in a confined process only (worker/sandbox), never in the server's.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from worker import folder_removal
from worker.errors import InvalidInput, TransformCrashed
from worker.sandbox.pool import Pool
from worker.settings import Limits
from worker.store.store import Store
from worker.web.stored_files import StoredFile

#: Longest sides in pixels.
SIZES: Mapping[str, int] = {"small": 480, "large": 1600}
#: By file name extension, what a thumbnail can be.
TYPES = {".webp": "image/webp", ".png": "image/png"}
_NONE = ".none"  # of a file that is no picture
_MAX_SOURCE_BYTES = 200_000_000
_MAX_CACHE_BYTES = 256_000_000
_KEPT_SHARE = 0.8  # of the largest cache, after old thumbnails were removed
_IDLE_SECONDS = 300
_MAX_CRASHES = 3  # over one file, as with jobs; forgotten when the server ends
_LIMITS = Limits(memory_mb=1024, cpu_seconds=30, seconds=30, pixels=100_000_000)


class Thumbnails:
    """Makes thumbnails one after another: pipelines need the cores.

    Args:
        store: The object store.
        folder: Where they are kept, and where files are decoded; made if it is missing.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._cache, self._work = store, folder / "kept", folder / "work"
        # One thread that lives as long as the pools: they need it (Pool).
        self._thread = ThreadPoolExecutor(1, "thumbnails")
        self._pools: dict[str, Pool] = {}
        self._crashes = Counter[str]()  # by file name
        self._bytes: int | None = None  # of the cache, None until it was measured
        self._end_of_idleness: asyncio.TimerHandle | None = None

    async def find(self, file: StoredFile, size: str) -> Path | None:
        """Return the thumbnail of a file; make it if there is none.

        Args:
            file: The file.
            size: One of SIZES.

        Returns:
            A file with one of the extensions of TYPES; None if no thumbnail can be made of it.

        Raises:
            PipelineError: It cannot be made now.
        """  # noqa: DOC502  raised in the thread
        kept = self._kept(file, size)
        if kept is None:
            loop = asyncio.get_running_loop()
            if self._end_of_idleness:
                self._end_of_idleness.cancel()
            kept = await loop.run_in_executor(self._thread, self._make, file, size)
            self._end_of_idleness = loop.call_later(
                _IDLE_SECONDS, self._thread.submit, self._end_processes
            )
        return None if kept.suffix == _NONE else kept

    def close(self) -> None:
        """End the processes that decode."""
        if self._end_of_idleness:
            self._end_of_idleness.cancel()
        self._thread.submit(self._end_processes)
        self._thread.shutdown(cancel_futures=False)

    def _kept(self, file: StoredFile, size: str) -> Path | None:
        for extension in (*TYPES, _NONE):
            path = self._cache / f"{file.sha256}-{size}{extension}"
            with suppress(OSError):
                os.utime(path)  # the longest unused are removed first
                return path
        return None

    def _make(self, file: StoredFile, size: str) -> Path:
        if kept := self._kept(file, size):  # made while this one waited
            return kept
        self._prepare()
        target = self._cache / f"{file.sha256}-{size}"
        if self._crashes[target.name] == _MAX_CRASHES:
            raise TransformCrashed(f"{file.name!r} ended its process {_MAX_CRASHES} times")
        path = target.with_suffix(_NONE)
        with TemporaryDirectory(dir=self._work) as name:
            try:
                if file.bytes <= _MAX_SOURCE_BYTES:
                    made, content_type = self._transform(file, Path(name) / "source", size)
                    (extension,) = (key for key, value in TYPES.items() if value == content_type)
                    path = made.replace(target.with_suffix(extension))
            except InvalidInput:
                pass
            except TransformCrashed:
                # Not kept on disk: the cause may be a busy machine (a time-out, a kill).
                self._crashes[target.name] += 1
                raise
            if path.suffix == _NONE:
                path.touch()
        self._account(path)
        return path

    def _transform(self, file: StoredFile, source: Path, size: str) -> tuple[Path, str]:
        """Return a thumbnail and its content type."""
        with (
            self._store.open(file.bucket, file.key, file.version_id) as (_, pieces),
            source.open("wb") as written,
        ):
            for piece in pieces:
                written.write(piece)
        ((path, content_type),) = self._pool(size).run([source], [file.name]).files
        return path, content_type

    def _prepare(self) -> None:
        if self._bytes is None:
            folder_removal.remove(self._work)
            for folder in (self._cache, self._work):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._bytes = sum(path.stat().st_size for path in self._cache.iterdir())

    def _pool(self, size: str) -> Pool:
        if size not in self._pools:
            side = SIZES[size]
            parameters = json.dumps({"width": side, "height": side, "format": "webp"})
            self._pools[size] = Pool("thumbnail", parameters, _LIMITS, self._work, 1)
        return self._pools[size]

    def _end_processes(self) -> None:
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    def _account(self, path: Path) -> None:
        """Remove the longest unused thumbnails if the cache is full."""
        self._bytes = (self._bytes or 0) + path.stat().st_size
        if self._bytes <= _MAX_CACHE_BYTES:
            return
        kept = sorted(self._cache.iterdir(), key=lambda one: one.stat().st_mtime)
        for oldest in kept:
            if self._bytes <= _KEPT_SHARE * _MAX_CACHE_BYTES:
                break
            self._bytes -= oldest.stat().st_size
            oldest.unlink()
