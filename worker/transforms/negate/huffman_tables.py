"""Shorten JPEGs by the codes in their Huffman tables that they do not use (ITU-T T.81, annex C).

A code at a table's end can be left out without changing any other. Encoders mostly write the tables
K.5 and K.6, whose last codes no picture needs: that makes a preview fit in its old place.
"""

from collections.abc import Iterator

from worker.transforms.negate import jpeg_segments, kernels
from worker.transforms.negate.jpeg_segments import DHT
from worker.transforms.negate.kernels import JpegStatus

_COUNTS = 17  # bytes before a table's values: class and number, then codes of each length
_MAX_TABLES = 4  # a decoder has no more of a class
_AC = 0x10  # the class of AC tables; those of DC have few codes


def shortened(data: bytes, size: int) -> bytes:
    """Return a JPEG in fewer bytes, without codes that it does not use.

    Args:
        data: The JPEG.
        size: The most bytes that it may have.

    Returns:
        The same picture; empty if that is impossible.
    """
    *_, scan = jpeg_segments.read(data)
    head, tail = data[: scan.start], bytearray(data[scan.start :])
    for segment, table in reversed(list(_ac_tables(data))[-_MAX_TABLES:]):
        surplus = len(head) + len(tail) - size
        codes = max(0, min(surplus, sum(head[table + 1 : table + _COUNTS]) - 1))
        while codes:  # fewer and fewer
            trial = _without(head, segment, table, codes)
            status, *_ = kernels.negated_jpeg(trial, tail, standard_tables=True)
            if status == JpegStatus.DONE:
                head = trial
                break
            codes //= 2
    return head + bytes(tail) if len(head) + len(tail) <= size else b""


def _ac_tables(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the segment's content and the table begin, for each before the first scan."""
    for marker, _, start, end in jpeg_segments.read(data):
        at = start
        while marker == DHT and at + _COUNTS < end:
            if data[at] & _AC:
                yield start, at
            at += _COUNTS + sum(data[at + 1 : at + _COUNTS])


def _without(head: bytes, segment: int, table: int, codes: int) -> bytes:
    """Return the segments without the last codes of a table."""
    counts, missing = bytearray(head[table + 1 : table + _COUNTS]), codes
    end = table + _COUNTS + sum(counts)
    for length in reversed(range(len(counts))):
        taken = min(missing, counts[length])
        counts[length] -= taken
        missing -= taken
    size = int.from_bytes(head[segment - 2 : segment], "big") - codes
    return b"".join(
        (
            *(head[: segment - 2], size.to_bytes(2, "big"), head[segment : table + 1], counts),
            *(head[table + _COUNTS : end - codes], head[end:]),
        )
    )
