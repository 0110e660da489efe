"""Memory of a small machine's processes: three pipelines, the page, ingest and its broker."""

import io
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from subprocess import DEVNULL
from typing import Self

from bench import usage
from bench.benchmark import Result, Setup
from bench.broker import broker, publish
from bench.browser import browser
from bench.passes import Passes
from bench.photos import SIZES, PhotoSet
from bench.table import Table
from bench.testbed import Testbed
from bench.workflow import configure

TITLE = "Memory of a machine of 1 GB"
TEXT = """What a machine of `standard.tiny` (1 core, 1 GB) runs with three pipelines, the page and
cameras: passes of `negate`, `thumbnail` and `copy`, the page with its process that makes
thumbnails, `worker ingest` and its broker, on one core. The sum of PSS (proc(5): shared pages count
once) five times a second: at rest, before anything was asked of the page, and the largest while
photographs of 2 MP are in all three input buckets, a camera sends 50, and a browser reads the page
and asks for thumbnails. A process's largest need not be at the moment of the largest sum."""

_PIPELINES: Mapping[str, Mapping[str, object]] = {
    "negatives": {"transform": "negate"},
    "thumbs": {"transform": "thumbnail"},
    "copies": {"transform": "copy"},
}
_MESSAGES, _SHOWN = 50, 20
_SETTLE_SECONDS, _REST_SECONDS, _LOOK_SECONDS, _STOP_SECONDS = 10, 3, 0.2, 20
_SUM = "sum"
_MB = 1_000_000


def measure(setup: Setup) -> Result:
    """Measure 300 photographs in each pipeline, 20 if `quick`."""
    count = setup.count or (20 if setup.quick else 300)
    content = io.BytesIO()
    PhotoSet(setup.photos).mosaic(*SIZES["P2"]).save(content, "JPEG", quality=90)
    photo = content.getvalue()
    with ExitStack() as stack:
        bed = stack.enter_context(Testbed(setup.folder / "testbed", setup.source))
        port, broker_pid = stack.enter_context(broker(setup.folder))
        bed.pipeline.tables["cameras.door"] = {"pipeline": "negatives"}
        buckets = configure(bed.pipeline, setup.source, _PIPELINES)
        with _one_core():
            passes = stack.enter_context(Passes(bed.pipeline, *_PIPELINES))
            page = stack.enter_context(browser(bed.pipeline))
            ingest = stack.enter_context(_ingest(bed, port))
        running = {f"pass of `{name}`": pid for name, pid in passes.pids().items()}
        running |= {"`worker web`": page.pid, "`worker ingest`": ingest, "mosquitto": broker_pid}
        time.sleep(_SETTLE_SECONDS)
        with _Memory(running) as rest:
            time.sleep(_REST_SECONDS)
        with _Memory(running) as busy:
            for bucket in (bed.pipeline.input, *(roles["input"] for roles in buckets.values())):
                bed.fill(count, lambda number: (f"{number:06}.jpg", photo), bucket)
            messages = ((f"image-pipeline/door/1/{n}", photo) for n in range(1, _MESSAGES + 1))
            camera = threading.Thread(target=publish, args=(port, list(messages)))
            camera.start()
            for name in _PIPELINES:
                passes.await_done(name, _SHOWN)
                for row in bed.pipeline.sql(_RECENT, name, _SHOWN):
                    page.get("/")
                    page.get(f"/thumbnails/{row['job_id']}/1?size=large")
            camera.join()
            passes.await_done("negatives", count + _MESSAGES)
            for name in buckets:
                passes.await_done(name, count)
    lines = [
        [name, *(f"{one.largest[name] / _MB:.1f}" for one in (rest, busy))]
        for name in (*running, _SUM)
    ]
    figures = {"rest MB": rest.largest[_SUM] / _MB, "largest MB": busy.largest[_SUM] / _MB}
    columns = [f"{count} photographs in each bucket", "at rest, MB", "largest, MB"]
    return Result([Table("", columns, lines)], figures)


_RECENT = (
    "SELECT job_id FROM pipeline.results WHERE pipeline = %s AND outcome = 'done'"
    " ORDER BY created_at DESC LIMIT %s"
)


@contextmanager
def _one_core() -> Iterator[None]:
    """Let processes that are started meanwhile have one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def _ingest(bed: Testbed, port: int) -> Iterator[int]:
    """Store what cameras send while the context lasts; yield the id of the process."""
    (bed.pipeline.folder / "credentials" / "broker-password").write_text("it asks for none")
    process = bed.pipeline.popen("ingest", "--port", str(port), stdout=DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_SECONDS)


class _Memory:
    """The largest PSS in bytes of processes with their children, and of all together.

    Args:
        running: Name -> id of a process.

    Attributes:
        largest: Name -> bytes while the context lasted; `_SUM` is that of all together.
    """

    def __init__(self, running: Mapping[str, int]) -> None:
        self.largest = dict.fromkeys((*running, _SUM), 0)
        self._running, self._ended = running, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            found = {name: usage.pss(pid) for name, pid in self._running.items()}
            found[_SUM] = sum(found.values())
            self.largest = {name: max(most, found[name]) for name, most in self.largest.items()}
