"""Negate a WebP (RFC 9649) by Pillow, and compare the result's structure with its source's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.errors import InvalidInput
from worker.transforms.negate import pillow
from worker.transforms.pictures.mapped_file import MappedFile

_HEADER_BYTES = 12  # RIFF, size, WEBP
_FRAME_HEADER_BYTES = 16  # of an ANMF chunk, before the frame's own chunks
_LOSSY, _LOSSLESS = b"VP8 ", b"VP8L"


@dataclass(frozen=True)
class Structure:
    """What a file has besides pixels.

    Attributes:
        frames: The number of pictures.
        durations: Of an animation's frames, in milliseconds.
        loops: How often an animation is played; 0: for ever.
        chunks: The types of its metadata and of unknown chunks.
        is_lossless: Whether any picture is coded without loss.
    """

    frames: int
    durations: tuple[int, ...]
    loops: int
    chunks: frozenset[bytes]
    is_lossless: bool


def negate(file: MappedFile, target: Path, pixels: int) -> list[str]:
    """Write the negative of a WebP.

    Raises InvalidInput if it is damaged or too large, or the result lacks anything.

    Args:
        file: The WebP.
        target: Where the negative goes.
        pixels: The most pixels that all its frames may have.

    Returns:
        Notes.
    """
    before = _read(file.data)
    pillow.negate(file.path, target, pixels, "WEBP", lossless=before.is_lossless)
    _compare(before, _read(MappedFile(target).data))
    return []


def _read(data: memoryview) -> Structure:
    durations, loops, pictures, is_lossless = [], 0, 0, False
    others: set[bytes] = set()
    end = 8 + int.from_bytes(data[4:8], "little")
    for kind, content in _chunks(data[_HEADER_BYTES:end]):
        if kind == b"ANMF":
            durations.append(int.from_bytes(content[12:15], "little"))
            is_lossless |= any(k == _LOSSLESS for k, _ in _chunks(content[_FRAME_HEADER_BYTES:]))
        elif kind == b"ANIM":
            loops = int.from_bytes(content[4:6], "little")
        elif kind in (_LOSSY, _LOSSLESS):
            pictures += 1
            is_lossless |= kind == _LOSSLESS
        elif kind not in (b"VP8X", b"ALPH"):
            others.add(kind)
    frames = len(durations) or pictures
    return Structure(frames, tuple(durations), loops, frozenset(others), is_lossless)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield bytes(data[at : at + 4]), data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _compare(before: Structure, after: Structure) -> None:
    if before.frames != after.frames:
        raise InvalidInput(
            f"of its {before.frames} frames {after.frames} would be kept: "
            "equal frames in a row are merged"
        )
    if before.durations != after.durations or before.loops != after.loops:
        raise InvalidInput("the durations or loops of its frames would change")
    if lost := before.chunks - after.chunks:
        names = ", ".join(sorted(repr(kind.decode("latin-1")) for kind in lost))
        raise InvalidInput(f"its WebP chunks {names} would be lost")
