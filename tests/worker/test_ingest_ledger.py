"""What `MessageLedger` promises, checked on its twin in memory and on PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.worker.ledgers import Ledgers
from tests.worker.results import done, quarantined, record
from worker.ledger.ledger import Claim, Ledger, Origin
from worker.ledger.messages import (
    CameraMinute,
    KnownMessage,
    Message,
    MessageLedger,
    message_id,
)
from worker.uploads.job import Job, Parent, job_id
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
MINUTE = CameraMinute("door", "b1", START, 1, 10, 10, 0, 1000, 20, 30, 1, -0.5)


def message(number: int = 1, sha256: str = "a" * 64, camera: str = "door") -> Message:
    name = message_id("test", camera, "b1", number)
    return Message(name, "negatives", camera, "b1", number, f"{camera}/b1/{number}.jpg", sha256, 3)


@pytest.fixture
def messages(ledgers: Ledgers) -> MessageLedger:
    return ledgers.messages("vm-1")


def job_on(one: Message, version: str = "v1") -> Job:
    """Return the job on an object of a message."""
    upload = Upload("input", f"door/b1/{one.number}.jpg", version, "e", START)
    own_id = job_id("negatives", upload)
    return Job(own_id, upload, own_id, parent=Parent(one.id, 1))


def test_ids_tell_messages_apart() -> None:
    places = [("s", "a", "b", 1), ("t", "a", "b", 1), ("s", "c", "b", 1), ("s", "a", "c", 1)]
    places += [("s", "a", "b", 11), ("s", "a", "b1", 1)]
    ids = {message_id(*place) for place in places}
    assert len(ids) == len(places)
    assert all(len(one) == 32 for one in ids)


def test_a_message_is_new_once(messages: MessageLedger) -> None:
    one, other = message(1), message(2)
    assert messages.note([one], []) == {}
    assert messages.note([one, other], []) == {
        one.id: KnownMessage("negatives", one.sha256, is_stored=False)
    }
    assert messages.note([], [one.id, "unknown"]) == {}
    assert messages.note([one], [other.id]) == {
        one.id: KnownMessage("negatives", one.sha256, is_stored=True)
    }
    assert messages.note([other], [])[other.id].is_stored


def test_what_arrived_first_is_known(messages: MessageLedger) -> None:
    messages.note([message(1)], [])
    changed = replace(message(1), sha256="b" * 64, pipeline="another")
    found = messages.note([changed], [])
    assert found[changed.id] == KnownMessage("negatives", "a" * 64, is_stored=False)


def test_a_message_that_became_a_job_is_known_for_good(
    ledgers: Ledgers, ledger: Ledger, messages: MessageLedger
) -> None:
    waiting, one, other = message(1), message(2), message(3)
    messages.note([waiting, one, other], [])
    messages.note([], [waiting.id, other.id])  # killed after the PUT of `one`, before its mark
    for made, result in ((one, done), (other, quarantined)):
        job = job_on(made)
        row = replace(result(job.upload), job=job, input_sha256=made.sha256)
        record(ledger, row)
    assert messages.note([one], [])[one.id].is_stored
    ledgers.age_messages()
    messages.purge()
    for made in (one, other):
        known = KnownMessage("negatives", made.sha256, is_stored=True)
        assert messages.note([made], []) == {made.id: known}
        assert messages.note([made], []) == {made.id: known}  # not even now it gets a row
    # What has no job yet keeps its row: a second object must find it.
    assert messages.note([waiting], [])[waiting.id].is_stored


def test_what_is_not_marked_is_found_after_a_kill(
    ledgers: Ledgers, ledger: Ledger, messages: MessageLedger
) -> None:
    stored, one, other = message(1), message(2), message(3)
    messages.note([stored, one, other], [])
    messages.note([], [stored.id])
    assert sorted(each.number for each in messages.unmarked()) == [2, 3]
    job = job_on(one)
    record(ledger, replace(done(job.upload), job=job, input_sha256=one.sha256))
    assert messages.unmarked() == [other]
    messages.count([MINUTE])
    assert ledgers.received() == [2]  # also the one that only its job shows
    messages.note([], [other.id])
    assert messages.unmarked() == []


def test_only_the_first_object_of_a_message_is_a_job(
    ledgers: Ledgers, ledger: Ledger, messages: MessageLedger
) -> None:
    one = message(1)
    messages.note([one], [])
    first, second = job_on(one), job_on(one, "v2")
    claims = [Claim(each.upload, one.sha256, parent=each.parent) for each in (first, second)]
    origin = Origin(None, 0, Parent(one.id, 1), None, None)
    assert ledger.find_origins(claims, []) == dict.fromkeys([first.upload, second.upload], origin)
    record(ledger, replace(done(first.upload), job=first, input_sha256=one.sha256))
    assert ledger.find_origins(claims, [])[second.upload].successor == first.id
    # Anybody can write metadata.
    forged = [
        replace(claims[1], sha256="b" * 64),
        replace(claims[1], parent=Parent(one.id, 2)),
        replace(claims[1], parent=Parent("0" * 32, 1)),
    ]
    assert [ledger.find_origins([each], []) for each in forged] == [{}, {}, {}]
    assert ledgers.open("vm-1", "thumbs").find_origins(claims, []) == {}


def test_received_pictures_are_counted_by_number(ledgers: Ledgers, messages: MessageLedger) -> None:
    some = [message(number) for number in (1, 2, 3, 11)] + [message(4, camera="gate")]
    messages.note(some, [])
    messages.note([], [one.id for one in some[1:]])  # number 1 is not stored yet
    messages.count([MINUTE])
    assert ledgers.received() == [2]
    messages.note([], [some[0].id])
    messages.recount({("door", "b2"): (1, 1), ("gate", "b1"): (1, 9), ("door", "b1"): (11, 11)})
    assert ledgers.received() == [2]  # not its numbers
    messages.recount({("door", "b1"): (10, 12)})
    assert ledgers.received() == [3]


def test_all_minutes_are_counted_again(ledgers: Ledgers, messages: MessageLedger) -> None:
    messages.count([MINUTE, replace(MINUTE, first_number=11, last_number=12, generated=2)])
    messages.note([message(10), message(11)], [])
    messages.note([], [message(10).id, message(11).id])
    messages.recount({})
    assert ledgers.received() == [0, 0]
    messages.recount(None)
    assert ledgers.received() == [1, 1]


def test_a_minute_may_be_counted_repeatedly(ledgers: Ledgers, messages: MessageLedger) -> None:
    messages.note([message(1)], [])
    messages.note([], [message(1).id])
    messages.count([MINUTE, MINUTE])
    messages.count([replace(MINUTE, minute=START + timedelta(minutes=1), last_number=0)])
    messages.count([MINUTE])
    messages.count([])
    assert ledgers.received() == [1, 0]
