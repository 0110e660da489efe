"""What `Assignments` promises, checked on its twin in memory and on PostgreSQL."""

import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.eventually import eventually, patience
from tests.worker.dispatch import Dispatch
from tests.worker.results import done, record, start
from worker.dispatch import task_queue
from worker.dispatch.assignments import Assignments, Depth, Pauses
from worker.dispatch.bundle import Bundle
from worker.dispatch.task_queue import Assigned
from worker.ledger.ledger import Attempt, Lease
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAUSES = Pauses(lambda failures: 60.0 * failures, 3600)
AT_ONCE = Pauses(lambda failures: 0, 0)


def upload(key: str, version: str = "v1") -> Upload:
    return Upload("input", key, version, "e", START, 7)


def work(*uploads: Upload) -> KeyUploads:
    return KeyUploads(uploads[0].key, [], list(uploads))


CAT, DOG, EEL = (upload(name) for name in ("cat.png", "dog.png", "eel.png"))
WORKS = [work(CAT), work(DOG), work(EEL)]


def bundle(*works: KeyUploads, is_slow: bool = False) -> Bundle:
    return Bundle(list(works), {}, is_slow)


def due(assignments: Assignments, pauses: Pauses = PAUSES) -> list[str]:
    return [one.key for one, _ in assignments.due(WORKS, pauses)]


@contextmanager
def machine(dispatch: Dispatch, slots: int = 1) -> Iterator["queue.Queue[Assigned]"]:
    """Yield what a machine receives."""
    received = queue.Queue[Assigned]()
    with ExitStack() as stack:
        made = dispatch.queue("vm-1", slots, received.put, lambda problem: None)
        made.open()
        stack.callback(made.close)
        yield received


def test_one_machine_at_a_time_is_the_lister(dispatch: Dispatch) -> None:
    first, second = dispatch.assignments("vm-1"), dispatch.assignments("vm-2")
    assert not first.assign([bundle(work(CAT))])
    assert (first.lead(), second.lead(), first.lead()) == (True, False, True)
    assert not second.assign([bundle(work(CAT))])
    second.resign()  # it is none
    assert not second.lead()
    dispatch.end_lister_lease()
    assert not first.assign([bundle(work(CAT))])
    assert (second.lead(), first.lead()) == (True, False)
    second.resign()
    assert first.lead()
    assert first.depth() == Depth()


def test_assigned_keys_are_not_due_until_their_task_is_gone(dispatch: Dispatch) -> None:
    lister = dispatch.assignments("vm-1")
    lister.lead()
    assert due(lister) == ["cat.png", "dog.png", "eel.png"]
    assert lister.assign([bundle(work(CAT), work(DOG)), bundle(work(EEL), is_slow=True)])
    assert due(lister) == []
    assert lister.depth() == Depth(queued=2, slow=1)
    with machine(dispatch) as received:
        assigned = received.get(timeout=60 * patience())
        assert assigned.bundle == bundle(work(CAT), work(DOG))
        assert (due(lister), lister.depth()) == ([], Depth(1, 1, 1))
        dispatch.cancel_queued()
        assert (due(lister), lister.depth()) == (["eel.png"], Depth(0, 1, 0))
        assigned.finish()
        eventually(lambda: lister.depth() == Depth())
        assert due(lister) == ["cat.png", "dog.png", "eel.png"]
        assert lister.assign([])


def test_tasks_of_a_dead_machine_are_void(
    dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_queue, "_HEARTBEAT_SECONDS", 3600)
    lister = dispatch.assignments("vm-2")
    lister.lead()
    with machine(dispatch) as received:
        lister.assign([bundle(work(CAT), is_slow=True), bundle(work(DOG))])
        received.get(timeout=60 * patience())
        dispatch.stall()
        assert due(lister) == ["cat.png", "eel.png"]
        assert lister.assign([bundle(work(CAT))])  # before anybody has deleted the void task
        assert due(lister) == ["eel.png"]
        assert lister.depth() == Depth(queued=2)
        assert due(lister) == ["eel.png"]


