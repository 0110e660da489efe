"""Update the directory of further pictures in a JPEG's XMP (GContainer).

Ultra HDR and motion photos list the media after the picture there, in the order of the file, each
with its length: https://developer.android.com/media/platform/hdr-image-format, "GContainer XMP".
"""

import re
from collections.abc import Iterator, Sequence

from worker.transforms.negate import jpeg_segments
from worker.transforms.negate.jpeg_segments import APP1, MAX_CONTENT, SOS, XMP
from worker.transforms.negate.mpf import Move

_ITEM = b"Container:Item"
_TAG = re.compile(rb"<[^<>]*>")
_LENGTH = re.compile(rb"(Item:Length\s*=\s*[\"']|<Item:Length>)\s*(\d{1,10})(?=\s*[\"'<])")
_DEPTH = re.compile(rb"Item:Semantic\s*(?:=\s*[\"']|>)\s*(?:Depth|Confidence)")
_MISSING = "items of its directory (GContainer) that are not in the negative were removed"
_FILM = re.compile(rb"(GCamera:(?:MotionPhoto|MicroVideo)\s*=\s*[\"'])1(?=[\"'])")


def depth_lengths(head: bytes) -> frozenset[int]:
    """Return the lengths of depth maps: what they hold is no colors, so they have no negative."""
    packets = [head[start:end] for start, end in _packets(head)]
    items = [packet[start:end] for packet in packets for start, end in _items(packet)]
    lengths = (_LENGTH.search(item) for item in items if _DEPTH.search(item))
    return frozenset(int(length[2]) for length in lengths if length)


def update(head: bytes, moves: Sequence[Move]) -> tuple[bytes, list[str]]:
    """Return a JPEG's segments with the lengths of the result's pictures.

    Items that are not in the result, such as the film of a motion photo, are removed.

    Args:
        head: The segments before the first scan.
        moves: The pictures that are in the result.

    Returns:
        The segments, whose length can differ, and notes.
    """
    pieces, done, notes = list[bytes](), 0, list[str]()
    for start, end in _packets(head):
        new, missing = _updated(head[start:end], moves)
        if len(new) <= MAX_CONTENT:
            pieces += [head[done : start - 2], (len(new) + 2).to_bytes(2, "big"), new]
            done = end
            notes += [_MISSING] if missing else []
    return b"".join(pieces) + head[done:], notes


def _packets(head: bytes) -> Iterator[tuple[int, int]]:
    """Yield where segments with XMP and a directory begin and end, without marker and length."""
    if _ITEM not in head:
        return
    for marker, _, start, end in jpeg_segments.read(head + bytes((0xFF, SOS, 0, 2))):
        packet = head[start:end]
        if marker == APP1 and packet.startswith(XMP) and _ITEM in packet:
            yield start, end


def _updated(packet: bytes, moves: Sequence[Move]) -> tuple[bytes, int]:
    """Return the XMP packet, and how many items were removed."""
    lengths = {move.old_length: move.new_length for move in moves}
    pieces, done, missing = list[bytes](), 0, 0
    for start, end in _items(packet):
        item = packet[start:end]
        found = _LENGTH.search(item)
        old = int(found[2]) if found else 0
        if not found or not old:  # the picture itself has none
            continue
        if old in lengths:
            item = item[: found.start(2)] + b"%d" % lengths[old] + item[found.end(2) :]
        else:
            item = b""
            missing += 1
        pieces += [packet[done:start], item]
        done = end
    packet = b"".join(pieces) + packet[done:]
    return _FILM.sub(rb"\g<1>0", packet) if missing else packet, missing


def _items(packet: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the items of a directory, which are elements of an RDF list, begin and end."""
    begin = -1
    for tag in _TAG.finditer(packet):
        if tag[0].startswith(b"<rdf:li"):
            begin = tag.start()
        if begin >= 0 and tag[0].startswith((b"<rdf:li", b"</rdf:li")):
            if not tag[0].startswith(b"</") and not tag[0].endswith(b"/>"):
                continue
            if b"Item:" in packet[begin : tag.end()]:
                yield begin, tag.end()
            begin = -1
