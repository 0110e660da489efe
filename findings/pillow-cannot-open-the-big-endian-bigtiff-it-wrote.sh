#!/usr/bin/env bash
# Pillow 13.0.0: `save(..., big_tiff=True)` of a picture of mode I;16B writes a BigTIFF in big-endian byte
# order. Pillow accepts that header (TiffImagePlugin.PREFIXES), but then looks for the 43 of BigTIFF in the
# byte where only little-endian files have it, reads the file as a classic TIFF, and reports
# UnidentifiedImageError: "cannot identify image file", as of a file that is no picture. So it is with any
# program's big-endian BigTIFF.
#
# It matters here: `negate` keeps such files, so it does not decode TIFFs with Pillow.
#
# Seen: classic TIFFs of both byte orders and the little-endian BigTIFF are read, the big-endian one is
# not; tifffile reads its samples.
# Exits 0 while that is so, 1 when all are read.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0 tifffile==2026.3.3

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import io
import struct
import sys

import tifffile
from PIL import Image, UnidentifiedImageError

SAMPLES = (1, 2, 300, 65535)
ORDERS = {"I;16": "<", "I;16B": ">"}


def read(mode, big_tiff):
    """Save a picture and return the samples that Pillow reads, or its error's name."""
    picture = Image.frombytes(mode, (2, 2), struct.pack(f"{ORDERS[mode]}4H", *SAMPLES))
    buffer = io.BytesIO()
    picture.save(buffer, "TIFF", big_tiff=big_tiff)
    buffer.seek(0)
    assert tuple(tifffile.imread(buffer).ravel()) == SAMPLES
    buffer.seek(0)
    try:
        with Image.open(buffer) as image:
            return struct.unpack(f"{ORDERS[image.mode]}4H", image.tobytes())
    except UnidentifiedImageError as error:
        return type(error).__name__


found = {(mode, big_tiff): read(mode, big_tiff) for mode in ORDERS for big_tiff in (False, True)}
for (mode, big_tiff), result in found.items():
    print(f"{mode}, big_tiff={big_tiff}: {result}")
unread = [kind for kind, result in found.items() if result != SAMPLES]
if unread == [("I;16B", True)] and found["I;16B", True] == "UnidentifiedImageError":
    print("As recorded: Pillow does not open the big-endian BigTIFF that it has written.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
