"""What a pass does next: decisions without threads, store or clock."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.jobs.disk import Space
from worker.jobs.recorded import Recorded
from worker.jobs.schedule import Schedule
from worker.jobs.scheduler import Scheduler
from worker.jobs.work_queue import BATCH_BYTES, BATCH_UPLOADS, Batch, Kind
from worker.ledger.ledger import Attempt
from worker.store.store import ObjectInfo
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload

START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = START + timedelta(days=1)
SPACE = Space(1 << 40, 1 << 40)
SCHEDULE = Schedule(retry=(1, 8), held=10, refused=100, patience=30, grace=2, empty=60, settle=0)


def upload(key: str, version: str = "v1", size: int = 1) -> Upload:
    return Upload("input", key, version, "e", START, size)


def work(key: str, *sizes: int, withdrawn: int = 0) -> KeyUploads:
    """Return the work for a key with an upload of each size; the first ones are withdrawn."""
    made = [upload(key, f"v{number}", size) for number, size in enumerate(sizes or (1,), 1)]
    return KeyUploads(key, made[:withdrawn], made[withdrawn:])


def keys(batch: Batch | None) -> list[str]:
    return [one.key for one in batch.works] if batch else []


class Listed(Scheduler):
    """A scheduler, and complete listings of its bucket."""

    def __init__(
        self,
        threads: int = 4,
        attempts: dict[Upload, Attempt] | None = None,
        *,
        retries: bool = True,
        batch_uploads: int = BATCH_UPLOADS,
    ) -> None:
        schedule = replace(SCHEDULE, retries=retries)
        super().__init__(threads, attempts or {}, schedule, batch_uploads)

    def show(
        self, works: Sequence[KeyUploads], now: float = 0, clock: datetime = LATER
    ) -> tuple[list[str], list[Upload]]:
        """List; return the keys with something new, and the uploads to forget."""
        self.begin_listing()
        new = [one.key for one in works if self.offer(one, now, clock)]
        return new, self.end_listing()

    def batch(self, now: float = 0, space: Space = SPACE) -> Batch:
        taken = self.take(now, space)
        assert taken
        return taken

    def record(self, batch: Batch, now: float = 0) -> None:
        """Let all uploads of a batch be recorded and deleted."""
        for one in batch.works:
            for each in one.uploads:
                self.note_recorded(Recorded(each, ObjectInfo("e", START, each.size)))
        self.finish(batch)
        self.note_gone(one.upload for one in self.take_recorded(now + SCHEDULE.grace))
        self.finish_deletion()


def lengths(threads: int, *works: KeyUploads, batch_uploads: int = BATCH_UPLOADS) -> list[int]:
    scheduler = Listed(threads, batch_uploads=batch_uploads)
    renamed = [
        KeyUploads(str(number), one.withdrawn, one.uploads) for number, one in enumerate(works)
    ]
    scheduler.show(renamed)
    found: list[Batch] = []
    while scheduler.queued:
        taken = [scheduler.take(0, SPACE) for _ in range(threads)]  # all threads are busy
        found += filter(None, taken)
        for each in filter(None, taken):
            scheduler.finish(each)
    return [len(each.works) for each in found]


def test_batches_leave_no_thread_idle() -> None:
    small = work("x")
    assert lengths(4) == []
    assert lengths(4, small) == [1]
    assert lengths(4, *[small] * 4) == [1, 1, 1, 1]
    assert lengths(4, *[small] * 10) == [3, 2, 2, 1, 1, 1]
    assert lengths(2, *[small] * (12 * BATCH_UPLOADS))[:11] == [BATCH_UPLOADS] * 11
    assert lengths(2, *[small] * 10, batch_uploads=1) == [1] * 10


def test_a_thread_leaves_others_their_part_of_the_queue() -> None:
    """Pictures may take minutes: the last ones must not wait in one batch while threads idle."""
    scheduler = Listed(4)
    scheduler.show([work(str(number)) for number in range(4 * BATCH_UPLOADS)])
    batches = [scheduler.batch() for _ in range(4)]
    scheduler.record(batches[0])
    assert len(scheduler.batch().works) == scheduler.queued // 3


def test_a_fleets_bundle_is_not_divided_again_among_busy_threads() -> None:
    """Each has been divided among all threads of the fleet."""
    scheduler = Scheduler(4, {}, SCHEDULE, is_divided=True)
    bundles = [[work(f"{one}.{number}") for number in range(BATCH_UPLOADS)] for one in range(2)]
    for each in bundles[0]:
        scheduler.assign(each, {}, 0, LATER)
    batches = [scheduler.take(0, SPACE) for _ in range(4)]
    assert batches[0]
    scheduler.finish(batches[0])
    for each in bundles[1]:
        scheduler.assign(each, {}, 0, LATER)
    assert len(keys(scheduler.take(0, SPACE))) == BATCH_UPLOADS


def test_keys_with_several_uploads_and_large_uploads_are_alone_in_a_batch() -> None:
    small, pair, withdrawn = work("x"), work("x", 1, 1), work("x", 1, 1, withdrawn=1)
    large = work("x", BATCH_BYTES + 1)
    assert lengths(1, small, pair, small, withdrawn) == [2, 1, 1]
    assert lengths(1, pair, small, small) == [1, 2]
    assert lengths(1, small, large, small) == [2, 1]
    gone = work("x", 1, withdrawn=1)
    assert lengths(1, small, gone, small, gone) == [2, 2]  # what was withdrawn is deleted at once


def test_a_key_in_work_is_left_alone_until_it_ended() -> None:
    scheduler = Listed()
    assert scheduler.show([work("x")]) == (["x"], [])
    batch = scheduler.batch()
    assert scheduler.show([work("x", 1, 1)]) == ([], [])
    assert scheduler.take(0, SPACE) is None
    scheduler.note_recorded(Recorded(upload("x"), ObjectInfo("e", START, 1)))
    scheduler.finish(batch)
    assert scheduler.show([work("x", 1, 1)])[0] == ["x"]  # while the first one is being deleted
    assert scheduler.batch().works == [KeyUploads("x", [], [upload("x", "v2")])]


def test_what_ended_and_is_still_listed_is_not_tried_all_the_time() -> None:
    """The listing began earlier, or is out of date; or the store has not deleted anything."""
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.begin_listing()
    scheduler.record(batch)
    now = 0.0
    assert not scheduler.offer(work("x"), now, LATER)
    for pause in (1, 2, 4):
        assert scheduler.show([work("x")], now + pause - 0.1)[0] == []
        now += pause
        assert scheduler.show([work("x")], now)[0] == ["x"]
        scheduler.record(scheduler.batch(now), now)
        assert scheduler.show([work("x")], now)[0] == []


def test_what_was_withdrawn_and_is_still_listed_is_not_deleted_all_the_time() -> None:
    scheduler, withdrawn = Listed(retries=False), work("x", 1, withdrawn=1)
    scheduler.show([withdrawn])
    batch = scheduler.batch()
    scheduler.note_gone(withdrawn.withdrawn)
    scheduler.finish(batch)
    assert scheduler.show([withdrawn])[0] == []
    assert scheduler.is_idle(10**9)


def test_a_failed_upload_is_tried_again_with_growing_pauses() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    now = 0.0
    for pause in (1, 2, 4, 8, 8):
        batch = scheduler.batch(now)
        scheduler.note_failure(batch.works[0], upload("x"), "not now", now)
        scheduler.finish(batch)
        assert scheduler.problem == "not now"
        assert scheduler.take(now + pause - 0.1, SPACE) is None
        assert scheduler.is_idle(now + pause - 0.1)
        now += pause
        assert not scheduler.is_idle(now)
    batch = scheduler.batch(now)
    assert batch.kind is Kind.RETRY
    assert scheduler.problem == "not now"  # until it is known to be over
    scheduler.record(batch, now)
    assert scheduler.problem is None
    assert scheduler.is_idle(now)


def test_without_retries_each_upload_is_tried_once() -> None:
    scheduler = Listed(retries=False)
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_failure(batch.works[0], upload("x"), "not now", 0)
    scheduler.finish(batch)
    assert scheduler.is_idle(10**9)


def test_newer_uploads_of_a_key_wait_for_one_that_failed() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_failure(batch.works[0], upload("x"), "not now", 0)
    scheduler.finish(batch)
    assert scheduler.show([work("x", 1, 1)]) == ([], [])
    assert scheduler.batch(1).works == [work("x", 1, 1)]


def test_the_problem_ends_with_its_upload() -> None:
    """The user deletes it, or, without versions, replaces it."""
    scheduler = Listed()
    scheduler.show([work("x"), work("y")])
    batch = scheduler.batch()
    assert keys(batch) == ["x"]
    for one in (batch, scheduler.batch()):
        (each,) = one.works
        scheduler.note_failure(each, each.uploads[0], f"{each.key} failed", 0)
        scheduler.finish(one)
    assert scheduler.problem == "x failed"
    replaced = KeyUploads("y", [], [upload("y", "v2")])
    assert scheduler.show([replaced]) == (["y"], [upload("y"), upload("x")])
    assert scheduler.problem is None


def test_failed_uploads_take_half_of_the_threads() -> None:
    scheduler = Listed(threads=4)
    scheduler.show([work(str(number)) for number in range(4)])
    for batch in [scheduler.batch() for _ in range(4)]:
        scheduler.note_failure(batch.works[0], batch.works[0].uploads[0], "not now", 0)
        scheduler.finish(batch)
    first, second = scheduler.batch(1), scheduler.batch(1)
    assert (first.kind, second.kind) == (Kind.RETRY, Kind.RETRY)
    assert scheduler.take(1, SPACE) is None
    scheduler.show([work("new")])
    assert scheduler.batch(1).kind is Kind.FRESH


def suspects(*names: str) -> dict[Upload, Attempt]:
    return {upload(key): Attempt(crashes=number) for number, key in enumerate(names, 1)}


def test_suspects_run_alone_those_with_the_fewest_crashes_first() -> None:
    scheduler = Listed(attempts=suspects("b", "a"))
    assert scheduler.show([work("a"), work("b"), work("c")])[0] == ["a", "b", "c"]
    fresh = scheduler.batch()
    assert keys(fresh) == ["c"]
    assert scheduler.take(1, SPACE) is None
    scheduler.record(fresh)
    alone = scheduler.batch(1)
    assert (keys(alone), alone.kind, alone.crashes) == (["b"], Kind.ALONE, {upload("b"): 1})
    scheduler.show([work("d")])
    assert scheduler.take(1, SPACE) is None
    scheduler.record(alone)
    assert keys(scheduler.batch(1)) == ["d"]


def test_nothing_wakes_the_threads_while_one_runs_alone() -> None:
    scheduler = Listed(attempts=suspects("x"))
    scheduler.show([work("x"), work("y")])
    batch = scheduler.batch()
    scheduler.note_failure(batch.works[0], upload("y"), "not now", 0)
    scheduler.finish(batch)
    assert scheduler.batch().kind is Kind.ALONE
    assert scheduler.next_due == 1
    assert scheduler.take(1, SPACE) is None
    assert scheduler.next_due > 1


def test_a_suspect_does_not_wait_for_ever() -> None:
    """Under a steady stream nothing else is started after a while."""
    scheduler = Listed(attempts=suspects("x"))
    scheduler.show([work("x"), work("a"), work("b")])
    running = scheduler.batch(0)
    later = SCHEDULE.patience + 1
    assert scheduler.take(later, SPACE) is None
    scheduler.record(running)
    assert keys(scheduler.batch(later)) == ["x"]


def test_an_earlier_pass_is_continued() -> None:
    """Pauses last beyond the end of a pass; what is gone is forgotten."""
    failed = Attempt(problem="not now", failures=3, seconds=1)
    scheduler = Listed(attempts={upload("x"): failed, upload("gone"): failed})
    assert scheduler.show([work("x")]) == ([], [upload("gone")])
    assert scheduler.problem == "not now"
    assert scheduler.take(2.9, SPACE) is None
    batch = scheduler.batch(3)
    assert batch.kind is Kind.RETRY
    scheduler.note_failure(batch.works[0], upload("x"), "not now", 3)
    scheduler.finish(batch)
    assert scheduler.take(10.9, SPACE) is None
    assert scheduler.batch(11)


def test_what_cannot_be_deleted_rests_and_newer_uploads_do_not() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_recorded(Recorded(upload("x"), ObjectInfo("e", START, 1)))
    scheduler.finish(batch)
    scheduler.take_recorded(2)
    scheduler.note_refusal(upload("x"), 2)
    scheduler.finish_deletion()
    assert scheduler.problem is None
    assert scheduler.show([work("x")], 3) == ([], [])
    assert scheduler.is_idle(3)
    assert scheduler.show([work("x", 1, 1)], 4)[0] == ["x"]
    newer = scheduler.batch(4)
    assert newer.works[0].uploads == [upload("x", "v2")]
    scheduler.record(newer, 4)
    assert scheduler.show([work("x")], 101)[0] == []
    assert scheduler.show([work("x")], 103)[0] == ["x"]


def test_a_refused_deletion_of_an_earlier_pass_rests() -> None:
    known = Attempt(problem="locked", failures=1, seconds=40, is_undeletable=True)
    scheduler = Listed(attempts={upload("x"): known})
    assert scheduler.show([work("x")], 0) == ([], [])
    assert scheduler.problem is None
    assert scheduler.show([work("x")], 59) == ([], [])
    assert scheduler.show([work("x")], 61)[0] == ["x"]


def test_a_marker_stays_while_a_version_below_it_does() -> None:
    """Otherwise the version would be the latest again."""
    scheduler = Listed()
    covered = work("x", 1, 1, withdrawn=2)
    scheduler.show([covered])
    batch = scheduler.batch()
    scheduler.note_refusal(upload("x"), 0)
    scheduler.finish(batch)
    newer = work("x", 1, 1, 1, withdrawn=2)
    assert scheduler.show([newer], 1)[0] == ["x"]
    assert scheduler.batch(1).works == [KeyUploads("x", [], [upload("x", "v3")])]


@pytest.mark.parametrize(("age", "waits"), [(0, 60), (45, 15), (-3600, 60)])
def test_an_empty_object_waits_for_its_content(age: float, waits: float) -> None:
    """Not for longer than from when it was listed first, whatever the store's clock says."""
    scheduler, clock = Listed(), START + timedelta(seconds=age)
    assert scheduler.show([work("x", 0)], 0, clock) == ([], [])
    assert scheduler.show([work("x", 0)], waits - 1, clock) == ([], [])
    assert scheduler.show([work("x", 0)], waits, clock)[0] == ["x"]


