"""Parts of systemd's units: the worker's command line, credentials, what they start, intervals.

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


def interval(timer: str) -> float | None:
    """Return the seconds of a timer's `OnUnitInactiveSec=`, None without one."""
    found = re.search(r"^\s*OnUnitInactiveSec\s*=\s*(.+?)\s*$", timer, re.MULTILINE)
    return seconds(found[1]) if found else None


def worker_arguments(service: str) -> list[str]:
    """Return what a service's `ExecStart=` passes to `python -m worker`, [] without one."""
    found = re.search(r"^ExecStart=.* -m worker (.+)$", service, re.MULTILINE)
    return found[1].split() if found else []


def credentials(service: str) -> dict[str, str]:
    """Return name -> path of what a service's `LoadCredential=` lines load."""
    return dict(re.findall(r"^LoadCredential=([^:\s]+):(\S+)$", service, re.MULTILINE))


def started_services(unit: str) -> list[str]:
    """Return the names of the services that a unit's `OnSuccess=` lines start."""
    started = " ".join(re.findall(r"^OnSuccess=(.*)$", unit, re.MULTILINE))
    return re.findall(r"pipeline-([a-z]+)\.service", started)


def prepared_pipelines(unit: str) -> list[str]:
    """Return the pipelines that a unit's `Wants=` lines have prepared."""
    wanted = " ".join(re.findall(r"^Wants=(.*)$", unit, re.MULTILINE))
    return re.findall(r"pipeline-prepare@([a-z0-9-]+)\.service", wanted)


def seconds(span: str) -> float | None:
    """Return a time span such as `5s`, `2min 30s` or `500ms` in seconds, None if it is invalid."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]*)", span)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([a-z]*)\s*", "", span):
        return None
    if any(unit not in _UNITS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
