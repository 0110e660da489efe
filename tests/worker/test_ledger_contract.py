"""What `worker.ledger.ledger.Ledger` promises, checked on its twin in memory and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.eventually import eventually
from tests.worker.ledgers import Ledgers
from tests.worker.pipeline import Pipeline
from tests.worker.results import done, quarantined, record, start
from worker import settings
from worker.ledger.connection import connect_worker
from worker.ledger.ledger import (
    Claim,
    Lease,
    Ledger,
    LostLease,
    Maker,
    Origin,
    Output,
    OutputVersion,
)
from worker.ledger.memory_tables import RetryRow
from worker.ledger.postgres_ledger import PostgresLedger
from worker.uploads.job import Job, Parent, first_job, job_id
from worker.uploads.upload import Upload

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CAT = Upload("input", "cat.png", "v1", "e", START)
DOG = Upload("input", "dog.png", "", "e", START)
CAT_JOB, DOG_JOB = first_job("negatives", CAT), first_job("negatives", DOG)


def crashes(ledger: Ledger, bucket: str = "input") -> dict[Upload, int]:
    """Return the crashes of unfinished attempts."""
    return {one: attempt.crashes for one, attempt in ledger.unfinished_attempts(bucket).items()}


def test_attempts_are_found_until_they_are_cleared(ledger: Ledger) -> None:
    ledger.start([CAT_JOB, DOG_JOB], alone=False)
    assert crashes(ledger) == {CAT: 0, DOG: 0}
    assert crashes(ledger, "another") == {}
    ledger.clear_attempts([CAT])
    ledger.clear_attempts([])
    assert crashes(ledger) == {DOG: 0}


def test_only_attempts_alone_count_as_crashes(ledger: Ledger) -> None:
    ledger.start([CAT_JOB], alone=True)
    ledger.start([CAT_JOB], alone=False)
    started = ledger.start([CAT_JOB], alone=True)
    assert started[CAT_JOB.id].attempts == 3
    assert crashes(ledger) == {CAT: 2}
    for left in (1, 0, 0):
        ledger.uncount_crash(CAT)
        assert crashes(ledger) == {CAT: left}
    ledger.uncount_crash(DOG)  # was never started


def test_a_failed_attempt_says_why(ledger: Ledger) -> None:
    ledger.start([CAT_JOB], alone=False)
    for failures in (1, 2):
        ledger.fail({CAT: f"problem {failures}", DOG: "not found \0"})
        found = ledger.unfinished_attempts("input")
        assert found[CAT].problem == f"problem {failures}"
        assert not found[CAT].is_suspect
        assert (found[CAT].failures, found[DOG].failures) == (failures, failures)
        assert 0 <= found[CAT].seconds < 60
    ledger.fail({})
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].crashes is None
    assert ledger.unfinished_attempts("input")[CAT].is_suspect  # it runs, or has crashed
    assert ledger.start([CAT_JOB], alone=True)[CAT_JOB.id].crashes == 0
    ledger.fail({CAT: "deferred"})
    assert ledger.unfinished_attempts("input")[CAT].is_suspect  # it still must run alone
    ledger.clear_attempts([CAT, DOG])
    assert ledger.unfinished_attempts("input") == {}


def test_what_another_machine_works_on_did_not_crash(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-2", "negatives")
    one.start([CAT_JOB], alone=False)
    assert other.unfinished_attempts("input") == {}
    ledgers.expire_leases()
    assert list(other.unfinished_attempts("input")) == [CAT]
    assert other.start([CAT_JOB], alone=False)[CAT_JOB.id].crashes == 0


def test_a_refused_deletion_is_remembered(ledgers: Ledgers, ledger: Ledger) -> None:
    record(ledger, done(CAT))
    ledger.fail({CAT: "locked"}, undeletable=True)
    ledgers.age_results()
    (attempt,) = ledger.unfinished_attempts("input").values()
    assert (attempt.problem, attempt.is_undeletable) == ("locked", True)
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded == "done"
    ledger.fail({CAT: "not found"})  # it is remembered until it is deleted
    ledger.clear_attempts([CAT], keep_undeletable=True)
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded == "done"
    ledger.clear_attempts([CAT])
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded is None


def test_pipelines_do_not_see_each_other(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-1", "thumbs")
    one.start([CAT_JOB], alone=True)
    assert crashes(other) == {}
    assert other.start([first_job("thumbs", CAT)], alone=False)  # has leases of its own


@pytest.mark.parametrize(
    "change",
    [
        {"key": "Cat.png"},
        {"version_id": "v2"},
        {"etag": "f"},
        {"last_modified": START + timedelta(seconds=1)},
    ],
)
def test_uploads_differ_by_each_part_of_their_identity(
    ledger: Ledger, change: dict[str, object]
) -> None:
    other = replace(CAT, **change)  # type: ignore[arg-type]
    ledger.start([CAT_JOB], alone=True)
    ledger.clear_attempts([other])
    record(ledger, done(other))
    assert crashes(ledger) == {CAT: 1}


def test_the_size_is_no_part_of_the_identity(ledger: Ledger) -> None:
    ledger.start([CAT_JOB], alone=True)
    ledger.clear_attempts([replace(CAT, size=9)])
    assert crashes(ledger) == {}


def test_a_result_ends_its_attempt(ledger: Ledger) -> None:
    (cat, _) = start(ledger, done(CAT), done(DOG), alone=True)
    assert ledger.record([cat]) == {CAT_JOB.id}
    assert ledger.record([]) == set()
    assert crashes(ledger) == {DOG: 1}


def test_the_same_job_again_updates_its_row(ledgers: Ledgers, ledger: Ledger) -> None:
    record(ledger, done(CAT), done(DOG))
    record(ledger, done(CAT))
    record(ledger, quarantined(CAT, "not an image", seconds=0.1))
    expected = [("cat.png", "quarantined", "not an image"), ("dog.png", "done", None)]
    assert ledgers.rows() == expected


# Leases.


def test_a_key_is_leased_to_one_machine(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-2", "negatives")
    first = one.start([CAT_JOB], alone=False)[CAT_JOB.id]
    assert list(other.start([CAT_JOB, DOG_JOB], alone=True)) == [DOG_JOB.id]
    assert (crashes(one), crashes(other)) == ({CAT: 0}, {DOG: 1})  # a refused one counts nothing
    again = one.start([CAT_JOB], alone=False)[CAT_JOB.id]  # a machine takes its own lease over
    assert again.fence > first.fence
    assert one.record([done(CAT, fence=first.fence)]) == set()
    assert ledgers.rows() == []
    assert one.record([done(CAT, fence=again.fence)]) == {CAT_JOB.id}


def test_a_lease_that_ended_is_taken_over(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-2", "negatives")
    (mine,) = start(one, done(CAT))
    ledgers.expire_leases()
    lease = Lease(CAT.key, mine.fence)
    assert one.renew([lease, Lease(DOG.key, 10**9)]) == {lease}  # nobody has taken it
    assert other.start([CAT_JOB], alone=False) == {}
    ledgers.expire_leases()
    (theirs,) = start(other, done(CAT))
    assert one.renew([lease]) == set()
    assert one.record([mine]) == set()
    assert not one.prepare(mine)
    one.release([lease])  # it is not its own any more
    one.heartbeat(None)
    assert other.record([theirs]) == {CAT_JOB.id}


def test_a_released_key_can_be_leased(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-2", "negatives")
    for release in (lambda: one.heartbeat(None), lambda: one.start([DOG_JOB], alone=False)):
        (mine,) = start(one, done(CAT))
        one.release([Lease(CAT.key, mine.fence)])
        release()
        (theirs,) = start(other, done(CAT))
        other.release([Lease(CAT.key, theirs.fence)])
        other.heartbeat(None)


def test_a_lost_lease_is_known_until_its_own_machine_has_swept(ledgers: Ledgers) -> None:
    one, other = ledgers.open("vm-1", "negatives"), ledgers.open("vm-2", "negatives")
    stored = [Output(1, "output", "negated_cat.png", "v2", "e", "b" * 64, 8, "image/png")]
    (mine,) = start(one, done(CAT))
    ledgers.expire_leases()
    (theirs,) = start(other, done(CAT, outputs=stored))
    assert one.lost_leases() == []  # it is not recorded: nobody knows yet what counts
    other.record([theirs])
    lost = LostLease(mine.fence, CAT_JOB.id, [OutputVersion("output", "negated_cat.png", "v2")])
    for ledger in (one, other):
        assert ledger.lost_leases() == [lost]
    assert ledgers.open("vm-1", "thumbs").lost_leases() == []
    other.end_lost_leases([lost])  # vm-1 may be frozen
    assert other.lost_leases() == [lost]
    one.end_lost_leases([lost])
    assert one.lost_leases() == []


def test_a_lease_that_was_released_or_recorded_is_not_lost(ledger: Ledger) -> None:
    stored = [Output(1, "output", "negated_cat.png", "v2", "e", "b" * 64, 8, "image/png")]
    (mine,) = start(ledger, done(CAT))
    ledger.release([Lease(CAT.key, mine.fence)])
    (again,) = start(ledger, done(CAT, outputs=stored))
    ledger.record([again])
    (third,) = start(ledger, done(CAT, outputs=stored))  # as after a crash
    ledger.record([third])
    assert ledger.lost_leases() == []


def test_keys_that_postgresql_cannot_tell_apart_are_started_one_by_one(ledger: Ledger) -> None:
    """It stores NUL as U+FFFD."""
    jobs = [first_job("negatives", replace(CAT, key=f"a{c}.png")) for c in "\0\ufffd"]
    assert ledger.start(jobs, alone=False)


# What is known about a job.


def test_a_recorded_job_is_known_for_an_hour(ledgers: Ledgers, ledger: Ledger) -> None:
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded is None
    record(ledger, done(CAT))
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded == "done"
    ledgers.age_results()
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].recorded is None


def test_a_prepared_result_is_found_until_it_is_recorded(ledger: Ledger) -> None:
    outputs = [Output(n, "output", f"{n}.png", f"v{n}", "e", "b" * 64, n, "t/s") for n in (1, 2)]
    (made,) = start(
        ledger,
        done(
            CAT,
            seconds=0.25,
            outputs=outputs,
            records=[{"face": 1}, {"odd": "\ud83d\ude00 \udc80 \0", "deep": [None, 1.5]}],
            notes=["rotated"],
            log="some text",
            maker=Maker("negate", "v7", "c" * 64),
            upload_token="u" + "7" * 32,
        ),
    )
    assert ledger.prepare(made)
    assert not ledger.prepare(made)
    started = ledger.start([CAT_JOB], alone=False)[CAT_JOB.id]
    found = started.prepared
    assert found
    assert (found.job, found.fence, found.attempts) == (CAT_JOB, started.fence, 2)
    assert list(found.outputs) == outputs
    assert found.records[0] == {"face": 1}
    assert found.upload_token == made.upload_token
    assert (list(found.notes), found.log, found.maker) == (["rotated"], "some text", made.maker)
    assert (found.seconds, found.outcome, found.input_sha256) == (0.25, "done", "a" * 64)
    assert ledger.record([found]) == {CAT_JOB.id}
    assert ledger.start([CAT_JOB], alone=False)[CAT_JOB.id].prepared is None


# Where an upload comes from.

COPY = Upload("inverted-input", "negated_cat.png", "v9", "e", START)
PARENT = Parent(CAT_JOB.id, 1)


def test_a_copy_is_believed_if_its_source_made_it(ledgers: Ledgers, ledger: Ledger) -> None:
    reader = ledgers.open("vm-1", "inverted")
    claim = Claim(COPY, "b" * 64, parent=PARENT)
    assert reader.find_origins([claim], ["negatives"]) == {}  # nobody has made it
    (made,) = start(ledger, done(CAT))
    assert ledger.prepare(made)
    origin = Origin(CAT_JOB.run_id, 0, PARENT)
    assert reader.find_origins([claim], ["negatives"]) == {COPY: origin}
    ledger.record([made])
    assert reader.find_origins([claim], ["negatives"]) == {COPY: origin}
    for forged in (
        replace(claim, sha256="c" * 64),
        replace(claim, parent=Parent(CAT_JOB.id, 2)),
        replace(claim, parent=Parent(DOG_JOB.id, 1)),
        Claim(COPY, "b" * 64),
    ):
        assert reader.find_origins([forged], ["negatives"]) == {}
    assert reader.find_origins([claim], ["thumbs"]) == {}
    assert reader.find_origins([claim], []) == {}
    assert reader.find_origins([], ["negatives"]) == {}


def test_a_further_copy_is_known_by_the_first_ones_job(ledgers: Ledgers, ledger: Ledger) -> None:
    reader = ledgers.open("vm-1", "inverted")
    record(ledger, done(CAT))
    own_id = job_id("inverted", COPY)
    job = Job(own_id, COPY, CAT_JOB.run_id, parent=PARENT)
    record(reader, done(COPY, job=job))
    claim = Claim(replace(COPY, version_id="v10"), "b" * 64, parent=PARENT)
    (origin,) = reader.find_origins([claim], ["negatives"]).values()
    assert origin.successor == own_id
    another = ledgers.open("vm-1", "thumbs")
    (origin,) = another.find_origins([claim], ["negatives"]).values()
    assert origin.successor is None


def test_one_result_is_recorded_once(ledgers: Ledgers, ledger: Ledger) -> None:
    """Two machines may process two copies before either is recorded."""
    reader, other = ledgers.open("vm-1", "inverted"), ledgers.open("vm-2", "inverted")
    record(ledger, done(CAT))
    copies = [COPY, replace(COPY, key="another.png"), replace(COPY, key="bad.png")]
    first, second, third = (
        Job(job_id("inverted", copy), copy, CAT_JOB.run_id, parent=PARENT) for copy in copies
    )
    (mine,), (theirs,) = start(reader, done(COPY, job=first)), start(other, done(COPY, job=second))
    (worse,) = start(other, quarantined(COPY, job=third))
    assert reader.record([mine]) == {first.id}
    assert other.record([theirs, worse]) == set()
    assert not other.prepare(theirs)
    assert reader.record([mine]) == {first.id}
    keys = [key for key, _, _ in ledgers.rows()]
    assert keys == ["cat.png", "negated_cat.png"]


def test_one_result_is_recorded_once_by_two_sessions(versioned: Pipeline) -> None:
    """The one waits for the other's commit at the unique index."""
    loaded = settings.load(versioned.settings, {}, ())
    copies = [COPY, replace(COPY, key="another.png")]
    jobs = [Job(job_id("inverted", copy), copy, "the run", parent=PARENT) for copy in copies]
    waiting = "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        connect_worker(loaded) as one,
        connect_worker(loaded) as other,
        ThreadPoolExecutor(1) as executor,
    ):
        ledgers = [
            PostgresLedger(each, versioned.name, "inverted", f"vm-{number}")
            for number, each in enumerate((one, other))
        ]
        (mine,), (theirs,) = (
            start(ledger, done(copy, job=job))
            for ledger, copy, job in zip(ledgers, copies, jobs, strict=True)
        )
        with one.transaction():
            assert ledgers[0].record([mine]) == {mine.job.id}
            late = executor.submit(ledgers[1].record, [theirs])
            eventually(lambda: versioned.sql(waiting)[0]["count"])
        assert late.result() == set()