def test_an_empty_object_that_was_replaced_does_not_wait() -> None:
    scheduler = Listed()
    assert scheduler.show([work("x", 0)], 0, START)[0] == []
    assert scheduler.show([work("x", 0, 1)], 0, START)[0] == ["x"]
    assert scheduler.batch().works == [work("x", 0, 1)]


def test_what_does_not_fit_on_the_disk_waits_for_it() -> None:
    scheduler, space = Listed(), Space(free=100, capacity=1000)
    scheduler.show([work("big", 40), work("small", 1), work("bigger", 60)])
    first, second = scheduler.batch(0, space), scheduler.batch(0, space)
    assert (keys(first), keys(second)) == (["big"], ["small"])
    assert scheduler.take(0, space) is None
    scheduler.record(first)
    scheduler.record(second)
    assert keys(scheduler.batch(0, space)) == ["bigger"]  # nothing runs beside it: let it fail


def test_what_is_too_large_for_the_disk_does_not_wait_for_it() -> None:
    """It is not downloaded."""
    scheduler, space = Listed(), Space(free=100, capacity=100)
    scheduler.show([work("big", 40), work("too large", 60), work("above 5 GiB", (5 << 30) + 1)])
    batches = [scheduler.batch(0, space) for _ in range(3)]
    assert [(keys(one), one.disk) for one in batches] == [
        (["big"], 80),
        (["too large"], 0),
        (["above 5 GiB"], 0),
    ]


