"""What ingest does with messages, on a store and a ledger in memory."""

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.worker.world import World
from worker.errors import MessageRefused, ServiceUnavailable, UploadDeferred
from worker.ingest.counters import read_counters
from worker.ingest.held_messages import Receipt
from worker.ingest.intake import Intake, Limits
from worker.ingest.pictures import MAX_BYTES, kind_of
from worker.ingest.settlement import Settlement
from worker.ledger.memory_messages import MemoryMessages
from worker.ledger.memory_tables import MemoryTables
from worker.ledger.messages import INGEST, CameraMinute, MessageLedger, message_id
from worker.settings import (
    Camera,
    DatabaseSettings,
    Package,
    Pipeline,
    Settings,
    StoreSettings,
)
from worker.store.memory_store import MemoryStore
from worker.store.store import Contents, Stored

JPEG = b"\xff\xd8\xff picture"
TOPIC = "image-pipeline/door/b1/1"
LIMITS = Limits(held_bytes=100_000, pause=0.01, longest_pause=0.02, heartbeat=0.02)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
COUNTERS = {
    "minute": "2026-01-02T12:00Z",
    "first": 1,
    "last": 2,
    "generated": 2,
    "dropped": 0,
    "bytes": 9,
    "clock": "2026-01-02T12:01:00Z",
}


class BrokenStore(MemoryStore):
    """A store that fails as tests say."""

    problem: Exception | None = None
    before: Callable[[], object] = staticmethod(lambda: None)

    def put(
        self,
        bucket: str,
        key: str,
        contents: Contents,
        content_type: str,
        metadata: Mapping[str, str],
    ) -> Stored:
        self.before()
        if self.problem:
            raise self.problem
        return super().put(bucket, key, contents, content_type, metadata)


@dataclass
class Service:
    """An intake and what it sends back; `start` begins it again, as after a kill."""

    cameras: dict[str, Camera] = field(default_factory=lambda: {"door": Camera("door", "faces")})
    tables: MemoryTables = field(default_factory=MemoryTables)
    database_problem: Exception | None = None
    network_problem: str | None = None
    count: Callable[[], object] = lambda: None  # what happens before minutes are counted
    limits: Limits = LIMITS

    def __post_init__(self) -> None:
        self.store = BrokenStore({"faces-in", "other-in"}, versioned={"faces-in", "other-in"})
        self.acknowledged: list[int] = []
        self.answers: list[tuple[str, dict[str, object]]] = []
        self._lock = threading.Lock()
        self.intake = self.start()

    def start(self) -> Intake:
        settings = Settings(
            "test",
            "vm-1",
            StoreSettings("http://store", "quarantine"),
            DatabaseSettings("db", "db", "worker", "admin"),
            Package("key", "0" * 64),
            {
                name: Pipeline(name, "copy", f"{name}-in", f"{name}-out")
                for name in ("faces", "other")
            },
            cameras=self.cameras,
        )
        self.intake = Intake(
            settings,
            self.store,
            self._open,
            self._settle,
            network_problem=lambda: self.network_problem,
            limits=self.limits,
        )
        self.intake.start()
        return self.intake

    @contextmanager
    def _open(self) -> Iterator[MessageLedger]:
        self._fail()
        yield Checked(self.tables, self._fail, self._before_count)

    def _before_count(self) -> None:
        self.count()

    def _fail(self) -> None:
        if self.database_problem:
            raise self.database_problem

    def _settle(self, settlement: Settlement) -> None:
        with self._lock:
            self.acknowledged += [receipt.mid for receipt in settlement.receipts]
            self.answers += [(topic, json.loads(text)) for topic, text in settlement.confirmations]

    def arrive(self, topic: str = TOPIC, payload: bytes = JPEG, mid: int = 1, qos: int = 1) -> None:
        self.intake.arrive(topic, payload, Receipt(1, mid, qos))

    def answer(self, topic: str = TOPIC, payload: bytes = JPEG) -> dict[str, object]:
        """Let a message arrive, and return its answer."""
        count = len(self.answers)
        self.arrive(topic, payload)
        eventually(lambda: len(self.answers) > count)
        return self.answers[-1][1]

    def objects(self, bucket: str = "faces-in") -> dict[str, int]:
        """Return how many versions each key has."""
        return {key: len(versions) for key, versions in self.store.versions(bucket).items()}

    def heartbeat(self) -> str | None:
        _, problem = self.tables.heartbeats.get((INGEST, "vm-1"), (NOON, "none yet"))
        return problem


