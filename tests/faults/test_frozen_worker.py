"""A worker that is frozen beyond its lease, while another machine goes on: real processes.

The older upload's result must never be the last one, each upload has one row, and each version that
is left is named by a row. The documented exception: without versions, a worker that is frozen while
its PUT is on the way replaces the newer result.
"""

import signal
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from bench.proxy import Proxy
from tests.eventually import eventually, patience
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

OLDER, NEWER = encode(picture(1), "PNG"), encode(picture(2), "PNG")
KEY, RESULT = "x.png", "negated_x.png"
STARTED = b"INSERT INTO pipeline.attempts"
RECORDED = b"INSERT INTO pipeline.prepared_results"


class Machines:
    """Two machines of a stack; what the first one sends goes through a proxy.

    Args:
        pipeline: The stack.
        peer: The server before which the proxy is.
        request: What the request contains at which the first machine is frozen.
        phase: "before" the request, or "after" it was carried out.
        waits: Whether its lease really ends, after 30 s; otherwise it is made to end.
        is_killed: Whether it is killed once its request was carried out.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        peer: str,
        request: bytes,
        phase: str,
        *,
        waits: bool = False,
        is_killed: bool = False,
    ) -> None:
        self.pipeline, self._folder = pipeline, pipeline.folder
        self._peer, self._request, self._phase = peer, request, phase
        self._waits, self._is_killed = waits, is_killed
        self.was_frozen, self._turn = False, 0
        self._has_started = threading.Event()
        self.worker: subprocess.Popen[str]

    def run(self) -> int:
        """Let the first machine make a pass, and return its exit status."""
        pipeline, url = self.pipeline, urlsplit(self.pipeline.store.endpoint)
        address = (str(url.hostname), int(url.port or 0))
        if self._peer == "database":
            address = (pipeline.server.host, pipeline.server.port)
        with Proxy(*address, self._act) as proxy:
            if self._peer == "store":
                self.use("vm-1", store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
            else:
                self.use("vm-1", database={"port": proxy.port})
            self.worker = pipeline.popen("drain")
            self._has_started.set()
            _, errors = self.worker.communicate(timeout=300 * patience())
        assert self.was_frozen
        assert "Traceback" not in errors
        return int(self.worker.returncode)

    def use(self, machine: str, **changes: dict[str, object]) -> None:
        """Let the next worker be one of a machine."""
        self.pipeline.folder = self._folder / machine
        self.pipeline.configure(top={"machine": machine}, **changes)

    def _act(self, turn: int, phase: str, request: bytes) -> None:
        if self._request in request and not self._turn:
            # A statement is prepared by a request of its own, which does not carry it out.
            self._turn = turn + (self._peer == "database")
        if turn != self._turn:
            return
        if phase == self._phase and not self.was_frozen:
            self.was_frozen = True
            self._has_started.wait()
            self.worker.send_signal(signal.SIGSTOP)
            try:
                self._go_on()
            finally:
                self.worker.send_signal(signal.SIGCONT)
        if phase == "after" and self._is_killed:
            self.worker.kill()
            self.worker.wait()

    def _go_on(self) -> None:
        """Let the other machine process the upload, and a newer one of its key."""
        if self._waits:
            ended = "SELECT bool_and(until < now()) AS ended FROM pipeline.leases"
            eventually(lambda: self.pipeline.sql(ended)[0]["ended"], every=1)
        else:
            self.pipeline.sql("UPDATE pipeline.leases SET until = now() - interval '1 second'")
        self.use("vm-2")
        self.pipeline.drain()
        self.pipeline.put(KEY, NEWER)
        self.pipeline.drain()


def check(pipeline: Pipeline, newest: bytes = NEWER) -> None:
    assert error(decode(pipeline.get(RESULT)), negated(newest)) == 0
    assert pipeline.left() == []
    rows = pipeline.sql("SELECT outcome FROM pipeline.results ORDER BY last_modified")
    assert [row["outcome"] for row in rows] == ["done", "done"]
    assert pipeline.sql("SELECT * FROM pipeline.attempts") == []
    if pipeline.versions:
        listed = pipeline.s3.list_object_versions(Bucket=pipeline.output)["Versions"]
        named = pipeline.sql("SELECT version_id FROM pipeline.outputs")
        assert {one["VersionId"] for one in listed} == {row["version_id"] for row in named}


PUT = "the PUT of its result"
MOMENTS = {
    "it has its lease": ("database", STARTED, "after"),
    PUT: ("store", b"PUT /OUTPUT/", "before"),
    "its result is stored": ("store", b"PUT /OUTPUT/", "after"),
    "it writes its row": ("database", RECORDED, "before"),
    "its row is written": ("database", RECORDED, "after"),
}


@pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_that_is_frozen(pipeline: Pipeline, moment: str) -> None:
    peer, request, phase = MOMENTS[moment]
    request = request.replace(b"OUTPUT", pipeline.output.encode())
    machines = Machines(pipeline, peer, request, phase, waits=request == STARTED)
    pipeline.put(KEY, OLDER)
    assert machines.run() == 0
    in_the_window = moment == PUT and not pipeline.versions
    check(pipeline, OLDER if in_the_window else NEWER)
    machines.use("vm-1")
    pipeline.drain()
    check(pipeline, OLDER if in_the_window else NEWER)


def test_a_worker_that_is_frozen_and_then_killed(versioned: Pipeline) -> None:
    """It has replaced the newer result, and cannot know: its next pass removes what it stored."""
    request = f"PUT /{versioned.output}/".encode()
    machines = Machines(versioned, "store", request, "before", is_killed=True)
    versioned.put(KEY, OLDER)
    assert machines.run() == -signal.SIGKILL
    assert error(decode(versioned.get(RESULT)), negated(OLDER)) == 0
    machines.use("vm-1")
    versioned.drain()
    check(versioned)