def test_recorded_uploads_are_deleted_together_after_their_grace() -> None:
    scheduler = Listed()
    scheduler.show([work("a"), work("b")], 10)
    for batch in (scheduler.batch(10), scheduler.batch(10)):
        scheduler.note_recorded(Recorded(batch.works[0].uploads[0], ObjectInfo("e", START, 1)))
        scheduler.finish(batch)
    assert scheduler.take_recorded(11.9) == []
    assert not scheduler.is_idle(11.9)
    assert scheduler.next_due == 12
    assert len(scheduler.take_recorded(12)) == 2


def test_what_another_machine_works_on_is_no_problem() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_held(batch.works[0], 0)
    scheduler.finish(batch)
    assert scheduler.problem is None
    assert scheduler.take(9, SPACE) is None
    assert keys(scheduler.batch(10)) == ["x"]


def test_what_the_listing_shows_wrongly_is_not_tried_all_the_time() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_missing(upload("x"), 0)
    scheduler.finish(batch)
    assert scheduler.show([work("x")], 0.5)[0] == []
    newer = KeyUploads("x", [], [replace(upload("x"), etag="other")])
    assert scheduler.show([newer], 0.5)[0] == ["x"]


def test_what_is_gone_before_its_batch_ends() -> None:
    """Another machine has deleted it while a statement took long."""
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_held(batch.works[0], 0)
    scheduler.show([])
    scheduler.finish(batch)
    assert scheduler.show([work("x")])[0] == ["x"]


