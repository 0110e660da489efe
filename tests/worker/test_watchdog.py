"""A pass reports to systemd's watchdog as long as it works, whatever takes its time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.worker.world import INPUT, Transforms, World
from worker.jobs.bucket_pass import Pass
from worker.jobs.own_listing import OwnListing
from worker.store.memory_store import MemoryStore
from worker.uploads.listing import ListPage

HOUR = 3600


class Systemd:
    """What listens to the unit's process."""

    def __init__(self, listening: socket.socket) -> None:
        self._socket = listening

    def discard_pings(self) -> None:
        """Read all pending pings: a full socket would block the process's next one."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(64)

    def await_pings(self, count: int) -> None:
        """Wait until it is reported so often from now on."""
        self.discard_pings()
        self._socket.settimeout(60 * patience())
        for _ in range(count):
            assert self._socket.recv(64) == b"WATCHDOG=1"


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        yield Systemd(listening)


@pytest.fixture
def world(tmp_path: Path) -> World:
    folder = tmp_path / "work"
    folder.mkdir()
    made = World(folder)
    made.schedule = replace(made.schedule, heartbeat=0.02)
    return made


def test_the_last_job_of_a_pass_may_take_long(systemd: Systemd, world: World) -> None:
    """Another machine came: the pass ends after what is running, and has no other work."""
    begun, released = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        assert released.wait(60 * patience())

    world.transforms = Transforms({b"long": hang})
    world.upload("x.png", b"long")
    source = OwnListing(world.context(), 2, world.schedule, HOUR)
    one = Pass(world.context(), 2, source, begun.is_set)
    thread = threading.Thread(target=one.run)
    thread.start()

    def is_outdated() -> bool:
        systemd.discard_pings()
        return one.was_outdated

    eventually(is_outdated)
    systemd.await_pings(5)
    released.set()
    thread.join(60 * patience())
    assert world.outcomes() == {"x.png": "done"}


class Slow(MemoryStore):
    """Has pages that take minutes, and show nothing to do."""

    systemd: Systemd
    minutes = 0

    def list_pages(self, bucket: str, *, versions: bool, prefix: str = "") -> Iterator[ListPage]:
        for _ in range(4 if bucket == INPUT else 0):
            self.systemd.await_pings(2)
            self.minutes += 4
            yield ListPage([])
        yield from super().list_pages(bucket, versions=versions, prefix=prefix)


def test_a_long_listing(systemd: Systemd, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.use(Slow)
    store = world.store
    assert isinstance(store, Slow)
    store.systemd, clock = systemd, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 60 * store.minutes)
    world.run()
    assert store.minutes >= 16
