#!/usr/bin/env bash
# Pillow 13.0.0: an uncompressed TIFF with one strip and Orientation 5 to 8 (rotated by 90°, as scanners
# and cameras write it) is decoded wrongly if it is opened by path: the file is mapped into memory with
# width and height already swapped, so rows are cut at the wrong places. Opened as a file object, which
# cannot be mapped, the same file is decoded correctly. No warning or error is raised.
#
# Seen: a 3 × 2 picture with Orientation 6; by file object the rotated pixels, by path others.
# Exits 0 while that is so, 1 when both agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0

"$folder/venv/bin/python" - "$folder/rotated.tif" <<'PYTHON'
import sys

from PIL import Image

ORIENTATION = 274
path = sys.argv[1]
picture = Image.new("L", (3, 2))
picture.putdata([10, 20, 30, 40, 50, 60])
picture.save(path, tiffinfo={ORIENTATION: 6})


def decoded(source):
    with Image.open(source) as image:
        image.load()
        return image.size, list(image.tobytes())


right = ((2, 3), list(picture.transpose(Image.Transpose.ROTATE_270).tobytes()))
by_path = decoded(path)
with open(path, "rb") as file:
    by_file = decoded(file)
print(f"expected:       {right}\nby file object: {by_file}\nby path:        {by_path}")
if by_file == right and by_path != right:
    print("As recorded: opened by path the picture is scrambled.")
    sys.exit(0)
print("Changed: opening by path and by file object no longer differ as recorded.")
sys.exit(1)
PYTHON
