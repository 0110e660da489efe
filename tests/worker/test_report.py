"""What `log` and `status` print, from which rows, and the format of the journal's lines."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.worker.pipeline import ROOT
from tests.worker.pipeline import Pipeline as WorkerPipeline
from tests.worker.results import done, quarantined, record, start
from worker import logs, settings
from worker.dispatch.connections import connection_warning
from worker.jobs import report
from worker.jobs.job_details import job_details
from worker.jobs.job_list import list_jobs
from worker.ledger.connection import Connection, connect_worker
from worker.ledger.messages import CameraMinute, Message, message_id
from worker.ledger.postgres_ledger import PostgresLedger
from worker.ledger.postgres_messages import PostgresMessages
from worker.ledger.stack_ledger import JobFilter, LogFilter, StackLedger
from worker.load import Load
from worker.settings import Camera, Pipeline, Settings, StoreSettings
from worker.store.memory_store import MemoryStore
from worker.uploads.job import Job, Parent, job_id
from worker.uploads.listing import group_by_key
from worker.uploads.upload import Upload

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CAT = Upload("input", "cat.png", "", "e", NOON)
DOG = Upload("input", "dog.png", "", "e", NOON)
NEGATIVES = Pipeline("negatives", "negate", "input", "output")
TICK = timedelta(minutes=1)
THUMBS = Pipeline("thumbs", "thumbnail", "thumbs-input", "thumbs-output")


class Stack:
    """The ledgers of two pipelines, and an object store."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        name = settings.stack
        self.settings = replace(
            settings,
            stack="test",
            store=StoreSettings("", "quarantine"),
            pipelines={one.name: one for one in (NEGATIVES, THUMBS)},
        )
        self.ledger = PostgresLedger(connection, name, "negatives", "vm-1")
        self.thumbs = PostgresLedger(connection, name, "thumbs", "vm-2")
        self.whole = StackLedger(connection, name)
        self.store = MemoryStore(["input", "thumbs-input"], clock=lambda: NOON)

    def status(self, *pipelines: Pipeline) -> dict[str, Any]:
        return report.status(
            self.settings, self.whole, self.store, pipelines or (NEGATIVES, THUMBS)
        )

    def log(self, **changes: Any) -> list[str]:
        """Return the input keys of the rows that `log` finds."""
        return [row["input_key"] for row in self.whole.log(LogFilter(**changes))]


@pytest.fixture
def stack(versioned: WorkerPipeline) -> Iterator[Stack]:
    loaded = settings.load(versioned.settings, {}, ())
    with connect_worker(loaded) as connection:
        yield Stack(connection, loaded)


def test_log_lines_for_people(stack: Stack) -> None:
    record(stack.ledger, done(CAT, seconds=0.25))
    record(stack.ledger, quarantined(DOG, "not an image", seconds=1.5))
    lines = list(report.log(stack.whole, LogFilter(), as_json=False))
    assert [line.split("Z  ")[1] for line in lines] == [
        "  0.250 s  cat.png -> negated_cat.png",
        "  1.500 s  dog.png -> quarantined: not an image",
    ]


def test_log_lines_for_programs_are_ascii(stack: Stack) -> None:
    odd = Upload("input", "猫\u2028.png", "", "e", NOON)
    record(stack.ledger, quarantined(odd))
    (line,) = report.log(stack.whole, LogFilter(like="猫"), as_json=True)
    assert line.isascii()
    row = json.loads(line)
    assert (row["input_key"], row["pipeline"]) == (odd.key, "negatives")
    assert row["id"] == job_id("negatives", odd)


DOOR, GATE = Camera("door", "negatives"), Camera("gate", "thumbs")


def count(stack: Stack, camera: str, numbers: Sequence[int], **values: Any) -> None:
    """Store pictures of a camera, which counts that it generated 10 of them."""
    messages = PostgresMessages(stack.whole.connection, stack.whole.stack, "vm-1")
    names = [message_id(stack.whole.stack, camera, "b1", number) for number in numbers]
    messages.note(
        [
            Message(name, "negatives", camera, "b1", number, f"{number}.jpg", "a" * 64, 7)
            for name, number in zip(names, numbers, strict=True)
        ],
        [],
    )
    messages.note([], names)
    minute = CameraMinute(camera, "b1", NOON, 1, 10, 10, 0, 70, 250, 1500, 1, -900.2)
    idle = replace(minute, minute=NOON - TICK, last_number=0, generated=0, bytes=0)
    messages.count([replace(minute, **values), idle])
    messages.heartbeat("The bucket is full.")


