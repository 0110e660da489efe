"""Uploads that arrive at random, and the seconds until their results appear."""

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

_GAP_SECONDS = 2.0
_LOOK_SECONDS = 0.025
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Buckets:
    """Where uploads go and their results appear, as `negated_KEY`; with boto3's client."""

    s3: Any
    input: str
    output: str


def latencies(
    buckets: Buckets, upload: Callable[[int], tuple[str, bytes]], duration: float
) -> list[float]:
    """Put uploads at random, exponential gaps, the same each time, 2 s on average.

    Args:
        buckets: Where.
        upload: Returns the key and content of an upload.
        duration: For how long, in seconds.

    Returns:
        Seconds from before each PUT until HEAD finds its result, asked for every 25 ms; sorted. The
        first upload is not counted: it waits until a machine works.

    Raises:
        RuntimeError: A result did not appear within two minutes.
    """  # noqa: DOC502
    dice = random.Random(7)  # noqa: S311
    waiting: dict[str, float] = {}
    _put(buckets, *upload(0), waiting)
    while waiting:
        _done(buckets, waiting)
    found: list[float] = []
    begun = due = time.monotonic()
    number = 1
    while waiting or time.monotonic() < begun + duration:
        now = time.monotonic()
        if now >= due and now < begun + duration:
            _put(buckets, *upload(number), waiting)
            number, due = number + 1, due + dice.expovariate(1 / _GAP_SECONDS)
        found += _done(buckets, waiting)
    return sorted(found)


def median_and_p99(found: Sequence[float]) -> tuple[float, float]:
    """Return both of sorted latencies."""
    return statistics.median(found), found[min(len(found) - 1, int(0.99 * len(found)))]


def _put(buckets: Buckets, key: str, body: bytes, waiting: dict[str, float]) -> None:
    waiting[key] = time.monotonic()
    buckets.s3.put_object(Bucket=buckets.input, Key=key, Body=body)


def _done(buckets: Buckets, waiting: dict[str, float]) -> list[float]:
    """Look once, and return the latencies of results that have appeared; they no longer wait."""
    found = []
    for key, since in list(waiting.items()):
        try:
            buckets.s3.head_object(Bucket=buckets.output, Key=f"negated_{key}")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:  # noqa: PLR2004
                raise
            if time.monotonic() - since > _PATIENCE_SECONDS:
                raise RuntimeError(f"no result of {key} in {_PATIENCE_SECONDS} seconds") from None
        else:
            found.append(time.monotonic() - since)
            del waiting[key]
    time.sleep(_LOOK_SECONDS)
    return found