class Checked(MemoryMessages):
    """A ledger whose statements fail while the database does."""

    def __init__(
        self, tables: MemoryTables, check: Callable[[], None], count: Callable[[], object]
    ) -> None:
        super().__init__(tables, "vm-1")
        self._check, self._count = check, count

    def count(self, minutes: Collection[CameraMinute]) -> None:
        self._count()
        super().count(minutes)

    def note(self, *arguments: object) -> dict:  # type: ignore[type-arg]
        self._check()
        return super().note(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.store.problem, made.database_problem = None, None
    made.intake.stop(60)
    assert not made.intake.is_alive


def test_a_message_is_stored_and_then_confirmed(service: Service) -> None:
    assert service.answer() == {"number": 1}
    assert service.answers[-1][0] == "image-pipeline/door/b1/confirmed"
    assert service.acknowledged == [1]
    ((key, (stored,)),) = service.store.versions("faces-in").items()
    name = message_id("test", "door", "b1", 1)
    assert (key, stored.content, stored.content_type) == ("door/b1/1.jpg", JPEG, "image/jpeg")
    assert stored.metadata == {"parent": name, "number": "1"}
    assert service.tables.messages[name].is_stored


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (JPEG, ("jpg", "image/jpeg")),
        (b"\x89PNG\r\n", ("png", "image/png")),
        (b"GIF89a", ("gif", "image/gif")),
        (b"a,b\n1,2\n", ("bin", "application/octet-stream")),
    ],
)
def test_kinds_are_known_by_their_first_bytes(content: bytes, kind: tuple[str, str]) -> None:
    assert kind_of(content) == kind


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("image-pipeline/door/b1/x", JPEG, "'x' in the topic must be a whole number from 1"),
        ("image-pipeline/door/b1/0", JPEG, "'0' in the topic must be a whole number from 1"),
        ("image-pipeline/door/b1/01", JPEG, "'01' in the topic must be a whole number from 1"),
        ("image-pipeline/door/b1/-1", JPEG, "'-1' in the topic must be a whole number from 1"),
        ("image-pipeline/door/b1/²", JPEG, "'²' in the topic must be a whole number from 1"),
        (f"image-pipeline/door/b1/{10**18}", JPEG, "at most 18 digits"),
        ("image-pipeline/door/B 1/1", JPEG, "'B 1' in the topic must be 1 to 32 of a-z, 0-9"),
        (f"image-pipeline/door/{33 * 'b'}/1", JPEG, "must be 1 to 32 of a-z, 0-9"),
        ("image-pipeline/gate/b1/1", JPEG, "'gate' is not among the cameras of this stack"),
        ("image-pipeline/gate/b1/counters", b"{}", "'gate' is not among the cameras"),
        (TOPIC, b"", "The message is empty"),
        (TOPIC, bytes(MAX_BYTES + 1), f"has {MAX_BYTES + 1} bytes, and {MAX_BYTES} is the limit"),
        ("image-pipeline/door/b1/counters", b"{}", "counters cannot be read: 'minute' must be"),
        ("image-pipeline/door/B 1/counters", json.dumps(COUNTERS).encode(), "'B 1' in the topic"),
    ],
)
def test_what_will_never_be_stored_is_refused_in_words(
    service: Service, topic: str, payload: bytes, reason: str
) -> None:
    answer = service.answer(topic, payload)
    assert reason in str(answer["refused"])
    camera, boot = topic.split("/")[1:3]
    assert service.answers[-1][0] == f"image-pipeline/{camera}/{boot}/confirmed"
    assert service.acknowledged == [1]
    assert service.objects() == {}


