#!/usr/bin/env bash
# Pillow 13.0.0: a picture of 16-bit gray (mode I;16) that is saved as JPEG 2000 with `tile_size` should be
# the same when it is opened again, as it is without tiles and as 8-bit pictures are with them. Instead, it
# has other samples: the lossless file shows another picture. Other decoders of the file (imagecodecs) agree
# with Pillow's, so it is written wrongly, not read.
#
# It matters here: `negate` writes 16-bit gray in one tile.
#
# Seen: equal without tiles, equal at 8 bits with tiles, different at 16 bits with tiles.
# Exits 0 while that is so, 1 when all are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0

"$folder/venv/bin/python" - <<'PYTHON'
import io
import random
import sys

from PIL import Image

SIZE = (80, 60)


def is_equal(mode, bytes_per_sample, **options):
    """Return whether a lossless file has the samples that were saved."""
    samples = random.Random(1).randbytes(SIZE[0] * SIZE[1] * bytes_per_sample)
    buffer = io.BytesIO()
    Image.frombytes(mode, SIZE, samples).save(buffer, "JPEG2000", **options)
    with Image.open(buffer) as image:
        return image.mode == mode and image.tobytes() == samples


found = (is_equal("I;16", 2), is_equal("L", 1, tile_size=(32, 32)), is_equal("I;16", 2, tile_size=(32, 32)))
print(f"equal: 16 bits {found[0]}, 8 bits in tiles {found[1]}, 16 bits in tiles {found[2]}")
if found == (True, True, False):
    print("As recorded: 16-bit gray in tiles is written wrongly.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
