"""Counters of a minute."""

import json
from datetime import UTC, datetime

from edge.counters import Counters, minute_of

NOON = datetime(2026, 11, 28, 12, 0, 59, tzinfo=UTC)


def test_a_minute_counts_what_was_generated_in_it() -> None:
    counters = Counters(minute_of(NOON), 1)
    for number in (1, 2, 3):
        counters.generated(number, 100)
    counters.dropped()
    for seconds in (0.2, 0.1, 0.9):
        counters.confirmed(seconds)
    first = json.loads(counters.end(datetime(2026, 11, 28, 12, 1, 0, tzinfo=UTC)))
    assert first == {
        "minute": "2026-11-28T12:00Z",
        "first": 1,
        "last": 3,
        "generated": 3,
        "dropped": 1,
        "bytes": 300,
        "delay_median_ms": 200,
        "delay_p99_ms": 900,
        "qos": 1,
        "clock": "2026-11-28T12:01:00.000+00:00",
    }


def test_a_minute_without_pictures_is_sent_too() -> None:
    counters = Counters(minute_of(NOON), 1)
    counters.generated(1, 5)
    counters.end(datetime(2026, 11, 28, 12, 1, tzinfo=UTC))
    quiet = json.loads(counters.end(datetime(2026, 11, 28, 12, 2, tzinfo=UTC)))
    assert (quiet["minute"], quiet["first"], quiet["last"]) == ("2026-11-28T12:01Z", 2, 1)
    assert (quiet["generated"], quiet["bytes"], quiet["delay_p99_ms"]) == (0, 0, None)
