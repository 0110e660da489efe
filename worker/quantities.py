"""Counts, sizes and times for people."""

_KILO = 1000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def counted(count: int, noun: str) -> str:
    """Return a number of things for people, of a noun whose plural ends in s: "1 job"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: int) -> str:
    """Return a number of bytes for people, in powers of 1,000."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < _KILO:
            break
        value, unit = value / _KILO, larger
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"  # noqa: PLR2004


def duration(seconds: float) -> str:
    """Return a time for people, in its largest unit, rounded down."""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{int(seconds) // length} {unit}"
    return f"{max(0, int(seconds))} s"
