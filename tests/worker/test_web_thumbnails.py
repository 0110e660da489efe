"""Thumbnails of files whose process was killed, as on a busy machine."""

import asyncio
import fcntl
import os
import sys
import termios
from array import array
from pathlib import Path

import psutil
import pytest

from tests.eventually import eventually
from tests.worker.pictures import encode, picture
from tests.worker.slow import children
from worker.errors import TransformCrashed
from worker.store.memory_store import MemoryStore
from worker.store.store import hash_bytes
from worker.web.stored_files import StoredFile
from worker.web.thumbnails import Thumbnails


def has_job(child: psutil.Process) -> bool:
    """Return whether a process that stands still was sent something (ioctl_tty(2), FIONREAD)."""
    unread = 0
    for path in Path(f"/proc/{child.pid}/fd").iterdir():
        if str(path.readlink()).startswith("pipe:"):
            pipe, count = os.open(path, os.O_RDONLY | os.O_NONBLOCK), array("i", [0])
            try:
                fcntl.ioctl(pipe, termios.FIONREAD, count)
            finally:
                os.close(pipe)
            unread += count[0]
    return unread > 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_killed_process_is_no_verdict_about_the_picture(tmp_path: Path) -> None:
    store, files = MemoryStore(["bucket"]), []
    for number in range(2):
        contents = hash_bytes(encode(picture(number), "PNG"))
        key = f"{number}.png"
        store.put("bucket", key, contents, "image/png", {})
        files.append(StoredFile("bucket", key, "", key, contents.sha256, contents.size))

    async def find() -> tuple[str, bool]:
        before, thumbnails = children(os.getpid()), Thumbnails(store, tmp_path)
        try:
            await thumbnails.find(files[0], "small")
            (child,) = (one for one in children(os.getpid()) if one not in before)
            child.suspend()
            # SIGSTOP takes effect later: until then the process may read the job that it is sent.
            await asyncio.to_thread(eventually, lambda: child.status() == psutil.STATUS_STOPPED)
            finding = asyncio.create_task(thumbnails.find(files[1], "small"))
            await asyncio.to_thread(eventually, lambda: has_job(child))
            child.kill()
            try:
                await finding
                problem = ""
            except TransformCrashed as error:
                problem = str(error)
            return problem, await thumbnails.find(files[1], "small") is not None
        finally:
            thumbnails.close()

    problem, is_made = asyncio.run(find())
    assert "signal 9" in problem
    assert is_made
