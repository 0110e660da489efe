"""Which machines are shown, and what is said of machines, buckets and the time left."""

from typing import Any

import pytest

from worker.jobs.bucket_counts import BucketCount
from worker.jobs.machines import machine_facts, machine_rows, present_machines
from worker.jobs.pace import time_left
from worker.quantities import counted, duration, size

MINUTE, DAY = 60, 86_400


def heartbeat(machine: str = "vm", seconds_ago: float = 3, **values: Any) -> dict[str, Any]:
    """Return a row of sql/machines.sql."""
    row: dict[str, Any] = {
        "cores": 2,
        "cpu": 0.5,
        "memory_used": 1_000,
        "memory_total": 2_000,
    }
    row |= {"pipeline": "a", "last_pass": f"{1_000_000 - seconds_ago}", "live": True}
    return row | {"machine": machine, "seconds_ago": seconds_ago, "obstacle": None} | values


@pytest.mark.parametrize(
    ("other", "is_shown"),
    [
        (heartbeat("other"), True),
        (heartbeat("other", 23 * 60 * MINUTE), True),  # it died: that is what one wants to see
        (heartbeat("other", DAY + 1), False),
        (heartbeat("other", 2 * MINUTE, live=False), True),  # between two passes
        (heartbeat("other", 6 * MINUTE, live=False), False),  # it has left the stack
    ],
)
def test_machines_that_are_gone_are_left_out(other: dict[str, Any], *, is_shown: bool) -> None:
    found = present_machines(machine_rows([heartbeat(), other]))
    assert [one["machine"] for one in found] == ["vm", *(["other"] if is_shown else [])]


def test_the_last_machine_is_shown_however_silent_it_is() -> None:
    rows = machine_rows([heartbeat("a", 9 * DAY), heartbeat("b", 2 * DAY, live=False)])
    (found,) = present_machines(rows)
    assert (found["machine"], found["problems"]) == ("b", ["No heartbeat for 2 d."])


def test_a_machine_has_its_newest_load() -> None:
    rows = [
        heartbeat(seconds_ago=9, cpu=0.9),
        heartbeat(seconds_ago=5, cpu=0.1, pipeline="b"),
        heartbeat(seconds_ago=1, cpu=None, cores=None, live=False, pipeline="c"),
    ]
    (found,) = machine_rows(rows)
    assert (found["seconds_ago"], found["cpu"], found["cores"]) == (1, 0.1, 2)
    assert found["live"]


def test_a_machine_has_all_its_problems_once() -> None:
    rows = [heartbeat(obstacle=problem) for problem in ("no disk", None, "no disk", "no network")]
    (found,) = machine_rows(rows)
    assert (found["obstacle"], found["problems"]) == ("no disk", ["no disk", "no network"])


@pytest.mark.parametrize(
    ("rows", "problems"),
    [
        ([heartbeat(seconds_ago=29)], []),
        ([heartbeat(seconds_ago=31)], ["No heartbeat for 31 s."]),  # in a pass they come each 5 s
        ([heartbeat(seconds_ago=31, live=False)], []),  # between two passes
        ([heartbeat(seconds_ago=301, live=False)], ["No heartbeat for 5 min."]),
        ([heartbeat(seconds_ago=99), heartbeat(pipeline="b")], []),  # it works for the other one
        (
            [heartbeat(seconds_ago=99), heartbeat(seconds_ago=98, pipeline="b", live=False)],
            ["No heartbeat for 1 min."],
        ),
        ([heartbeat(seconds_ago=31, obstacle="no disk")], ["No heartbeat for 31 s.", "no disk"]),
    ],
)
def test_a_machine_that_died_has_no_heartbeat(
    rows: list[dict[str, Any]], problems: list[str]
) -> None:
    (found,) = machine_rows(rows)
    assert found["problems"] == problems
    assert found["obstacle"] == (problems[0] if problems else None)


@pytest.mark.parametrize(
    ("jobs", "running", "text"),
    [
        ([], 0, "nothing"),
        (["cat.jpg"], 1, "cat.jpg"),
        (["cat.jpg", "dog.jpg"], 12, "cat.jpg and 11 more"),
        (["folder/" + "x" * 40 + ".jpg"], 1, "…" + "x" * 35 + ".jpg"),
    ],
)
def test_what_a_machine_works_on(jobs: list[str], running: int, text: str) -> None:
    rows = [
        {"machine": "vm", "pipeline": "a", "id": key, "key": key, "started": None}
        | {"running": running}
        for key in jobs
    ]
    (found,) = machine_rows([heartbeat()], running=rows)
    assert machine_facts(found)["works on"] == text


@pytest.mark.parametrize(
    ("pending", "seconds", "text"),
    [
        (0, None, ""),
        (5, None, "time left unknown"),
        (5, 0.4, "about 0 s left"),
        (5, 150, "about 2 min left"),
        (5, 90_000, "about 1 d left"),
    ],
)
def test_time_left(pending: int, seconds: float | None, text: str) -> None:
    assert time_left(pending, seconds) == text


def test_sizes_and_times() -> None:
    assert [counted(one, "job") for one in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    assert [size(one) for one in (0, 999, 1500, 25_600_000)] == ["0 B", "999 B", "1.5 kB", "26 MB"]
    texts = [duration(one) for one in (-3, 59.9, 60, 7199, 86_400)]
    assert texts == ["0 s", "59 s", "1 min", "1 h", "1 d"]


@pytest.mark.parametrize(
    ("kind", "objects", "is_estimate", "sentence"),
    [
        ("input", 399_999, False, None),
        (
            *("input", 400_000, False),
            "The input bucket 'b' holds 400,000 objects; the limit of Allas is 500,000: "
            "send no more until the backlog is smaller; more machines work faster.",
        ),
        (
            *("quarantine", 1_234_567, True),
            "The quarantine bucket 'b' holds about 1,234,567 objects; the limit of Allas is "
            "500,000: retry or drop quarantined jobs (jobs retry, jobs drop).",
        ),
        (
            *("archive", 499_999, False),
            "The archive bucket 'b' holds 499,999 objects; the limit of Allas is 500,000: "
            "move kept inputs elsewhere, or delete them.",
        ),
    ],
)
def test_warning_of_a_bucket(
    kind: str, objects: int, sentence: str | None, *, is_estimate: bool
) -> None:
    assert BucketCount("b", kind, objects, is_estimate).warning == sentence
