"""Update the directory of further pictures in a JPEG's XMP (GContainer).

Ultra HDR and motion photos list the media after the picture there, in the order of the file, each
with its length: https://developer.android.com/media/platform/hdr-image-format, "GContainer XMP".
"""

import re
from collections.abc import Sequence

from worker.transforms.negate import jpeg_segments
from worker.transforms.negate.jpeg_segments import APP1, MAX_CONTENT, SOS, XMP
from worker.transforms.negate.mpf import Move

_ITEM = re.compile(
    rb"<rdf:li\b[^>]*>\s*<Container:Item\b[^>]*?(?:/>\s*|>.*?</Container:Item>\s*)</rdf:li>\s*"
    rb"|<rdf:li\b[^>]*\bItem:[^>]*/>\s*",
    re.DOTALL,
)
_LENGTH = re.compile(rb"(Item:Length\s*=\s*[\"']|<Item:Length>)\s*(\d{1,10})(?=\s*[\"'<])")
_FILM = re.compile(rb"(GCamera:(?:MotionPhoto|MicroVideo)\s*=\s*[\"'])1(?=[\"'])")


def update(head: bytes, moves: Sequence[Move]) -> bytes:
    """Return a JPEG's segments with the lengths of the result's pictures.

    Items that are not in the result, such as the film of a motion photo, are removed.

    Args:
        head: The segments before the first scan.
        moves: The pictures that are in the result.

    Returns:
        The segments; their length can differ.
    """
    pieces, done = list[bytes](), 0
    for marker, _, start, end in jpeg_segments.read(head + bytes((0xFF, SOS, 0, 2))):
        packet = head[start:end]
        if marker == APP1 and packet.startswith(XMP) and b"Container:Item" in packet:
            new = _updated(packet, moves)
            if len(new) <= MAX_CONTENT:
                size = (len(new) + 2).to_bytes(2, "big")
                pieces += [head[done : start - 2], size, new]
                done = end
    return b"".join(pieces) + head[done:]


def _updated(packet: bytes, moves: Sequence[Move]) -> bytes:
    lengths = {move.old_length: move.new_length for move in moves}
    is_film_dropped = False

    def updated(item: re.Match[bytes]) -> bytes:
        nonlocal is_film_dropped
        found = _LENGTH.search(item[0])
        old = int(found[2]) if found else 0
        if not found or not old:  # the picture itself has none
            return item[0]
        if old in lengths:
            return item[0][: found.start(2)] + b"%d" % lengths[old] + item[0][found.end(2) :]
        is_film_dropped = True
        return b""

    packet = _ITEM.sub(updated, packet)
    return _FILM.sub(rb"\g<1>0", packet) if is_film_dropped else packet
