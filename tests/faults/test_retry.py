"""SIGKILL of `jobs retry` and `jobs drop` before and after every request.

The same command again, before or after a pass, does the rest: nothing is lost, nothing comes twice.
"""

import signal
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from bench.proxy import Proxy
from tests.eventually import patience
from tests.worker.jobs import PNG, listed, quarantine
from tests.worker.pictures import decode, error, negated
from tests.worker.pipeline import Pipeline

KEY, RESULT = "a/x.png", "a/negated_x.png"
MOST = 40  # requests of a command, at most


class Killer:
    """Kills the command at one turn."""

    def __init__(self, turn: int, phase: str) -> None:
        self._when = (turn, phase)
        self.process: subprocess.Popen[str]
        self.has_started = threading.Event()
        self.killed = False

    def __call__(self, turn: int, phase: str, _: bytes) -> None:
        if (turn, phase) == self._when:
            self.killed = True
            self.has_started.wait()
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@pytest.mark.cells(2)
@pytest.mark.parametrize(
    ("pipeline", "verb", "is_drained"),
    [
        ("versions", "retry", False),
        ("versions", "retry", True),
        ("plain", "retry", True),
        ("versions", "drop", False),
    ],
    ids=["versions", "versions, after a pass", "plain, after a pass", "drop"],
    indirect=["pipeline"],
)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("peer", ["store", "database"])
def test_killed_at_every_request(
    pipeline: Pipeline, verb: str, peer: str, phase: str, *, is_drained: bool
) -> None:
    turn, struck = 0, True
    while struck:
        turn += 1
        assert turn < MOST
        identifier = quarantine(pipeline, KEY)
        struck = _kill(pipeline, peer, Killer(turn, phase), "jobs", verb, identifier)
        _nothing_lost(pipeline, identifier, verb)
        if is_drained:
            pipeline.drain()
        # As after 30 s: until then a killed drop has the lease of its key.
        pipeline.sql("UPDATE pipeline.leases SET until = now()")
        repeated = pipeline.run("jobs", verb, identifier)
        assert repeated.returncode == 0 or _is_ended(pipeline), repeated
        pipeline.drain()
        _as_if_nothing_happened(pipeline, verb)
        _reset(pipeline)
    assert turn > 3  # the requests go through the proxy


def _kill(pipeline: Pipeline, peer: str, killer: Killer, *arguments: str) -> bool:
    url, server = urlsplit(pipeline.store.endpoint), pipeline.server
    address = (str(url.hostname), int(url.port or 0))
    if peer == "database":
        address = (server.host, server.port)
    with Proxy(*address, killer) as proxy:
        if peer == "store":
            pipeline.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
        else:
            pipeline.configure(database={"port": proxy.port})
        killer.process = pipeline.popen(*arguments)
        killer.has_started.set()
        _, err = killer.process.communicate(timeout=60 * patience())
        assert killer.killed == (killer.process.returncode == -signal.SIGKILL), err
        assert killer.killed or killer.process.returncode == 0, err
    pipeline.configure()
    return killer.killed


def _nothing_lost(pipeline: Pipeline, identifier: str, verb: str) -> None:
    """Check that the upload is kept: in quarantine, or in the input bucket, or it was dropped."""
    if verb == "retry":
        assert len(pipeline.keys(pipeline.quarantine)) == 2
        assert pipeline.left() in ([], [KEY])
    else:
        (row,) = listed(pipeline)
        assert (row["id"], pipeline.left()) == (identifier, [])
        assert row["state"] == "quarantined" or pipeline.keys(pipeline.quarantine) == []


def _is_ended(pipeline: Pipeline) -> bool:
    """Return whether the first command, or the pass after it, has done everything already."""
    return pipeline.rows()[-1]["outcome"] in ("done", "dropped")


def _as_if_nothing_happened(pipeline: Pipeline, verb: str) -> None:
    rows = [row["outcome"] for row in pipeline.rows()]
    assert (pipeline.left(), pipeline.keys(pipeline.quarantine)) == ([], [])
    if verb == "drop":
        assert (rows, pipeline.keys(pipeline.output)) == (["dropped"], [])
        return
    assert rows == ["quarantined", "done"]
    assert pipeline.keys(pipeline.output) == [RESULT]
    assert error(decode(pipeline.get(RESULT)), negated(PNG)) == 0


def _reset(pipeline: Pipeline) -> None:
    pipeline.sql("TRUNCATE pipeline.results, pipeline.outputs, pipeline.retries")
    for key in pipeline.keys(pipeline.output):
        pipeline.s3.delete_object(Bucket=pipeline.output, Key=key)
