"""SIGKILL of the worker before and after every request to the store and the database.

After one more pass, everything is as if nothing had happened.
"""

import signal
import subprocess
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import Proxy
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

PHOTO, BAD = encode(picture(), "PNG"), b"no image at all"
MOST = 80  # requests of a pass over two uploads, at most


class Killer:
    """Kills the worker at one turn."""

    def __init__(self, turn: int, phase: str) -> None:
        self._when = (turn, phase)
        self.process: subprocess.Popen[str] | None = None
        self.killed = False

    def __call__(self, turn: int, phase: str, _: bytes) -> None:
        if (turn, phase) == self._when and self.process:
            self.killed = True
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


@pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("peer", ["store", "database"])
def test_killed_at_every_request(pipeline: Pipeline, peer: str, phase: str) -> None:
    kill_at_each_turn(pipeline, peer, phase)


def kill_at_each_turn(pipeline: Pipeline, peer: str, phase: str, step: int = 1) -> None:
    """Kill at every `step`-th turn, until a pass ends before its turn comes."""
    turn, struck = 1 - step, True
    while struck:
        turn += step
        assert turn < MOST
        pipeline.put("a/x.png", PHOTO)
        pipeline.put("b.png", BAD)
        struck = _killed_pass(pipeline, peer, Killer(turn, phase))
        _nothing_lost(pipeline)
        pipeline.configure()
        pipeline.drain()
        _as_if_nothing_happened(pipeline)
        _reset(pipeline)
    assert turn > 5  # the requests go through the proxy


def _killed_pass(pipeline: Pipeline, peer: str, killer: Killer) -> bool:
    url = urlsplit(pipeline.store.endpoint)
    address = (
        (str(url.hostname), int(url.port or 0))
        if peer == "store"
        else (pipeline.server.host, pipeline.server.port)
    )
    with Proxy(*address, killer) as proxy:
        if peer == "store":
            pipeline.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
        else:
            pipeline.configure(database={"port": proxy.port})
        killer.process = pipeline.popen("drain")
        _, err = killer.process.communicate(timeout=60)
        assert killer.killed == (killer.process.returncode == -signal.SIGKILL), err
        assert killer.killed or killer.process.returncode == 0, err
    return killer.killed


def _nothing_lost(pipeline: Pipeline) -> None:
    """Check that each upload is in the input bucket, or has its row and its output."""
    left, rows = pipeline.left(), {row["key"]: row for row in pipeline.rows()}
    for key in {"a/x.png", "b.png"} - set(left):
        assert key in rows
    if "a/x.png" in rows:
        assert error(decode(pipeline.get("a/negated_x.png")), negated(PHOTO)) == 0
    if "b.png" in rows:
        assert len(pipeline.keys(pipeline.quarantine)) == 2


def _as_if_nothing_happened(pipeline: Pipeline) -> None:
    assert pipeline.left() == []
    rows = sorted((row["key"], row["outcome"]) for row in pipeline.rows())
    assert rows == [("a/x.png", "done"), ("b.png", "quarantined")]
    assert pipeline.keys(pipeline.output) == ["a/negated_x.png"]
    assert error(decode(pipeline.get("a/negated_x.png")), negated(PHOTO)) == 0
    stored = pipeline.keys(pipeline.quarantine)
    assert len(stored) == 2
    body = pipeline.s3.get_object(Bucket=pipeline.quarantine, Key=min(stored))["Body"].read()
    assert body == BAD
    assert pipeline.sql("SELECT * FROM pipeline.attempts") == []


def _reset(pipeline: Pipeline) -> None:
    pipeline.sql("TRUNCATE pipeline.results, pipeline.heartbeats")
    for bucket in (pipeline.output, pipeline.quarantine):
        for key in pipeline.keys(bucket):
            pipeline.s3.delete_object(Bucket=bucket, Key=key)
