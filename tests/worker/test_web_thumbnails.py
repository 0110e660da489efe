"""Thumbnails of files whose process was killed, as on a busy machine."""

import asyncio
import os
import threading
from pathlib import Path

import psutil

from tests.worker.slow import busy, slow_photo
from worker.errors import TransformCrashed
from worker.store.memory_store import MemoryStore
from worker.store.store import hash_bytes
from worker.web.stored_files import StoredFile
from worker.web.thumbnails import Thumbnails


def test_a_killed_process_is_no_verdict_about_the_picture(tmp_path: Path) -> None:
    store, contents = MemoryStore(["bucket"]), hash_bytes(slow_photo())
    store.put("bucket", "1.webp", contents, "image/webp", {})
    file = StoredFile("bucket", "1.webp", "", "1.webp", contents.sha256, contents.size)
    ended = threading.Event()

    def kill() -> None:
        while not ended.is_set():
            for child in busy(os.getpid()):
                psutil.Process(child.pid).kill()
            ended.wait(0.01)

    async def find() -> tuple[str, bool]:
        thumbnails = Thumbnails(store, tmp_path)
        killer = threading.Thread(target=kill)
        killer.start()
        try:
            await thumbnails.find(file, "small")
            problem = ""
        except TransformCrashed as error:
            problem = str(error)
        finally:
            ended.set()
            killer.join()
        try:
            return problem, await thumbnails.find(file, "small") is not None
        finally:
            thumbnails.close()

    problem, is_made = asyncio.run(find())
    assert problem
    assert is_made