def camera_status(stack: Stack, *pipelines: Pipeline) -> dict[str, Any]:
    stack.settings = replace(stack.settings, cameras={one.name: one for one in (DOOR, GATE)})
    return stack.status(*pipelines)


def test_status_of_cameras(stack: Stack) -> None:
    assert "ingest has not started yet: messages of cameras are not stored" in report.status_text(
        camera_status(stack)
    )
    count(stack, "door", [1, 2, 3, 4, 5, 6, 7], qos=0, dropped=1, clock_offset=-60.4)
    found = camera_status(stack)
    ((heartbeat,), (door, gate)) = found["ingest"], found["cameras"]
    assert (heartbeat["machine"], heartbeat["obstacle"]) == ("vm-1", "The bucket is full.")
    names = ("pipeline", "generated", "received", "dropped", "missing", "bytes", "qos", "stored")
    assert [door[name] for name in names] == ["negatives", 10, 7, 1, 2, 70, 0, 7]
    assert (door["delay_median_ms"], door["delay_p99_ms"]) == (250, 1500)
    assert (gate["last_counted"], gate["stored"], gate["missing"]) == (None, 0, 0)
    text = report.status_text(found)
    for line in (
        "camera door",
        "  stored 7 during the last hour, for pipeline negatives",
        "  generated 10, 70 bytes, received 7, lost 2 (20.00 %), dropped by the camera 1 (QoS 0)",
        "  from picture to confirmation 0.250 s (median), 1.500 s (p99 of the worst minute)",
        "  its clock is 60 s behind: set it",
        "camera gate",
        "  has sent no counters",
    ):
        assert line in text.splitlines()
    assert f"ingest on vm-1: last heartbeat {heartbeat['last_pass']}, problem: The bucket" in text
    assert [one["camera"] for one in camera_status(stack, THUMBS)["cameras"]] == ["gate"]


def test_what_is_missing_at_qos_1_may_still_come(stack: Stack) -> None:
    count(stack, "door", [1, 2], clock_offset=-0.2)
    text = report.status_text(camera_status(stack))
    assert "received 2, not received yet 8, dropped by the camera 0 (QoS 1)" in text
    assert "clock" not in text


def test_minutes_of_a_camera(stack: Stack) -> None:
    count(stack, "door", [1, 2])
    (before, minute) = stack.whole.camera_minutes("door", 5)
    assert (before["minute"], minute["minute"]) == ("2026-01-02T11:59Z", "2026-01-02T12:00Z")
    assert (minute["generated"], minute["received"], minute["boot"]) == (10, 2, "b1")
    assert stack.whole.camera_minutes("door", 1) == [minute]
    assert stack.whole.camera_minutes("gate", 5) == []


def test_the_camera_is_no_job_in_a_lineage(stack: Stack) -> None:
    own_id = job_id("negatives", CAT)
    first = Job(own_id, CAT, own_id, parent=Parent("1" * 32, 1))
    record(stack.ledger, replace(quarantined(CAT), job=first))
    again = replace(first, id=job_id("negatives", CAT, 1), round=1, retry_of=own_id)
    record(stack.ledger, replace(done(CAT), job=again))
    for identifier in (own_id, again.id):
        shown = job_details(stack.whole, stack.store, [NEGATIVES], identifier)
        assert (shown["parent"], shown["children"]) == (None, [])


def test_log_filters(stack: Stack) -> None:
    before = datetime.now(UTC) - timedelta(hours=1)
    for number in range(4):
        upload = replace(CAT, key=f"{number}.png")
        record(stack.ledger, quarantined(upload) if number == 2 else done(upload))
    record(stack.thumbs, done(replace(CAT, key="4.png"), pipeline="thumbs"))
    assert stack.log() == ["0.png", "1.png", "2.png", "3.png", "4.png"]
    assert stack.log(pipeline="thumbs") == ["4.png"]
    assert stack.log(last=2) == ["3.png", "4.png"]
    assert stack.log(like="1.") == ["1.png"]
    assert stack.log(like="negated_") == ["0.png", "1.png", "3.png", "4.png"]
    assert stack.log(like="%") == []
    assert stack.log(quarantined=True) == ["2.png"]
    assert len(stack.log(since=before)) == 5
    assert stack.log(since=before + timedelta(hours=2)) == []


