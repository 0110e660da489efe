"""A photo that takes the transform seconds, and the worker while it transforms it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import psutil
from PIL import Image

from tests.eventually import eventually
from tests.running import with_word
from tests.worker.pictures import encode
from tests.worker.pipeline import Pipeline


@cache
def slow_photo() -> bytes:
    """Return noise, which lossless WebP compresses at its slowest."""
    noise = Image.frombytes("RGB", (4000, 3000), os.urandom(4000 * 3000 * 3))
    return encode(noise, "WEBP", lossless=True, method=0, quality=0)


def children(parent: int) -> list[psutil.Process]:
    """Return the worker's processes for transforms."""
    try:
        return with_word(psutil.Process(parent).children(), "worker.sandbox.child")
    except psutil.Error:  # the worker has ended
        return []


def busy(parent: int) -> list[psutil.Process]:
    """Return those that transform the slow photo.

    It takes 4 s of CPU, and a start 0.7, on an idle computer: the limit is far from both.
    """
    found = []
    for child in children(parent):
        with suppress(psutil.Error):
            if sum(child.cpu_times()[:2]) > 1.7:
                found.append(child)
    return found


def transforming(pipeline: Pipeline, parent: int, key: str) -> list[psutil.Process]:
    """Return those that transform a key's upload: their pass has begun its job."""
    started = [row["key"] for row in pipeline.sql("SELECT key FROM pipeline.attempts")]
    return busy(parent) if key in started else []


@contextmanager
def transforming_worker(pipeline: Pipeline, key: str) -> Iterator[tuple[int, psutil.Process]]:
    """Start a pass; yield its pid, and the child that is transforming a key's upload."""
    process = pipeline.popen("drain", stdout=(pipeline.folder / "pass.log").open("w"))
    try:

        def found() -> list[psutil.Process]:
            assert process.poll() is None, "the pass ended too early"
            return transforming(pipeline, process.pid, key)

        [child, *_] = eventually(found)
        yield process.pid, child
    finally:
        process.kill()
        process.communicate()
