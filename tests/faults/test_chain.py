"""SIGKILL of a pipeline and its reader before and after every request: nothing lost or doubled.

The transform makes other bytes each time, so that two attempts cannot be mistaken for one.
tests/worker/test_chain.py kills passes in memory in the same way.
"""

import hashlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import Proxy
from tests.worker.conftest import KINDS
from tests.worker.pipeline import ROOT, Pipeline

FIRST, SECOND = "negatives", "second"
KEY = "a/x.png"
MOST = 80  # requests of a pass, at most
#: A transform with two results, a record and a note, none of which it makes twice.
CODE = """
import os
from pathlib import Path
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    (source,) = inputs
    files = []
    for name in ("one", "two"):
        path = outputs / name
        path.write_bytes(os.urandom(64))
        files.append((path, "application/octet-stream"))
    return Produced(files, [{"of": source.name, "digits": os.urandom(4).hex()}], ["at random"])
"""


@pytest.fixture(scope="session")
def with_random(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the worker's package and one more transform."""
    folder = tmp_path_factory.mktemp("package")
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=ignored)
    transform = folder / "worker" / "transforms" / "random"
    transform.mkdir()
    (transform / "__init__.py").write_text(CODE)
    (transform / "transform.toml").write_text('summary = "random"\npolicy = "picture"\n')
    return folder


class Chain:
    """Two pipelines; the second reads the results of the first."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.input, self.output = (f"{pipeline.name}-2-{role}" for role in ("input", "output"))
        for bucket in (self.input, self.output):
            pipeline.make_bucket(bucket)
        if pipeline.versions:
            for bucket in (self.input, pipeline.output):
                pipeline.s3.put_bucket_versioning(
                    Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
                )
        second: dict[str, object] = {"transform": "random", "input": self.input}
        pipeline.tables = {
            "pipeline": {"transform": "random", "readers": [SECOND]},
            f"pipelines.{SECOND}": second | {"output": self.output, "sources": [FIRST]},
        }
        pipeline.configure()
        pipeline.migrate()

    def sql(self, query: str) -> list[dict[str, Any]]:
        return self.pipeline.sql(query)

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes:
        version = {"VersionId": version_id} if version_id else {}
        answer = self.pipeline.s3.get_object(Bucket=bucket, Key=key, **version)
        return bytes(answer["Body"].read())

    def drain(self, name: str, killer: "Killer | None" = None, peer: str = "") -> None:
        """Make a pass, through a proxy before the store or the database if one is named."""
        if killer is None:
            self.pipeline.drain(pipeline=name)
            return
        url, server = urlsplit(self.pipeline.store.endpoint), self.pipeline.server
        address = (str(url.hostname), int(url.port or 0))
        if peer == "database":
            address = (server.host, server.port)
        with Proxy(*address, killer) as proxy:
            if peer == "store":
                self.pipeline.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
            else:
                self.pipeline.configure(database={"port": proxy.port})
            killer.process = self.pipeline.popen("drain", "--pipeline", name)
            _, err = killer.process.communicate(timeout=120)
            assert killer.killed == (killer.process.returncode == -signal.SIGKILL), err
            assert killer.killed or killer.process.returncode == 0, err
        self.pipeline.configure()


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


@pytest.fixture(params=["versions", "plain"])
def chain(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: Any,
    pipelines: type[Pipeline],
    with_random: Path,
) -> Iterator[Chain]:
    store = request.getfixturevalue(KINDS[request.param])
    with pipelines(tmp_path, store, database, versions=request.param == "versions") as made:
        made.environment = {"PYTHONPATH": str(with_random)}
        yield Chain(made)


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("peer", ["store", "database"])
@pytest.mark.parametrize("killed", [FIRST, SECOND])
def test_killed_at_every_request(chain: Chain, killed: str, peer: str, phase: str) -> None:
    turn, struck = 0, True
    while struck:
        turn += 1
        assert turn < MOST
        chain.pipeline.put(KEY, b"a photo")
        if killed == SECOND:
            chain.drain(FIRST)
        killer = Killer(turn, phase)
        chain.drain(killed, killer, peer)
        struck = killer.killed
        _nothing_lost(chain)
        if killed == FIRST and turn % 2:  # the reader may be faster than the repetition
            chain.drain(SECOND)
        chain.drain(FIRST)
        chain.drain(SECOND)
        _as_if_nothing_happened(chain)
        _reset(chain)
    assert turn > 5  # the requests go through the proxy


def _nothing_lost(chain: Chain) -> None:
    """Check that the upload is in its bucket, or has a row, whose copies are there or have rows."""
    rows = chain.sql("SELECT * FROM pipeline.results ORDER BY id")
    first = [row for row in rows if row["pipeline"] == FIRST]
    if not first:
        assert chain.pipeline.left() == [KEY]
        return
    copied = {row["key"] for row in rows if row["pipeline"] == SECOND}
    assert copied | set(chain.pipeline.keys(chain.input)) == {f"{KEY}.1.png", f"{KEY}.2.png"}


def _as_if_nothing_happened(chain: Chain) -> None:
    pipeline = chain.pipeline
    assert pipeline.left() == []
    assert pipeline.keys(chain.input) == []
    if pipeline.versions:
        listed = pipeline.s3.list_object_versions(Bucket=chain.input)
        assert not listed.get("Versions")
        assert not listed.get("DeleteMarkers")
    first, *seconds = chain.sql("SELECT * FROM pipeline.results ORDER BY pipeline, parent_number")
    assert (first["key"], first["outcome"], first["notes"]) == (KEY, "done", ["at random"])
    assert first["run_id"] == first["job_id"]
    assert [row["parent_number"] for row in seconds] == [1, 2]
    made = _outputs(chain, first["job_id"], 2)
    for second in seconds:
        assert second["outcome"] == "done"
        assert second["run_id"] == second["parent_id"] == first["job_id"]
        assert second["input_sha256"] == made[second["parent_number"]]
        _outputs(chain, second["job_id"], 2)
    records = chain.sql("SELECT * FROM pipeline.records_random ORDER BY pipeline, key")
    assert [(row["pipeline"], row["number"]) for row in records] == [
        (FIRST, 1),
        (SECOND, 1),
        (SECOND, 1),
    ]
    assert chain.sql("SELECT count(*) AS n FROM pipeline.records") == [{"n": 3}]
    for table in ("attempts", "prepared_results"):
        assert chain.sql(f"TABLE pipeline.{table}") == []
    assert pipeline.keys(pipeline.quarantine) == []


def _outputs(chain: Chain, job_id: str, count: int) -> dict[int, str]:
    """Check that a job's outputs are stored as their rows say, and return number -> SHA-256."""
    rows = chain.sql(
        f"SELECT * FROM pipeline.outputs WHERE job_id = '{job_id}' ORDER BY number"  # noqa: S608
    )
    assert [row["number"] for row in rows] == list(range(1, count + 1))
    for row in rows:
        content = chain.content(row["bucket"], row["key"], row["version_id"])
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert len(content) == row["bytes"]
    return {row["number"]: row["sha256"] for row in rows}


def _reset(chain: Chain) -> None:
    tables = ("results", "outputs", "records", "heartbeats", "leases")
    chain.sql("TRUNCATE " + ", ".join(f"pipeline.{table}" for table in tables))
    for bucket in (chain.pipeline.output, chain.output):
        for key in chain.pipeline.keys(bucket):
            chain.pipeline.s3.delete_object(Bucket=bucket, Key=key)
