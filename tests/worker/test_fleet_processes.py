"""Machines that share a pipeline's work: real processes, store and database."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from bench.fleet import Fleet
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.eventually import eventually
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

ONE, TWO = "vm-1", "vm-2"
PHOTO = encode(picture(), "PNG")


def put(pipeline: Pipeline, name: str, number_of: int) -> set[str]:
    keys = {f"{name}{number}.png" for number in range(number_of)}
    for key in keys:
        pipeline.put(key, PHOTO)
    return keys


def live(pipeline: Pipeline) -> list[str]:
    query = "SELECT machine FROM pipeline.heartbeats WHERE live ORDER BY machine"
    return [row["machine"] for row in pipeline.sql(query)]


def is_dispatched(pipeline: Pipeline) -> bool:
    """Whether a machine lists for the others."""
    return bool(pipeline.sql("SELECT 1 FROM pipeline.listers WHERE until > now()"))


def done(pipeline: Pipeline) -> Counter[str]:
    """Return how often each key has a row."""
    return Counter(row["key"] for row in pipeline.rows())


def is_finished(pipeline: Pipeline, keys: set[str]) -> bool:
    return set(done(pipeline)) >= keys and not pipeline.left()


def test_machines_come_and_go(versioned: Pipeline) -> None:
    """Machines share the work; the last one goes on alone, until another one comes."""
    with Fleet(versioned, [ONE, TWO], ["negatives"], linked=False) as fleet:
        one, two = fleet.machines.values()
        fleet.await_ready()
        eventually(lambda: is_dispatched(versioned))
        keys, numbers = set[str](), count()

        def is_shared() -> bool:
            """One of them may be so slow that the other does all of the first uploads."""
            keys.update(put(versioned, f"shared{next(numbers)}-", 60))
            eventually(lambda: is_finished(versioned, keys))
            query = "SELECT DISTINCT worker FROM pipeline.results"
            return {row["worker"] for row in versioned.sql(query)} == {ONE, TWO}

        eventually(is_shared)
        two.stop()
        assert live(versioned) == [ONE]
        assert versioned.sql("SELECT 1 FROM pipeline.leases WHERE machine = %s", TWO) == []
        keys |= put(versioned, "more", 3)
        eventually(lambda: is_finished(versioned, keys))
        eventually(lambda: not is_dispatched(versioned))
        keys |= put(versioned, "alone", 3)
        eventually(lambda: is_finished(versioned, keys))
        two.start()
        eventually(lambda: is_dispatched(versioned))
        keys |= put(versioned, "again", 3)
        eventually(lambda: is_finished(versioned, keys))
        # A worker that is stopped before it has noted a deletion has work left, and exits with 1.
        open_work = "SELECT 1 FROM pipeline.leases UNION SELECT 1 FROM pipeline.procrastinate_jobs"
        eventually(lambda: not versioned.sql(open_work))
        fleet.stop()
        assert not fleet.tracebacks
    assert set(done(versioned).values()) == {1}
    assert live(versioned) == []
    for table in ("leases", "attempts", "assignments", "procrastinate_jobs", "listers"):
        assert versioned.sql(f"TABLE pipeline.{table}") == [], table
    assert [each.services["negatives"].statuses[-1] for each in (one, two)] == [0, 0]


def test_killed_lister(versioned: Pipeline) -> None:
    """The other machine lists and processes what it has left, and nothing twice."""
    with Fleet(versioned, [ONE, TWO], ["negatives"], linked=False) as fleet:
        fleet.await_ready()
        eventually(lambda: is_dispatched(versioned))
        keys = put(versioned, "x", 80)
        eventually(lambda: len(done(versioned)) >= 5)
        (row,) = versioned.sql("SELECT machine FROM pipeline.listers")
        fleet.machines[row["machine"]].kill()
        eventually(lambda: is_finished(versioned, keys), seconds=120)
        assert not fleet.tracebacks
    assert done(versioned) == dict.fromkeys(keys, 1)


def test_successor_continues_at_once(versioned: Pipeline) -> None:
    """It takes over what the killed process had leased, and its tasks, before either has ended."""
    with Fleet(versioned, [ONE, TWO], ["negatives"], linked=False) as fleet:
        fleet.await_ready()
        eventually(lambda: is_dispatched(versioned))
        one, two = fleet.machines.values()
        keys = put(versioned, "x", 40)
        query = "SELECT fence, until FROM pipeline.leases WHERE machine = %s"
        numbers = count()

        def freeze_at_work() -> bool:
            """Freeze a machine, and return whether it holds leases."""
            if versioned.sql(query, ONE):
                one.freeze()
                if versioned.sql(query, ONE):
                    return True
                one.thaw()
            keys.update(put(versioned, f"more{next(numbers)}-", 10))  # all may be done already
            return False

        eventually(freeze_at_work)
        two.stop()
        one.kill()
        # They must not end before it has started, however long that takes. Only its own: vm-2 has
        # given its leases back, and would not do those uploads.
        later = "UPDATE pipeline.leases SET until = until + interval '1 hour' WHERE machine = %s"
        versioned.sql(later, ONE)
        leases = versioned.sql(query, ONE)
        assert leases
        one.start()
        held = "SELECT 1 FROM pipeline.leases WHERE fence = ANY(%s) AND until > now()"
        eventually(lambda: not versioned.sql(held, [row["fence"] for row in leases]))
        (clock,) = versioned.sql("SELECT now()")
        assert all(clock["now"] < row["until"] for row in leases)
        eventually(lambda: is_finished(versioned, keys))
    assert done(versioned) == dict.fromkeys(keys, 1)


@pytest.fixture
def two_pipelines(tmp_path: Path, moto: ObjectStore, database: PostgreSQL) -> Iterator[Pipeline]:
    with Pipeline(tmp_path, moto, database, versions=True) as made:
        for bucket in (f"{made.name}-slow", f"{made.name}-slow-output"):
            made.make_bucket(bucket)
        made.tables["pipelines.slow"] = {
            "transform": "command",
            "input": f"{made.name}-slow",
            "output": f"{made.name}-slow-output",
            "parameters": json.dumps({"argv": ["sleep", "600"]}),
        }
        made.configure()
        made.make_tables()
        yield made


def test_a_backlog_does_not_delay_another_pipeline(two_pipelines: Pipeline) -> None:
    slow = f"{two_pipelines.name}-slow"
    with Fleet(two_pipelines, [ONE, TWO], ["negatives", "slow"], linked=False) as fleet:
        fleet.await_ready()
        for number in range(50):
            two_pipelines.s3.put_object(Bucket=slow, Key=str(number), Body=b"")
        started = "SELECT DISTINCT machine FROM pipeline.leases WHERE pipeline = 'slow'"
        eventually(lambda: len(two_pipelines.sql(started)) == len(fleet.machines))
        two_pipelines.put("quick.png", PHOTO)
        eventually(lambda: "quick.png" in done(two_pipelines))