def test_leased_and_recorded_keys_are_not_due(dispatch: Dispatch) -> None:
    lister = dispatch.assignments("vm-1")
    for name, one in (("vm-1", CAT), ("vm-2", DOG)):
        ledger = dispatch.ledgers.open(name, "negatives")
        (held,) = start(ledger, done(one))
        assert one.key not in due(lister)
        if one is DOG:
            ledger.release([Lease(one.key, held.fence)])
            ledger.heartbeat(None)
            ledger.clear_attempts([one])
    assert due(lister) == ["dog.png", "eel.png"]
    dispatch.ledgers.expire_leases()
    assert due(lister) == ["cat.png", "dog.png", "eel.png"]
    ledger = dispatch.ledgers.open("vm-2", "negatives")
    record(ledger, done(EEL))
    ledger.heartbeat(None)
    assert due(lister) == ["cat.png", "dog.png"]  # the listing may be older
    dispatch.ledgers.age_results()
    assert due(lister) == ["cat.png", "dog.png", "eel.png"]


def test_what_was_tried_before_is_due_after_its_pause(dispatch: Dispatch) -> None:
    lister = dispatch.assignments("vm-1")
    ledger = dispatch.ledgers.open("vm-2", "negatives")
    newer, older = upload("cat.png", "v2"), upload("cat.png", "v1")
    ledger.fail({DOG: "the store is slow", older: "refused"})
    ledger.fail({older: "refused"}, undeletable=True)
    start(ledger, done(EEL), alone=True)  # and dies
    dispatch.ledgers.expire_leases()
    works = [work(older, newer), work(DOG), work(EEL)]

    def found(pauses: Pauses) -> list[tuple[KeyUploads, dict[Upload, Attempt]]]:
        return [
            (one, {key: replace(value, seconds=0) for key, value in attempts.items()})
            for one, attempts in lister.due(works, pauses)
        ]

    refused = {older: Attempt(problem="refused", failures=2, is_undeletable=True)}
    crashed = {EEL: Attempt(crashes=1, is_alone=True)}
    assert found(PAUSES) == [(work(newer), refused), (work(EEL), crashed)]
    slow = {DOG: Attempt(problem="the store is slow", failures=1)}
    assert found(AT_ONCE) == [
        (work(older, newer), refused),
        (work(DOG), slow),
        (work(EEL), crashed),
    ]
    assert lister.due([work(older)], PAUSES) == []
    empty = replace(newer, size=0)
    still = replace(empty, version_id="v3")
    assert [one for one, _ in lister.due([work(older, empty)], PAUSES)] == [work(empty)]
    ledger.fail({still: "refused"}, undeletable=True)
    assert lister.due([work(older, empty, still)], PAUSES) == []


def test_versions_that_were_withdrawn_are_due_unless_one_is_refused(dispatch: Dispatch) -> None:
    lister = dispatch.assignments("vm-1")
    marker = replace(upload("cat.png", "m"), is_marker=True)
    withdrawn = KeyUploads("cat.png", [CAT, marker], [])
    assert lister.due([withdrawn], PAUSES) == [(withdrawn, {})]
    ledger = dispatch.ledgers.open("vm-2", "negatives")
    ledger.fail({CAT: "the store is slow"})
    assert lister.due([withdrawn], PAUSES) == []
    ((found, attempts),) = lister.due([withdrawn], AT_ONCE)
    assert (found, attempts[CAT].failures) == (withdrawn, 1)
    ledger.fail({CAT: "refused"}, undeletable=True)
    assert lister.due([withdrawn], PAUSES) == []
    newer = upload("cat.png", "v2")
    ((found, _),) = lister.due([replace(withdrawn, uploads=[newer])], PAUSES)
    assert found == work(newer)


def test_keys_that_are_stored_as_the_same_text(dispatch: Dispatch) -> None:
    lister = dispatch.assignments("vm-1")
    lister.lead()
    strange = [work(upload(f"a{end}.png")) for end in ("\0", "\ufffd", "\udcff", "?")]
    assert len(lister.due(strange, PAUSES)) == len(strange)
    assert lister.assign([bundle(*strange[:2]), bundle(*strange[2:])])
    assert lister.due(strange, PAUSES) == []
    with machine(dispatch, 2) as received:
        got = [received.get(timeout=60 * patience()).bundle for _ in range(2)]
        assert sorted(one.key for found in got for one in found.works) == sorted(
            one.key for one in strange
        )