def test_status_of_a_stack(stack: Stack) -> None:
    record(stack.ledger, done(CAT), quarantined(DOG, "not an image"))
    stack.ledger.heartbeat(None)
    stack.thumbs.heartbeat("no disk")
    stack.thumbs.heartbeat(None)
    stack.store.upload("input", "waiting.png", b"1234")
    stack.store.upload("input", "folder/", b"")
    stack.store.upload("thumbs-input", "x.png", b"1")
    found = json.loads(report.status_json(stack.status()))
    machines = found.pop("machines")
    assert [(one["machine"], one["obstacle"]) for one in machines] == [
        ("vm-1", None),
        ("vm-2", None),
    ]
    negatives, thumbs = found.pop("pipelines")
    counts = [(one["bucket"], one["objects"]) for one in found.pop("buckets")]
    assert sorted(counts) == [
        *(("input", 1), ("output", 1), ("quarantine", 1)),
        *(("thumbs-input", 1), ("thumbs-output", 0)),
    ]
    assert 0 < negatives.pop("seconds_left") < 60
    assert thumbs["seconds_left"] is None
    newest = next(row["timestamp"] for row in stack.whole.log(LogFilter(quarantined=True)))
    assert [one["machine"] for one in negatives.pop("machines")] == ["vm-1"]
    assert [one["machine"] for one in thumbs.pop("machines")] == ["vm-2"]
    assert found == {
        "stack": "test",
        "backlog": {"count": 2, "running": 0, "bytes": 5, "oldest": "2026-01-02T12:00:00Z"},
        "waiting_because": [],
        "done": 1,
        "quarantined": 1,
        "quarantine": [{"reason": "not an image", "count": 1, "newest": newest}],
        "undeletable": {"count": 0, "uploads": []},
        "rate": 0.1,
        "last_error": "no disk",
        "warnings": [],
        "ingest": [],
        "cameras": [],
    }
    assert negatives == {
        "name": "negatives",
        "backlog": {"count": 1, "running": 0, "bytes": 4, "oldest": "2026-01-02T12:00:00Z"},
        "queue": None,
        "waiting_because": [],
        "done": 1,
        "quarantined": 1,
        "quarantine": [{"reason": "not an image", "count": 1, "newest": newest}],
        "undeletable": {"count": 0, "uploads": []},
        "rate": 0.1,
        "last_error": "dog.png: not an image",
    }
    assert (thumbs["name"], thumbs["done"], thumbs["last_error"]) == ("thumbs", 0, "no disk")
    (one,) = stack.status(NEGATIVES)["pipelines"]
    assert one["name"] == "negatives"
    assert report.status_text(stack.status(THUMBS)).splitlines()[2:] == [
        "pipeline thumbs",
        "  waiting 1 upload, 1 byte, since 2026-01-02T12:00:00Z, time left unknown",
        "  done 0 (0.0 a minute over the last 10 min), quarantined 0",
        "  last error: no disk",
    ]


def test_status_groups_reasons(stack: Stack) -> None:
    for number, reason in enumerate(["rare", "frequent", "frequent"]):
        record(stack.ledger, quarantined(replace(DOG, key=f"{number}.png"), reason))
    for key in ("a.png", "b.png", "locked.png"):
        stack.store.upload("input", key, b"1234")
    pages = stack.store.list_pages("input", versions=False)
    a, b, locked = (upload for work in group_by_key("input", pages) for upload in work.uploads)
    start(stack.ledger, done(a), done(b))
    stack.ledger.fail({one: f"{one.key!r} is deferred: not built yet." for one in (a, b)})
    record(stack.ledger, done(locked))
    stack.ledger.fail({locked: "the store refuses to delete it"}, undeletable=True)
    found = stack.status()
    assert found["pipelines"][0]["waiting_because"] == found["waiting_because"]
    assert found["waiting_because"] == [{"reason": "it is deferred: not built yet.", "count": 2}]
    assert [(one["reason"], one["count"]) for one in found["quarantine"]] == [
        ("frequent", 2),
        ("rare", 1),
    ]
    uploads = [{"key": "locked.png", "reason": "the store refuses to delete it"}]
    assert found["undeletable"] == {"count": 1, "uploads": uploads}
    assert found["backlog"]["count"] == 2
    text = report.status_text(found)
    for line in (
        "    2 because: it is deferred: not built yet.",
        "    2 quarantined: frequent",
        "    not deletable: locked.png: the store refuses to delete it",
    ):
        assert line in text.splitlines()
    waiting = list(list_jobs(stack.whole, stack.store, [NEGATIVES], JobFilter(state="waiting")))
    assert [row["reason"] for row in waiting] == [
        "'a.png' is deferred: not built yet.",
        "'b.png' is deferred: not built yet.",
    ]
    details = job_details(stack.whole, stack.store, [NEGATIVES], waiting[0]["id"])
    assert details["timeline"][-1]["event"] == "failed"
    chosen = JobFilter(reason="'b.png'")
    (row,) = list_jobs(stack.whole, stack.store, [NEGATIVES], chosen)
    assert row["key"] == "b.png"


