"""A photo that takes the transform a while, and ways to catch the worker over it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import psutil
from PIL import Image

from tests.eventually import eventually
from tests.worker.pictures import encode
from tests.worker.pipeline import Pipeline


@cache
def slow_photo() -> bytes:
    """Noise, which WebP compresses losslessly at its slowest: seconds on any machine."""
    noise = Image.frombytes("RGB", (4000, 3000), os.urandom(4000 * 3000 * 3))
    return encode(noise, "WEBP", lossless=True, method=0, quality=0)


def children(parent: int) -> list[psutil.Process]:
    """The worker's processes for transforms."""
    try:
        return [
            child
            for child in psutil.Process(parent).children()
            if "worker.sandbox.child" in child.cmdline()
        ]
    except psutil.Error:
        return []


def busy(parent: int) -> list[psutil.Process]:
    """Those of them that are at the slow photo: starting up takes less than half a second."""
    found = []
    for child in children(parent):
        with suppress(psutil.Error):
            if sum(child.cpu_times()[:2]) > 0.5:
                found.append(child)
    return found


@contextmanager
def caught(pipeline: Pipeline, key: str) -> Iterator[tuple[int, psutil.Process]]:
    """A worker in the middle of the transform of this key's upload, and the child that does it."""
    process = pipeline.popen("drain", stdout=(pipeline.folder / "pass.log").open("w"))
    try:

        def at_it() -> list[psutil.Process]:
            assert process.poll() is None, "the pass ended too early"
            begun = [row["key"] for row in pipeline.sql("SELECT key FROM pipeline.attempts")]
            return busy(process.pid) if key in begun else []

        eventually(lambda: bool(at_it()))
        yield process.pid, at_it()[0]
    finally:
        process.kill()
        process.communicate()