@pytest.mark.parametrize(
    "topic",
    [
        "$SYS/broker/version",
        "image-pipeline/door/b1/confirmed",
        "image-pipeline/door/1",
        "image-pipeline/door/b1/1/2",
        f"image-pipeline/door/b1/{60_000 * '1'}",  # more digits than int() takes
        f"image-pipeline/door/{65_500 * 'b'}/1",  # its confirmation has no valid topic
        "other/door/b1/1",
    ],
)
def test_other_topics_are_only_acknowledged(service: Service, topic: str) -> None:
    service.arrive(topic)
    assert (service.acknowledged, service.answers) == ([1], [])


@pytest.mark.parametrize("number", ["01", "\N{ARABIC-INDIC DIGIT ONE}", "0", "1x"])
def test_a_refused_topic_names_no_other_picture(service: Service, number: str) -> None:
    assert service.answer(f"image-pipeline/door/b1/{number}")["number"] == number


def test_a_repeat_is_only_confirmed(service: Service) -> None:
    assert service.answer() == service.answer() == {"number": 1}
    assert service.objects() == {"door/b1/1.jpg": 1}
    service.intake.stop(60)
    service.start()  # it remembers nothing itself
    assert service.answer() == {"number": 1}
    assert service.objects() == {"door/b1/1.jpg": 1}


def test_a_repeat_meanwhile_is_acknowledged_with_the_first(service: Service) -> None:
    may_go = threading.Event()
    service.store.before = lambda: may_go.wait(60 * patience())
    service.arrive(mid=1)
    service.arrive(mid=2)
    service.arrive(payload=b"another", mid=3)
    eventually(lambda: service.answers)
    assert "Another picture was sent as number 1 of door/b1" in str(
        service.answers[0][1]["refused"]
    )
    assert service.acknowledged == [3]
    may_go.set()
    eventually(lambda: service.acknowledged == [3, 1, 2])
    assert service.objects() == {"door/b1/1.jpg": 1}


def test_another_picture_of_the_same_number_is_refused(service: Service) -> None:
    service.answer()
    assert "Another picture was sent as number 1" in str(service.answer(payload=b"b")["refused"])
    assert service.objects() == {"door/b1/1.jpg": 1}
    assert service.answer() == {"number": 1}


def test_confirmations_of_a_batch_share_a_message(service: Service) -> None:
    service.database_problem = ServiceUnavailable("The database is away.")
    for number in range(1, 21):
        service.arrive(f"image-pipeline/door/b1/{number}", mid=number)
    service.database_problem = None

    def confirmed() -> list[object]:
        found: list[object] = []
        for _, answer in service.answers:
            numbers = answer.get("numbers", [answer.get("number")])
            assert isinstance(numbers, list)
            found += numbers
        return found

    eventually(lambda: len(confirmed()) == 20)
    assert sorted(confirmed(), key=str) == sorted(range(1, 21), key=str)


@pytest.mark.parametrize(
    "problem",
    [
        ServiceUnavailable("The bucket 'faces-in' is away."),
        UploadDeferred("The bucket 'faces-in' has no room for 11 bytes."),
    ],
)
def test_during_an_outage_of_the_store_messages_are_held(
    service: Service, problem: Exception
) -> None:
    service.store.problem = problem
    service.arrive()
    eventually(lambda: service.heartbeat() == str(problem))
    assert (service.acknowledged, service.answers) == ([], [])
    service.store.problem = None
    eventually(lambda: service.answers == [("image-pipeline/door/b1/confirmed", {"number": 1})])
    eventually(lambda: service.heartbeat() is None)


def test_one_object_that_fails_does_not_stop_others(service: Service) -> None:
    def fail_once() -> None:
        if not first:
            first.append(1)
            raise UploadDeferred("The bucket responded 400 for 'door/b1/1.jpg'.")

    first: list[int] = []
    service.limits = replace(LIMITS, pause=60, longest_pause=60)
    service.intake.stop(60)
    service.start()
    service.store.before = fail_once
    service.arrive()
    eventually(lambda: "responded 400" in str(service.heartbeat()))
    assert service.answer("image-pipeline/door/b1/2") == {"number": 2}