def test_a_copy_of_what_was_made_before_is_believed(ledgers: Ledgers, ledger: Ledger) -> None:
    """A job that is done again may make something else, or less."""
    reader = ledgers.open("vm-1", "inverted")
    old = [Output(n, "output", f"{n}.png", "", "e", f"{n}" * 64, 8, "image/png") for n in (1, 2)]
    new = [replace(old[0], sha256="c" * 64)]
    record(ledger, done(CAT, outputs=old))
    ledgers.age_results()
    record(ledger, done(CAT, outputs=new))
    for number, sha256 in ((1, "1"), (2, "2"), (1, "c")):
        parent = Parent(CAT_JOB.id, number)
        claim = Claim(COPY, sha256 * 64, parent=parent)
        origin = Origin(CAT_JOB.run_id, 0, parent)
        assert reader.find_origins([claim], ["negatives"]) == {COPY: origin}
    forged = Claim(COPY, "c" * 64, parent=Parent(CAT_JOB.id, 2))
    assert reader.find_origins([forged], ["negatives"]) == {}


def test_a_retry_is_believed_if_it_was_asked_for(ledgers: Ledgers, ledger: Ledger) -> None:
    record(ledger, quarantined(CAT))
    row = RetryRow("negatives", 1, "the run", "cat.png", "a" * 64, Parent("another job", 3))
    back = replace(CAT, version_id="v2")
    claim = Claim(back, "a" * 64, retry=CAT_JOB.id)
    assert ledger.find_origins([claim], []) == {}
    ledgers.add_retry(CAT_JOB.id, row)
    origin = Origin("the run", 1, row.parent, CAT_JOB.id)
    assert ledger.find_origins([claim], []) == {back: origin}
    for forged in (replace(claim, sha256="b" * 64), replace(claim, upload=DOG)):
        assert ledger.find_origins([forged], []) == {}
    assert ledgers.open("vm-1", "thumbs").find_origins([claim], []) == {}
    job = Job(job_id("negatives", back, 1), back, "the run", 1, row.parent, CAT_JOB.id)
    record(ledger, quarantined(back, job=job))
    assert ledger.find_origins([claim], []) == {back: replace(origin, successor=job.id)}


