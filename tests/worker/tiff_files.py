"""Write TIFF files tag by tag, also those that Pillow would not write."""

import struct
from dataclasses import dataclass, field

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_CODES = {BYTE: "B", ASCII: "s", SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", 6: "b"}
_CODES |= {11: "f", 12: "d", 13: "I", 16: "Q"}

Values = tuple[int, ...] | bytes


@dataclass
class Page:
    """A page of 8 × 6 gray pixels of 8 bits in one strip, unless the fields say otherwise."""

    fields: dict[int, tuple[int, Values]] = field(default_factory=dict)
    segments: list[bytes] = field(default_factory=lambda: [bytes(range(48))])
    tiled: bool = False
    directories: dict[int, "Page"] = field(default_factory=dict)  # by tag, without pixels


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """Return a file of these pages; order as in `struct`."""
    out = bytearray(
        (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    )
    out += struct.pack(order + "HHQ", 8, 0, 0) if big else struct.pack(order + "I", 0)
    link = len(out) - (8 if big else 4)
    for page in pages:
        start, next_link = _directory(out, page, order, big=big, pixels=True)
        _put(out, link, order, start, big=big)
        link = next_link
    return bytes(out)


def _put(out: bytearray, at: int, order: str, value: int, *, big: bool) -> None:
    data = struct.pack(order + ("Q" if big else "I"), value)
    out[at : at + len(data)] = data


def _append(out: bytearray, data: bytes) -> int:
    out += bytes(len(out) % 2)
    out += data
    return len(out) - len(data)


def _directory(
    out: bytearray, page: Page, order: str, *, big: bool, pixels: bool
) -> tuple[int, int]:
    """Append a directory; return its offset, and where the next one's offset is stored."""
    fields: dict[int, tuple[int, Values]] = {}
    if pixels:
        places = tuple(_append(out, segment) for segment in page.segments)
        sizes = tuple(map(len, page.segments))
        fields = {256: (SHORT, (8,)), 257: (SHORT, (6,)), 258: (SHORT, (8,)), 259: (SHORT, (1,))}
        fields |= {262: (SHORT, (1,)), 277: (SHORT, (1,))}
        if page.tiled:
            fields |= {322: (SHORT, (16,)), 323: (SHORT, (16,))}
        else:
            fields[278] = (SHORT, (6,))
        fields[324 if page.tiled else 273] = (LONG, places)
        fields[325 if page.tiled else 279] = (LONG, sizes)
    for tag, inner in page.directories.items():
        start, _ = _directory(out, inner, order, big=big, pixels=tag == 330)
        fields[tag] = (LONG, (start,))
    fields |= page.fields
    room = 8 if big else 4
    entries = []
    for tag, (kind, values) in sorted(fields.items()):
        if isinstance(values, bytes):
            data, count = values, len(values)
        else:
            data = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
            count = len(values) // (2 if kind == RATIONAL else 1)
        head = struct.pack(order + ("HHQ" if big else "HHI"), tag, kind, count)
        if len(data) > room:
            data = struct.pack(order + ("Q" if big else "I"), _append(out, data))
        entries.append(head + data.ljust(room, b"\0"))
    count_bytes = struct.pack(order + ("Q" if big else "H"), len(entries))
    start = _append(out, count_bytes + b"".join(entries) + bytes(room))
    return start, len(out) - room
