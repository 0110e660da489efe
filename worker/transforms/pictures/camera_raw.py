"""Recognize camera raw files by the magic bytes of their makers.

Those that are TIFF files are also recognized by their tags (see tiff.py): Pillow would take some of
them for their thumbnails.
"""

from worker.errors import InvalidInput

# (offset, bytes, format), as ExifTool and LibRaw recognize them.
_MAGIC = (
    (8, b"CR\x02", "Canon CR2"),
    (8, b"CR\x01", "Canon raw"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (0, b"IIU\0", "Panasonic or Leica RW2"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"\0MRM", "Minolta MRW"),
    (0, b"FOVb", "Sigma X3F"),
    (8, b"IIII", "Phase One IIQ"),
    (8, b"MMMM", "Phase One IIQ"),
)


def check(data: memoryview) -> None:
    """Raise InvalidInput if a file is a camera raw file."""
    for offset, magic, name in _MAGIC:
        if bytes(data[offset : offset + len(magic)]) == magic:
            raise unsupported(name)


def unsupported(evidence: str) -> InvalidInput:
    """Return the error for a camera raw file, recognized by its format or by a tag."""
    return InvalidInput(f"camera raw files ({evidence}) are not supported")