def test_nothing_is_stored_without_its_row(service: Service) -> None:
    service.database_problem = ServiceUnavailable("The database is away.")
    service.arrive()
    service.arrive("image-pipeline/door/b1/counters", json.dumps(COUNTERS).encode(), mid=2)
    service.intake.stop(60)
    assert (service.objects(), service.acknowledged) == ({}, [])
    service.database_problem = None
    service.start()
    assert service.answer() == {"number": 1}


def test_during_an_outage_of_the_database_messages_are_held(service: Service) -> None:
    eventually(lambda: service.heartbeat() is None)
    service.database_problem = ServiceUnavailable("The database is away.")
    service.arrive()
    service.arrive("image-pipeline/door/b1/2", mid=2)
    assert service.intake.is_alive
    service.database_problem = None
    eventually(lambda: sorted(service.acknowledged) == [1, 2])


@pytest.mark.parametrize("part", ["store", "database"])
def test_no_exception_ends_the_service(service: Service, part: str) -> None:
    bug = RuntimeError("nobody thought of this")
    if part == "store":
        service.store.problem = bug
    else:
        service.database_problem = bug
    service.arrive()
    if part == "store":
        eventually(lambda: "nobody thought of this" in (service.heartbeat() or ""))
    assert service.intake.is_alive
    service.store.problem = service.database_problem = None
    eventually(lambda: service.answers)


def test_a_message_that_cannot_be_taken_is_left(service: Service) -> None:
    service.intake.arrive(TOPIC, None, Receipt(1, 1, 1))  # type: ignore[arg-type]
    assert service.acknowledged == []
    assert service.answer() == {"number": 1}


def test_reading_pauses_while_much_is_held(service: Service) -> None:
    service.store.problem = ServiceUnavailable("The bucket 'faces-in' is away.")
    for number in range(1, 5):
        assert not service.intake.is_full
        service.arrive(f"image-pipeline/door/b1/{number}", bytes(30_000), number)
    assert service.intake.is_full
    service.store.problem = None
    eventually(lambda: not service.intake.is_full)


def test_reading_pauses_while_many_minutes_are_held(service: Service) -> None:
    may_count = threading.Event()
    service.count = lambda: may_count.wait(60 * patience())
    for number in range(1001):
        assert not service.intake.is_full or number == 1000
        service.arrive("image-pipeline/door/b1/counters", json.dumps(COUNTERS).encode())
    assert service.intake.is_full
    may_count.set()
    eventually(lambda: not service.intake.is_full)


def test_what_the_network_suffers_from_is_in_the_heartbeat(service: Service) -> None:
    service.network_problem = "The broker at 127.0.0.1:1883 did not respond."
    eventually(lambda: service.heartbeat() == service.network_problem)


def test_the_end_finishes_what_is_being_stored_and_leaves_the_rest(service: Service) -> None:
    service.limits = replace(LIMITS, puts=1)
    service.intake.stop(60)
    service.start()
    is_putting, may_go = threading.Event(), threading.Event()

    def wait() -> None:
        is_putting.set()
        may_go.wait(60 * patience())

    service.store.before = wait
    service.arrive(mid=1)
    service.arrive("image-pipeline/door/b1/2", mid=2)
    assert is_putting.wait(60 * patience())
    service.intake.stop(0)
    may_go.set()
    service.intake.stop(60)
    assert service.acknowledged == [1]
    assert service.objects() == {"door/b1/1.jpg": 1}


def test_what_a_killed_process_stored_is_not_stored_again(service: Service) -> None:
    stored = threading.Event()

    def lose_the_database() -> None:
        service.database_problem = ServiceUnavailable("The database is away.")
        stored.set()

    service.store.before = lose_the_database
    service.arrive()
    assert stored.wait(60 * patience())
    service.intake.stop(60)  # before it could note that
    name = message_id("test", "door", "b1", 1)
    assert not service.tables.messages[name].is_stored
    eventually(lambda: service.objects() == {"door/b1/1.jpg": 1})
    service.database_problem = None
    service.start()
    eventually(lambda: service.tables.messages[name].is_stored)
    assert service.answer() == {"number": 1}
    assert service.objects() == {"door/b1/1.jpg": 1}


