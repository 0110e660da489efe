#!/usr/bin/env bash
# Pillow 13.0.0: a lossless WebP of an RGBA picture should be the same picture again. If all of its pixels
# are opaque, it comes back as RGB: libwebp leaves the flag of alpha out, `exact=True` or not. A single pixel
# of alpha 254 keeps it. So the number of channels depends on the pixels, and the tiles of one picture
# have different shapes as arrays. PNG and TIFF keep RGBA.
#
# It matters here: a negative keeps the channels of its source, so `negate` sets the flag itself.
#
# Seen: opaque RGB, with one pixel of alpha 254 RGBA; as PNG and TIFF RGBA.
# Exits 0 while that is so, 1 when all are RGBA.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0

"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

from PIL import Image, features


def mode_after_saving(kind, alpha, **options):
    picture = Image.new("RGBA", (4, 4), (10, 20, 30, 255))
    picture.putpixel((0, 0), (10, 20, 30, alpha))
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    with Image.open(buffer) as image:
        return image.mode


found = {
    "WebP, opaque": mode_after_saving("WEBP", 255, lossless=True),
    "WebP, opaque, exact": mode_after_saving("WEBP", 255, lossless=True, exact=True),
    "WebP, one pixel of alpha 254": mode_after_saving("WEBP", 254, lossless=True),
    "PNG, opaque": mode_after_saving("PNG", 255),
    "TIFF, opaque": mode_after_saving("TIFF", 255),
}
print(f"libwebp {features.version('webp')}: {found}")
if list(found.values()) == ["RGB", "RGB", "RGBA", "RGBA", "RGBA"]:
    print("As recorded: an opaque alpha channel is gone.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
