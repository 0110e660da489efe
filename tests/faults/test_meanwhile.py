"""What happens while a pass is at a step: another machine works, a user acts, the clock jumps.

`cells(n)`: CI runs some, `./pipeline test --faults` all.
"""

import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.proxy import Fault, Response, Rewrite
from tests.faults.cell import MAX_SECONDS
from tests.faults.chain import BAD, FIRST, GOOD, THIRD, Chain
from tests.faults.steps import DATABASE, REQUESTS, STATEMENTS, STORE, Naming, Steps
from tests.faults.test_matrix import MISSING
from tests.worker.pictures import encode, picture
from worker.store.client import Client, Signer

NEWER = "newer.png"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


class Moment:
    """Calls `act` at the first request of a step."""

    def __init__(self, chain: Chain, peer: str, step: str, phase: str, name: str = FIRST) -> None:
        self._naming, self._where = Naming(Steps.of(name, chain.oracle), peer), (step, phase)
        self.act: Callable[[], object] = lambda: None
        self.came = threading.Event()
        self.days: set[bytes] = set()  # of the client's clock

    def __call__(self, turn: int, phase: str, request: bytes) -> None:
        self.days.update(re.findall(rb"x-amz-date: (\d{8})T", request))
        step = self._naming.name(turn, phase, request)
        if (step, phase) == self._where and not self.came.is_set():
            self.act()
            self.came.set()


FROZEN = [
    (name, step)
    for name in (FIRST, THIRD)
    for step in REQUESTS
    if step not in MISSING[name, "versions"]
]


@pytest.mark.cells(6)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize(("name", "step"), FROZEN)
def test_frozen_beyond_its_leases(
    chains: dict[str, Chain], name: str, step: str, phase: str
) -> None:
    """Another machine does everything meanwhile; then the frozen worker goes on.

    Only with versions: without them it may replace the other one's result (docs/reliability.md).
    """
    chain = chains["versions"]
    chain.begin()
    chain.drain_before(name)
    moment, started = Moment(chain, STORE, step, phase, name), threading.Event()
    with chain.through(STORE, moment):

        def freeze() -> None:
            started.wait()
            worker.send_signal(signal.SIGSTOP)

        moment.act = freeze
        worker = chain.start(name)
        started.set()
        try:
            assert moment.came.wait(MAX_SECONDS)
            for table in ("leases", "gathers"):
                chain.pipeline.sql(f"UPDATE pipeline.{table} SET until = now() - interval '1 s'")  # noqa: S608
            other = chain.start_elsewhere(name)
            _, err = other.communicate(timeout=MAX_SECONDS)
            assert other.returncode == 0, err
            worker.send_signal(signal.SIGCONT)
            _, err = worker.communicate(timeout=MAX_SECONDS)
        finally:
            worker.kill()
            worker.wait()
    assert worker.returncode in (0, 1)
    assert "Traceback" not in err
    chain.finish()


@pytest.mark.cells(2)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("step", [one for one in STATEMENTS if one not in MISSING[FIRST, "plain"]])
def test_sessions_are_terminated(chains: dict[str, Chain], step: str, phase: str) -> None:
    """So does a restart of the server end them: error 57P01, admin_shutdown."""
    chain = chains["plain"]
    chain.begin()
    moment = Moment(chain, DATABASE, step, phase)
    moment.act = lambda: chain.pipeline.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'pipeline-worker' AND datname = current_database()"
    )
    with chain.through(DATABASE, moment):
        worker = chain.start(FIRST)
        _, err = worker.communicate(timeout=MAX_SECONDS)
    assert moment.came.is_set()
    assert worker.returncode in (0, 1)
    assert "Traceback" not in err
    chain.finish()


def test_pages_change_while_they_are_read(chains: dict[str, Chain]) -> None:
    """Pages of one entry, between which a user puts, replaces and deletes."""
    chain, pages = chains["versions"], 0
    chain.begin()
    steps = Steps.of(FIRST, chain.oracle)

    def change(_: int, phase: str, request: bytes) -> Fault | None:
        nonlocal pages
        if steps.of_store(request) != "list" or phase == "after":
            return None
        pages += 1
        if pages == 2:
            chain.put(FIRST, "0 before the others.png", encode(picture(1001), "PNG"))
            chain.put(FIRST, GOOD, encode(picture(1002), "PNG"))
            chain.put(FIRST, NEWER, encode(picture(1003), "PNG"))
            chain.delete(FIRST, BAD)
        return Rewrite(lambda data: data.replace(b"versions=", b"versions=&max-keys=1", 1))

    with chain.through(STORE, change):
        worker = chain.start(FIRST)
        _, err = worker.communicate(timeout=MAX_SECONDS)
    assert worker.returncode == 0, err
    assert pages > 4
    chain.finish()


@pytest.mark.parametrize("kind", ["versions", "plain"])
def test_stale_listing(chains: dict[str, Chain], kind: str) -> None:
    """The store lists what was there before a user replaced, deleted and put objects."""
    chain = chains[kind]
    chain.begin()
    pipeline = chain.pipeline
    store = pipeline.store
    client = Client(store.endpoint, Signer("us-east-1", store.access_key, store.secret_key))
    query = {"versions": ""} if pipeline.versions else {"list-type": "2"}
    body = client.call("GET", pipeline.input, query=query | {"encoding-type": "url"}).body
    chain.put(FIRST, GOOD, encode(picture(2001), "PNG"))
    chain.put(FIRST, NEWER, encode(picture(2002), "PNG"))
    chain.delete(FIRST, BAD)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    steps = Steps.of(FIRST, chain.oracle)

    def answer(_: int, phase: str, request: bytes) -> Fault | None:
        is_listing = phase == "before" and steps.of_store(request) == "list"
        return Response(head.encode() + body) if is_listing else None

    with chain.through(STORE, answer):
        worker = chain.start(FIRST)
        _, err = worker.communicate(timeout=MAX_SECONDS)
    assert worker.returncode in (0, 1)
    assert "Traceback" not in err
    chain.finish()


@pytest.mark.cells(2)
@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
@pytest.mark.parametrize("days", ["-1d", "+1d"])
@pytest.mark.parametrize("step", ["list", "put result", "delete"])
def test_clock_jumps(chains: dict[str, Chain], tmp_path: Path, step: str, days: str) -> None:
    """The worker's clock is set by a day; leases and grace count other clocks."""
    chain = chains["versions"]
    chain.begin()
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    moment = Moment(chain, STORE, step, "before")
    moment.act = lambda: offset.write_text(f"{days}\n")
    former = dict(chain.pipeline.environment)
    chain.pipeline.environment |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    try:
        with chain.through(STORE, moment):
            worker = chain.start(FIRST)
            _, err = worker.communicate(timeout=MAX_SECONDS)
    finally:
        chain.pipeline.environment = former
    assert len(moment.days) == 2
    assert worker.returncode == 0, err
    chain.finish()