def test_status_names_a_machine_once(stack: Stack) -> None:
    other = PostgresLedger(stack.whole.connection, stack.whole.stack, "thumbs", "vm-1")
    stack.ledger.heartbeat(None)
    other.heartbeat("no disk")
    (machine,) = stack.status()["machines"]
    assert (machine["machine"], machine["obstacle"]) == ("vm-1", "no disk")


LOAD = Load(cores=4, cpu=0.256, memory_used=1_200_000_000, memory_total=4_000_000_000)


def test_status_of_machines(stack: Stack) -> None:
    other = PostgresLedger(stack.whole.connection, stack.whole.stack, "thumbs", "vm-1")
    record(stack.ledger, done(CAT), quarantined(DOG))
    record(other, done(CAT, pipeline="thumbs"))
    keys = [f"{number}.png" for number in range(5)]
    start(stack.ledger, *(done(replace(CAT, key=key)) for key in keys))
    stack.whole.connection.execute(
        "UPDATE pipeline.leases SET until = until + interval '1 hour'"  # on a slow computer too
    )
    stack.ledger.fail({replace(CAT, key="4.png"): "deferred"})
    stack.ledger.heartbeat(None, LOAD, is_live=True)
    other.heartbeat(None)  # without a load: the last one stays
    stack.thumbs.heartbeat("no disk")
    one, two = stack.status()["machines"]
    assert (one["machine"], one["rate"], one["live"]) == ("vm-1", 0.2, True)
    assert Load(*(one[name] for name in vars(LOAD))) == LOAD
    assert 0 <= one["seconds_ago"] < 60
    assert one["running"] == 4
    assert [job["key"] for job in one["jobs"]] == keys[:3]
    assert one["jobs"][0]["id"] == job_id("negatives", replace(CAT, key="0.png"))
    assert one["jobs"][0]["pipeline"] == "negatives"
    assert one["jobs"][0]["started"] <= one["last_pass"]
    assert (two["machine"], two["rate"], two["cpu"], two["jobs"]) == ("vm-2", 0, None, [])
    text = re.sub(r"\d+ s ago", "1 s ago", report.status_text(stack.status()))
    assert text.splitlines()[1:3] == [
        "machine vm-1: jobs a minute (last 10 min) 0.2, CPU 26 % of 4 cores, "
        "memory 1.2 GB of 4.0 GB, last seen 1 s ago, works on 0.png and 3 more, no problem",
        "machine vm-2: jobs a minute (last 10 min) 0.0, CPU unknown, memory unknown, "
        "last seen 1 s ago, works on nothing, problem: no disk",
    ]
    (shown,) = stack.status(THUMBS)["pipelines"]
    assert [(row["machine"], row["rate"], row["running"]) for row in shown["machines"]] == [
        ("vm-1", 0.1, 0),
        ("vm-2", 0, 0),
    ]


def test_time_left(stack: Stack) -> None:
    def line() -> str:
        lines = report.status_text(stack.status(NEGATIVES)).splitlines()
        return next(one for one in lines if one.startswith("  waiting"))

    record(stack.ledger, done(CAT, seconds=60), done(DOG, seconds=30))
    assert "left" not in line()  # nothing waits
    for number in range(5):
        stack.store.upload("input", f"{number}.png", b"1234")
    # Five at two a minute; the estimate grows while the test runs.
    assert re.search(", about [23] min left$", line())
    stack.whole.connection.execute(
        "UPDATE pipeline.results SET created_at = created_at - interval '11 minutes'"
    )
    assert line().endswith(", time left unknown")


