"""Small BMP files of every kind."""

import struct


def bmp(
    bits: int,
    pixels: bytes,
    *,
    size: tuple[int, int] = (3, 2),
    header: int = 40,
    compression: int = 0,
    masks: tuple[int, ...] = (),
    table: bytes = b"",
    colors: int = 0,
    rest: bytes = b"",
    profile: int = 0,
) -> bytes:
    """Return a BMP.

    Args:
        bits: Of a pixel.
        pixels: As they are stored.
        size: Width and height; negative: the rows begin at the top.
        header: Bytes of its header.
        compression: As BMP numbers it.
        masks: Of red, green, blue and alpha.
        table: The color table.
        colors: The number of its entries, as the header tells it.
        rest: What follows the pixels.
        profile: The bytes of the rest that are a color profile.
    """
    if header == 12:  # OS/2's first
        info = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        info = struct.pack("<IiiHHI", header, *size, 1, bits, compression)
        info += struct.pack("<IiiII", len(pixels), 2835, 2835, colors, 0)
        info += struct.pack(f"<{len(masks)}I", *masks)
        info = info.ljust(header, b"\0")
        if header != 40:
            info = info[:header]
        if profile:
            info = info[:56] + b"DEBM" + info[60:]
            offset = len(info) + len(table) + len(pixels)
            info = info[:112] + struct.pack("<II", offset, profile) + info[120:]
    start = 14 + len(info) + len(table)
    end = start + len(pixels) + len(rest)
    return struct.pack("<2sIHHI", b"BM", end, 0, 0, start) + info + table + pixels + rest


def gray_table(*grays: int, entry: int = 4) -> bytes:
    """Return a color table, its unused bytes set."""
    return b"".join(bytes([gray, gray, gray, 0x5A])[:entry] for gray in grays)