def test_a_repeat_goes_where_the_first_one_went(service: Service) -> None:
    problem = "The bucket 'faces-in' is away."
    service.store.problem = ServiceUnavailable(problem)
    service.arrive()
    eventually(lambda: service.heartbeat() == problem)
    service.intake.stop(60)
    service.store.problem = None
    service.cameras = {"door": Camera("door", "other")}
    service.start()
    assert service.answer() == {"number": 1}
    assert (service.objects(), service.objects("other-in")) == ({"door/b1/1.jpg": 1}, {})
    service.answer("image-pipeline/door/b1/2")
    assert service.objects("other-in") == {"door/b1/2.jpg": 1}


def test_counters_are_confirmed_and_count_what_comes_later(service: Service) -> None:
    text = json.dumps(COUNTERS).encode()
    assert service.answer("image-pipeline/door/b1/counters", text) == {"minute": COUNTERS["minute"]}
    ((minute, received),) = service.tables.camera_minutes.values()
    assert (minute.generated, minute.qos, received) == (2, 1, 0)
    service.answer()
    eventually(lambda: [one for _, one in service.tables.camera_minutes.values()] == [1])


def test_counters_say_how_far_a_clock_is_off() -> None:
    values = COUNTERS | {"qos": 0, "delay_median_ms": 20, "delay_p99_ms": 31.5}
    name, minute = read_counters("door", "b1", json.dumps(values).encode(), NOON)
    assert (name, minute.clock_offset) == (COUNTERS["minute"], 60)
    assert (minute.minute, minute.qos) == (NOON, 0)
    assert (minute.delay_median_ms, minute.delay_p99_ms) == (20, 31.5)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", "codec can't decode"),
        (b"{", "Expecting property name"),
        (b"[" * 4000, "maximum recursion depth|Expecting value"),
        (b"[]", "they are not a JSON object"),
        (b" " * 5000, "they are longer than 4096 bytes"),
        ({"minute": 5}, "'minute' must be a time such as"),
        ({"minute": "noon"}, "'minute' must be a time such as"),
        ({"clock": None}, "'clock' must be a time such as"),
        ({"first": -1}, "'first' must be a whole number from 0"),
        ({"last": 1.5}, "'last' must be a whole number from 0"),
        ({"generated": True}, "'generated' must be a whole number from 0"),
        ({"bytes": 2**80}, "'bytes' must be a whole number from 0"),
        ({"delay_median_ms": "5"}, "'delay_median_ms' must be a number of milliseconds"),
        ({"delay_p99_ms": float("inf")}, "'delay_p99_ms' must be a number of milliseconds"),
    ],
)
def test_wrong_counters_are_refused(payload: bytes | dict[str, object], reason: str) -> None:
    text = payload if isinstance(payload, bytes) else json.dumps(COUNTERS | payload).encode()
    with pytest.raises(MessageRefused, match=reason):
        read_counters("door", "b1", text, NOON)


@pytest.mark.parametrize("versioned", [True, False])
def test_a_second_object_of_a_message_has_no_job(tmp_path: Path, versioned: bool) -> None:
    world = World(tmp_path, versioned=versioned)
    messages = MemoryMessages(world.tables, "vm-1")
    service = Service(tables=world.tables)
    service.answer(payload=b"photo")
    service.intake.stop(60)
    (name,) = world.tables.messages
    row = world.tables.messages[name]
    world.tables.messages[name] = replace(row, message=replace(row.message, pipeline="negatives"))
    for _ in range(2):
        world.store.upload(
            "input", "door/b1/1.jpg", b"photo", metadata={"parent": name, "number": "1"}
        )
    world.run()
    world.store.upload("input", "door/b1/1.jpg", b"photo", metadata={"parent": name, "number": "1"})
    world.run()
    assert len(world.ledger.results) == 1
    (result,) = world.ledger.results
    assert (result.job.run_id, result.job.parent and result.job.parent.job_id) == (
        result.job.id,
        name,
    )
    assert world.left() == []
    assert messages.note([row.message], [])[name].is_stored
