#!/usr/bin/env bash
# pyvips-binary 8.18.7: its libtiff has no Zstandard, LZMA or LERC. Such a TIFF, as GDAL and tifffile write
# it, should fail to load. Instead, it is black, without an exception. `fail_on="error"` raises one for
# strips, but a picture in tiles is black even then: only `fail_on="warning"` raises one for
# both.
#
# It matters here: libvips confirms negatives in the tests, but not of such files.
#
# Seen: largest sample of a picture whose samples are all 200: deflate 200; Zstandard 0 by default; with
# fail_on="error" an exception for strips, 0 for tiles; with fail_on="warning" an exception for both.
# Exits 0 while that is so, 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pyvips==3.2.0 pyvips-binary==8.18.7 tifffile==2026.3.3 imagecodecs==2026.3.6

cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import numpy as np
import pyvips
import tifffile

PICTURE = np.full((32, 32, 3), 200, np.uint8)
LAYOUTS = {"strips": None, "tiles": (16, 16)}


def largest(compression, layout, fail_on):
    # A name for each: libvips caches pictures by name and options.
    path = f"{compression}-{layout}-{fail_on}.tif"
    tifffile.imwrite(path, PICTURE, photometric="rgb", compression=compression, tile=LAYOUTS[layout])
    try:
        return int(pyvips.Image.new_from_file(path, fail_on=fail_on).max())
    except pyvips.Error:
        return "error"


found = {}
for compression in ("zlib", "zstd"):
    for fail_on in ("none", "error", "warning"):
        found[compression, fail_on] = [largest(compression, layout, fail_on) for layout in LAYOUTS]
        print(f"{compression}, fail_on={fail_on}: strips, tiles: {found[compression, fail_on]}")
expected = {("zlib", fail_on): [200, 200] for fail_on in ("none", "error", "warning")}
expected |= {
    ("zstd", "none"): [0, 0],
    ("zstd", "error"): ["error", 0],
    ("zstd", "warning"): ["error", "error"],
}
if found == expected:
    print("As recorded: without the codec the picture is black, in tiles even with fail_on=error.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
