#!/usr/bin/env bash
# Pillow 13.0.0: `save(..., "WEBP", save_all=True)` merges consecutive frames whose pixels are equal
# (libwebp's WebPAnimEncoder does). If all frames are equal, the result is a still picture: frame count,
# durations and loop count are gone, and no warning or error is raised. An animation can therefore not
# be rewritten frame by frame without checking the number of frames afterwards.
#
# Seen: three frames of 100, 200 and 300 ms become one frame that is not animated; with a differing
# third frame two frames remain.
# Exits 0 while that is so, 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0

"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

from PIL import Image


def frames_after_saving(colours):
    first, *others = [Image.new("RGB", (8, 8), colour) for colour in colours]
    buffer = io.BytesIO()
    first.save(
        buffer, "WEBP", save_all=True, append_images=others, duration=[100, 200, 300], loop=3,
        lossless=True,
    )
    with Image.open(buffer) as image:
        return image.n_frames, image.is_animated, image.info.get("loop")


equal = frames_after_saving([(9, 9, 9), (9, 9, 9), (9, 9, 9)])
mixed = frames_after_saving([(9, 9, 9), (9, 9, 9), (1, 1, 1)])
print(f"three equal frames, loop 3: {equal}\ntwo equal frames and another: {mixed}")
if equal[:2] == (1, False) and equal[2] != 3 and mixed[:2] == (2, True):
    print("As recorded: equal frames are merged, and all of them become a still picture.")
    sys.exit(0)
print("Changed: equal frames are no longer merged as recorded.")
sys.exit(1)
PYTHON