def test_what_is_listed_but_never_found_becomes_a_problem() -> None:
    scheduler, now = Listed(), 0.0
    scheduler.show([work("x")])
    for pause in (1, 2, 4, 8):
        assert scheduler.problem is None
        batch = scheduler.batch(now)
        scheduler.note_missing(upload("x"), now)
        scheduler.finish(batch)
        now += pause
        scheduler.show([work("x")], now)
    assert scheduler.problem == "The bucket 'input' lists 'x', but does not find it."
    scheduler.record(scheduler.batch(now), now)
    assert scheduler.problem is None


@pytest.mark.parametrize("is_retry", [False, True], ids=["fresh", "retry"])
def test_a_large_upload_does_not_wait_for_the_disk_for_ever(*, is_retry: bool) -> None:
    """Under a steady stream nothing else is started after a while."""
    failed = {upload("big"): Attempt(problem="not now", failures=1, seconds=0.5)}
    scheduler, space = Listed(attempts=failed if is_retry else None), Space(100, 100)
    scheduler.show([work("a"), work("big", 50)])
    running = scheduler.batch(0, space)
    for now in range(1, int(SCHEDULE.patience)):
        scheduler.offer(work(f"small {now}"), now, LATER)
        following = scheduler.batch(now, space)
        scheduler.record(running, now)
        running = following
    later = SCHEDULE.patience + 1
    scheduler.offer(work("small"), later, LATER)
    assert scheduler.take(later, space) is None
    scheduler.record(running, later)
    assert keys(scheduler.batch(later, space)) == ["big"]


def test_failed_uploads_do_not_wait_for_a_long_queue() -> None:
    scheduler = Listed()
    scheduler.show([work("x")])
    batch = scheduler.batch()
    scheduler.note_failure(batch.works[0], upload("x"), "not now", 0)
    scheduler.finish(batch)
    scheduler.show([work("x"), *[work(str(number)) for number in range(100)]])
    scheduler.batch()
    assert scheduler.batch(SCHEDULE.patience + 1).kind is Kind.RETRY