def test_depth_of_the_queue(stack: Stack) -> None:
    assert stack.status(NEGATIVES)["pipelines"][0]["queue"] is None
    for number, status in enumerate(["todo", "todo", "doing", "succeeded"]):
        stack.whole.connection.execute(
            "WITH task AS (INSERT INTO pipeline.procrastinate_jobs (queue_name, task_name, status) "
            "VALUES ('q', 't', %s::pipeline.procrastinate_job_status) RETURNING id) "
            "INSERT INTO pipeline.assignments (stack, pipeline, key_sha256, task_id, slow) "
            "SELECT %s, 'negatives', sha256(n::text::bytea), task.id, false "
            "FROM task, generate_series(10 * %s, 10 * %s + 2) AS n",
            (status, stack.whole.stack, number, number),
        )
    found = stack.status()
    assert found["pipelines"][0]["queue"] == {"queued": 2, "running": 1, "uploads": 9}
    assert found["pipelines"][1]["queue"] is None
    text = report.status_text(found)
    assert "  queue: 9 uploads in 3 tasks, 1 running" in text.splitlines()


def test_status_warns_before_a_bucket_is_full(stack: Stack) -> None:
    class Crowded(MemoryStore):
        def object_count(self, bucket: str) -> int | None:
            return 412_345 if bucket == "thumbs-output" else super().object_count(bucket)

    stack.store = Crowded(["input", "thumbs-input"], clock=lambda: NOON)
    sentence = (
        "The output bucket 'thumbs-output' holds 412,345 objects; the limit of Allas is 500,000: "
        "move results elsewhere, or delete them."
    )
    assert stack.status()["warnings"] == [sentence]
    assert f"warning: {sentence}" in report.status_text(stack.status()).splitlines()


def test_status_warns_if_the_database_takes_too_few_connections(
    stack: Stack, versioned: WorkerPipeline
) -> None:
    assert stack.whole.connection_limit() == 97  # of 100, 3 are for superusers
    versioned.sql(f'ALTER ROLE "{versioned.user}" CONNECTION LIMIT 16')
    stack.ledger.heartbeat(None, is_live=True)
    stack.thumbs.heartbeat(None)
    assert stack.status()["warnings"] == []
    stack.thumbs.heartbeat(None, is_live=True)
    assert stack.status()["warnings"] == [
        "The database allows 16 connections, but 2 machines with 2 pipelines need 24: raise its "
        "max_connections, or lower machines."
    ]


def test_connections_of_one_machine_are_not_fewer_with_less_machines() -> None:
    assert connection_warning(8, 1, 1) == (
        "The database allows 8 connections, but 1 machine with 1 pipeline needs 9: raise its "
        "max_connections."
    )


def test_a_quarantined_job_with_a_successor_does_not_count(stack: Stack) -> None:
    old = quarantined(DOG)
    record(stack.ledger, old)
    again = replace(DOG, last_modified=NOON + timedelta(minutes=1))
    job = Job(job_id("negatives", again, 1), again, old.job.id, 1, retry_of=old.job.id)
    record(stack.ledger, done(again, job=job))
    found = stack.status(NEGATIVES)
    assert (found["done"], found["quarantined"], found["last_error"]) == (1, 0, None)


def test_status_before_the_first_pass(stack: Stack) -> None:
    text = report.status_text(stack.status())
    assert "no machine has made a pass yet" in text
    assert "waiting 0 uploads, 0 bytes\n" in text


def test_a_line_of_the_journal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for attribute in ("handlers", "level", "propagate"):  # restored after the test
        root = logging.getLogger("worker")
        monkeypatch.setattr(root, attribute, getattr(root, attribute))
    logs.configure(pipeline="thumbs")
    logger = logging.getLogger("worker.anything")
    logger.info("done", extra=logs.fields(key="naïve\n\udc80.png", seconds=0.5, reason=None))
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    line = json.loads(out)
    time = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 60
    assert line == {
        "event": "done",
        "pipeline": "thumbs",
        "key": "naïve\n?.png",
        "seconds": 0.5,
    }


def test_the_parent_process_imports_no_transform() -> None:
    """Only the sandboxed child does: see worker/sandbox/child.py."""
    program = (
        "import sys, worker.jobs.drain; from worker.transforms import names; "
        "names = {f'worker.transforms.{name}' for name in names()}; "
        "sys.exit('PIL' in sys.modules or not names.isdisjoint(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
