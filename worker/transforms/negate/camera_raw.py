"""Recognize camera raw files by their makers' magic bytes.

Those that are TIFF files in form are told apart by their tags (see tiff.py). Pillow would take some
of them for their thumbnail.
"""

# (offset, bytes, name); from the makers' files as documented by ExifTool and LibRaw.
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
LONGEST = 16  # bytes at a file's beginning that are looked at


def kind(beginning: bytes) -> str | None:
    """The kind of camera raw file that begins with these bytes, or None."""
    for offset, magic, name in _MAGIC:
        if beginning[offset : offset + len(magic)] == magic:
            return name
    return None
