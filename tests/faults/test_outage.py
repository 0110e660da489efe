"""The database restarts, and is away for longer than leases last, while machines work."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fleet import Fleet
from local import postgres, processes
from local.object_store import ObjectStore
from tests.faults.chain import FIRST, SECOND, Chain, package
from tests.faults.sharing import MACHINES, ONE, PAUSE, TWO, all_work, finish, uploading
from tests.worker.pipeline import Pipeline

_OUTAGE_SECONDS = 45


@pytest.fixture
def own_database(tmp_path: Path) -> Iterator[Path]:
    """The folder of a server that a test may stop."""
    yield tmp_path / "postgres"
    postgres.stop(tmp_path / "postgres")


def test_restart_and_outage_of_the_database(
    tmp_path: Path, own_database: Path, rclone: ObjectStore, pipelines: type[Pipeline]
) -> None:
    names = (FIRST, SECOND)
    server = postgres.start(own_database)
    with pipelines(tmp_path / "stack", rclone, server, versions=False) as pipeline:
        chain = Chain(pipeline, package(tmp_path / "package"))
        chain.begin()
        for name, lister in zip(names, MACHINES, strict=False):
            chain.share(name, (ONE, TWO), lister)
        with Fleet(pipeline, (ONE, TWO), names, pause=PAUSE) as fleet:
            with uploading(chain, every=2):
                all_work(chain, ONE, TWO)
                _restart(own_database)
                all_work(chain, ONE, TWO)
                _restart(own_database, _OUTAGE_SECONDS)
                all_work(chain, ONE, TWO)
            finish(chain, fleet, names)


def _restart(folder: Path, seconds: float = 0) -> None:
    """Restart a server, or let it be away for a time."""
    processes.end(folder, first=postgres.FAST_SHUTDOWN)
    time.sleep(seconds)
    postgres.start(folder)
