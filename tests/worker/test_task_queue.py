"""Bundles reach the machines of a fleet through procrastinate on a real PostgreSQL."""

import gc
import json
import logging
import queue
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.eventually import eventually, patience
from tests.worker.pipeline import Pipeline
from worker import settings
from worker.dispatch import task_queue
from worker.dispatch.assignments import Depth
from worker.dispatch.bundle import Bundle
from worker.dispatch.postgres_assignments import PostgresAssignments, open_assignments
from worker.dispatch.task_queue import Assigned, TaskQueue
from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def work(key: str, version: str = "v1") -> KeyUploads:
    return KeyUploads(key, [], [Upload("input", key, version, "e", START, 7)])


def bundle(*keys: str) -> Bundle:
    return Bundle([work(key) for key in keys], {}, is_slow=False)


class Machine:
    """A machine's end of the queue, and what it has received."""

    def __init__(self, pipeline: Pipeline, name: str, slots: int = 2) -> None:
        self.settings = replace(settings.load(pipeline.settings, {}, ()), machine=name)
        self.problems: list[str] = []
        self.received = queue.Queue[Assigned]()
        self.queue = TaskQueue(
            self.settings, "negatives", slots, self.received.put, self.problems.append
        )

    def get(self) -> Assigned:
        return self.received.get(timeout=60 * patience())


class Fleet:
    """Machines that share a pipeline's work."""

    def __init__(self, pipeline: Pipeline, stack: ExitStack) -> None:
        self.pipeline, self._stack = pipeline, stack
        loaded = replace(settings.load(pipeline.settings, {}, ()), machine="lister")
        self.lister: PostgresAssignments
        self.lister = stack.enter_context(open_assignments(loaded, "negatives"))
        assert self.lister.lead()

    def machine(self, name: str, slots: int = 2) -> Machine:
        made = Machine(self.pipeline, name, slots)
        made.queue.open()
        self._stack.callback(made.queue.close)
        return made

    def sessions(self, query: str) -> list[int]:
        """Return the process ids of sessions whose last statement is like this."""
        rows = self.pipeline.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "  # noqa: S608
            f"AND query LIKE '{query}' AND pid <> pg_backend_pid()"
        )
        return [row["pid"] for row in rows]


@pytest.fixture
def fleet(versioned: Pipeline) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(versioned, stack)


def test_closed_without_having_been_opened(versioned: Pipeline) -> None:
    """A pass may fail before it gets anything."""
    Machine(versioned, "vm-1").queue.close()


def test_a_bundle_arrives_as_it_was_assigned(fleet: Fleet) -> None:
    marker = Upload("input", "a\0\udcff\u20ac.png", "m", "", START, is_marker=True)
    upload = Upload("input", marker.key, "v2", "e", START, 2**40)
    failed = Attempt(1, True, "crashed \0", 2, 3.5)
    sent = Bundle([KeyUploads(marker.key, [marker], [upload], 9)], {upload: failed}, is_slow=True)
    machine = fleet.machine("vm-1")
    fleet.lister.assign([sent])
    received = machine.get().bundle
    assert received == sent
    (found,) = received.works
    assert [vars(one) for one in (*found.withdrawn, *found.uploads)] == [
        vars(marker),
        vars(upload),
    ]


@pytest.mark.parametrize("text", ["e30=", "eJyrrgUAAXUA+Q==", "{}"])
def test_a_bundle_of_another_release_is_dropped(fleet: Fleet, text: str) -> None:
    """Its keys are listed again."""
    fleet.lister.assign([bundle("a.png")])
    arguments = json.dumps({"bundle": text})
    fleet.pipeline.sql("UPDATE pipeline.procrastinate_jobs SET args = %s", arguments)
    machine = fleet.machine("vm-1")
    eventually(lambda: fleet.lister.depth() == Depth())
    fleet.lister.assign([bundle("b.png")])
    assert [one.key for one in machine.get().bundle.works] == ["b.png"]
    assert machine.problems == []


def test_tasks_are_shared_and_gone_once_they_have_ended(fleet: Fleet) -> None:
    machines = [fleet.machine("vm-1", 1), fleet.machine("vm-2", 1)]
    fleet.lister.assign([bundle("a.png", "b.png"), bundle("c.png"), bundle("d.png")])
    assigned = [machine.get() for machine in machines]
    assert fleet.lister.depth() == Depth(queued=1, running=2)
    assigned[1].finish()
    last = machines[1].get()
    for one in (assigned[0], last, last):
        one.finish()
    eventually(lambda: fleet.lister.depth() == Depth())
    keys = [work.key for one in (*assigned, last) for work in one.bundle.works]
    assert sorted(keys) == ["a.png", "b.png", "c.png", "d.png"]
    assert fleet.pipeline.sql("TABLE pipeline.assignments") == []
    assert [one.problems for one in machines] == [[], []]


def test_an_idle_machine_is_notified_of_a_bundle(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_queue, "_POLL_SECONDS", 3600)
    machine = fleet.machine("vm-1")
    for key in ("a.png", "b.png", "c.png"):
        fleet.lister.assign([bundle(key)])
        machine.get().finish()
        eventually(lambda: fleet.lister.depth() == Depth())


def test_a_closed_queue_gives_its_bundles_back(fleet: Fleet) -> None:
    first = fleet.machine("vm-1", 1)
    fleet.lister.assign([bundle("a.png"), bundle("b.png")])
    held = first.get()
    first.queue.close()
    assert fleet.lister.depth() == Depth(queued=1)
    assert fleet.pipeline.sql("TABLE pipeline.procrastinate_workers") == []
    held.finish()
    assert [work.key for work in fleet.machine("vm-2").get().bundle.works] == ["b.png"]
    assert first.problems == []


def test_a_task_that_became_void_meanwhile_is_no_problem(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Its machine was frozen, and the lister has deleted it. Nothing of it reaches the journal."""
    caplog.set_level(logging.INFO)
    machine = fleet.machine("vm-1", 1)
    fleet.lister.assign([bundle("a.png")])
    assigned = machine.get()
    fleet.pipeline.sql("DELETE FROM pipeline.procrastinate_jobs", user=fleet.pipeline.admin)
    assigned.finish()
    fleet.lister.assign([bundle("b.png")])
    machine.get().finish()
    eventually(lambda: fleet.lister.depth() == Depth())
    machine.queue.close()
    gc.collect()  # asyncio logs what nobody has looked at
    assert (machine.problems, machine.queue.problem) == ([], None)
    assert caplog.messages == []


@pytest.mark.parametrize("query", ["LISTEN%", "%FROM procrastinate_fetch_job%"])
def test_an_ended_session_is_a_problem(fleet: Fleet, query: str) -> None:
    machine = fleet.machine("vm-1")
    fleet.lister.assign([bundle("a.png")])
    assigned = machine.get()
    (session,) = eventually(lambda: fleet.sessions(query))
    fleet.pipeline.sql(f"SELECT pg_terminate_backend({session})")
    eventually(lambda: machine.problems)
    assert machine.queue.problem == machine.problems[0]
    assert machine.problems[0].startswith("The database failed in the queue: ")
    assert len(machine.problems) == 1
    assigned.finish()


def test_a_heartbeat_that_another_machine_has_deleted_is_a_problem(fleet: Fleet) -> None:
    """As it does if a machine is frozen for more than 30 s."""
    machine = fleet.machine("vm-1")
    fleet.pipeline.sql("DELETE FROM pipeline.procrastinate_workers")
    eventually(lambda: bool(machine.problems))
    assert machine.problems == ["The database has no heartbeat of this machine's queue."]
