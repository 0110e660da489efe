"""Read the structure of WebP files (RFC 9649) and compare a result's with its source's."""

from collections.abc import Iterator
from dataclasses import dataclass

from worker.errors import InvalidInput

_HEADER = 12  # RIFF, size, WEBP
_FRAME_HEADER = 16  # of an ANMF chunk, before the frame's own chunks


@dataclass(frozen=True)
class Structure:
    """What of a file is not its pixels."""

    frames: int
    durations: tuple[int, ...]  # milliseconds
    loops: int | None
    chunks: frozenset[bytes]  # kinds of metadata, and what is not known
    lossless: bool  # any of its frames


def read(data: memoryview) -> Structure:
    """The structure of a file; InvalidInput where it is damaged."""
    durations, loops, stills, lossless = [], None, 0, False
    chunks: set[bytes] = set()
    end = 8 + int.from_bytes(data[4:8], "little")
    for kind, content in _chunks(data[_HEADER:end]):
        if kind == b"ANMF":
            durations.append(int.from_bytes(content[12:15], "little"))
            lossless |= any(k == b"VP8L" for k, _ in _chunks(content[_FRAME_HEADER:]))
        elif kind == b"ANIM":
            loops = int.from_bytes(content[4:6], "little")
        elif kind in (b"VP8 ", b"VP8L"):
            stills, lossless = stills + 1, lossless or kind == b"VP8L"
        elif kind not in (b"VP8X", b"ALPH"):
            chunks.add(kind)
    return Structure(len(durations) or stills, tuple(durations), loops, frozenset(chunks), lossless)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield bytes(data[at : at + 4]), data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def verify(before: Structure, after: Structure) -> None:
    """Refuse, with an InvalidInput, a result that lacks anything of its source."""
    if before.frames != after.frames:
        raise InvalidInput(
            f"of its {before.frames} frames {after.frames} would be kept: "
            "equal frames in a row are merged"
        )
    if before.durations != after.durations:
        raise InvalidInput("its frames' durations would change")
    if before.durations and before.loops != after.loops:
        raise InvalidInput("its number of loops would change")
    if lost := before.chunks - after.chunks:
        names = ", ".join(sorted(repr(kind.decode("latin-1")) for kind in lost))
        raise InvalidInput(f"its WebP chunks {names} would be lost")
