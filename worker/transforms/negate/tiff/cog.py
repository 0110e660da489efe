"""What GDAL promises about a Cloud Optimized GeoTIFF, before its first directory.

Source: GDAL's documentation of its COG driver, "Header ghost area".
"""

from collections.abc import Iterable

from worker.transforms.negate.tiff.blocks import Block

_BEGINNING = b"GDAL_STRUCTURAL_METADATA_SIZE="
_FRAMED = (b"BLOCK_LEADER=SIZE_AS_UINT4\n", b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n")
# The space leaves room for "YES".
_UNCHANGED, _CHANGED = (
    b"KNOWN_INCOMPATIBLE_EDITION=NO\n ",
    b"KNOWN_INCOMPATIBLE_EDITION=YES\n",
)
_MAX_BYTES, _FRAME = 4096, 4


def promises(data: memoryview, *, is_big: bool) -> tuple[int, bytes]:
    """Return where the promises are in a file, and their text; empty if there are none."""
    start = 16 if is_big else 8
    text = bytes(data[start : start + _MAX_BYTES])
    digits = text[len(_BEGINNING) : len(_BEGINNING) + 6]
    if not text.startswith(_BEGINNING) or not digits.isdigit():
        return start, b""
    return start, text[: text.index(b"\n") + 1 + int(digits)] if b"\n" in text else b""


def has_frames(text: bytes, blocks: Iterable[Block], data: memoryview) -> bool:
    """Return whether each block is between its size and its last bytes, as the text promises."""
    return (
        _UNCHANGED in text
        and all(each in text for each in _FRAMED)
        and all(
            data[offset - _FRAME : offset] == size.to_bytes(_FRAME, "little")
            and size >= _FRAME
            and data[offset + size : offset + size + _FRAME]
            == data[offset + size - _FRAME : offset + size]
            for offset, size, _ in blocks
        )
    )


def withdrawn(text: bytes) -> bytes:
    """Return the promises as broken: readers ignore them then."""
    return text.replace(_UNCHANGED, _CHANGED)
