"""What a systemd timer starts, and how often.

https://www.freedesktop.org/software/systemd/man/latest/systemd.time.html
"""

import re

_UNITS = {
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


def interval(unit: str) -> float | None:
    """Seconds of `OnUnitInactiveSec=` in a unit's text, None without one."""
    found = re.search(r"^\s*OnUnitInactiveSec\s*=\s*(.+?)\s*$", unit, re.MULTILINE)
    return seconds(found[1]) if found else None


def arguments(unit: str) -> list[str]:
    """What `ExecStart=` of the worker's unit tells the worker."""
    found = re.search(r"^ExecStart=.* -m worker (.+)$", unit, re.MULTILINE)
    return found[1].split() if found else []


def seconds(span: str) -> float | None:
    """A time span such as `5s`, `2min 30s` or `500ms` in seconds, None if it is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", span)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", "", span):
        return None
    if any(unit not in _UNITS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
