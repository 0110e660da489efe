#!/usr/bin/env bash
# Pillow 13.0.0: a grayscale PNG of 2 or 4 bits per sample may name one gray as transparent (chunk tRNS,
# PNG specification 11.3.1.1). Pillow scales the samples to 8 bits, but not that value, so the pixels that
# should be transparent become opaque. At 1 and 8 bits they are transparent.
#
# Seen: alpha of the transparent gray after convert("RGBA"): 0 at 1 and 8 bits, 255 at 2 and 4 bits.
# Exits 0 while that is so, 1 when all are transparent.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0

"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct
import sys
import zlib

from PIL import Image

GRAYSCALE, TRANSPARENT = 0, 1


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(bits):
    """One pixel of the gray TRANSPARENT."""
    header = struct.pack(">IIBBBBB", 1, 1, bits, GRAYSCALE, 0, 0, 0)
    row = bytes([0, TRANSPARENT << (8 - bits)])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", TRANSPARENT))
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )


alphas = {}
for bits in (1, 2, 4, 8):
    with Image.open(io.BytesIO(png(bits))) as image:
        alphas[bits] = image.convert("RGBA").getpixel((0, 0))[3]
print(f"alpha by bits per sample: {alphas}")
if alphas == {1: 0, 2: 255, 4: 255, 8: 0}:
    print("As recorded: the transparent gray is opaque at 2 and 4 bits.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
