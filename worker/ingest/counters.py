"""The counters that a camera sends each minute."""

import json
import math
from datetime import UTC, datetime
from typing import Any, NamedTuple

from worker.errors import MessageRefused
from worker.ledger.messages import CameraMinute

_MAX_BYTES = 4096
_LARGEST = 2**53


class Counters(NamedTuple):
    """What a camera counted in a minute, and how it names the minute: so it is confirmed."""

    name: str
    minute: CameraMinute


def read_counters(camera: str, boot: str, payload: bytes, now: datetime) -> Counters:
    """Read what a camera counted in a minute.

    Args:
        camera: The camera's name.
        boot: A start of the camera.
        payload: JSON: `minute` and `clock` (ISO 8601, UTC), `first`, `last`, `generated`,
            `dropped`, `bytes`; perhaps `delay_median_ms`, `delay_p99_ms` and `qos`.
        now: When it arrived.

    Returns:
        What was counted.

    Raises:
        MessageRefused: A value is missing or wrong.
    """
    try:
        return _read(camera, boot, payload, now)
    except (ValueError, RecursionError) as error:
        raise MessageRefused(f"The counters cannot be read: {error}.") from error


def _read(camera: str, boot: str, payload: bytes, now: datetime) -> Counters:
    if len(payload) > _MAX_BYTES:
        raise ValueError(f"they are longer than {_MAX_BYTES} bytes")
    values = json.loads(payload)
    if not isinstance(values, dict):
        raise ValueError("they are not a JSON object")  # noqa: TRY004  as all that is wrong
    minute = CameraMinute(
        camera,
        boot,
        _time(values, "minute"),
        _whole(values, "first"),
        _whole(values, "last"),
        _whole(values, "generated"),
        _whole(values, "dropped"),
        _whole(values, "bytes"),
        _delay(values, "delay_median_ms"),
        _delay(values, "delay_p99_ms"),
        0 if values.get("qos") == 0 else 1,
        (_time(values, "clock") - now).total_seconds(),
    )
    return Counters(values["minute"], minute)


def _whole(values: dict[str, Any], name: str) -> int:
    value = values.get(name)
    if type(value) is int and 0 <= value <= _LARGEST:
        return value
    raise ValueError(f"{name!r} must be a whole number from 0")


def _delay(values: dict[str, Any], name: str) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if type(value) in (int, float) and math.isfinite(value) and 0 <= value <= _LARGEST:
        return float(value)
    raise ValueError(f"{name!r} must be a number of milliseconds")


def _time(values: dict[str, Any], name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(values.get(name, ""))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{name!r} must be a time such as 2026-01-31T12:00Z") from None