def test_a_retry_of_a_dropped_job_is_superfluous(ledgers: Ledgers, ledger: Ledger) -> None:
    record(ledger, quarantined(CAT))
    ledgers.add_retry(CAT_JOB.id, RetryRow("negatives", 1, CAT_JOB.id, "cat.png", "a" * 64))
    again = replace(CAT, version_id="v2")
    job = Job(job_id("negatives", again, 1), again, CAT_JOB.id, 1, retry_of=CAT_JOB.id)
    (result,) = start(ledger, done(again, job=job))
    ledgers.drop(CAT_JOB)
    assert not ledger.prepare(result)
    assert ledger.record([result]) == set()
    found = ledger.find_origins([Claim(again, "a" * 64, CAT_JOB.id)], [])
    assert found[again].successor == CAT_JOB.id


def test_who_needs_a_quarantined_copy(ledgers: Ledgers, ledger: Ledger) -> None:
    other = replace(CAT, version_id="v0")
    for upload in (CAT, other):
        assert not ledger.needs_copy("cat.png", "a" * 64)
        record(ledger, quarantined(upload))
        assert ledger.needs_copy("cat.png", "a" * 64)
        if upload == CAT:  # it is repeated, the other one dropped
            again = replace(CAT, version_id="v2")
            job = Job(job_id("negatives", again, 1), again, CAT_JOB.id, 1, retry_of=CAT_JOB.id)
            record(ledger, done(again, job=job))
    assert not ledger.needs_copy("dog.png", "a" * 64)
    assert not ledger.needs_copy("cat.png", "b" * 64)
    assert not ledgers.open("vm-1", "thumbs").needs_copy("cat.png", "a" * 64)
    ledgers.drop(first_job("negatives", other))
    assert not ledger.needs_copy("cat.png", "a" * 64)


def test_machines_are_live_until_their_pass_ends_or_they_vanish(ledgers: Ledgers) -> None:
    first, second = (ledgers.open(name, "negatives") for name in ("vm-2", "vm-1"))
    ledgers.open("vm-3", "thumbnails").heartbeat(None, is_live=True)
    first.heartbeat(None)
    assert first.live_machines() == []
    first.heartbeat(None, is_live=True)
    second.heartbeat("The disk is full.", is_live=True)
    assert first.live_machines() == ["vm-1", "vm-2"]
    first.heartbeat(None)
    assert first.live_machines() == ["vm-1"]
    ledgers.age_heartbeats()
    assert first.live_machines() == []
