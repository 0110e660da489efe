#!/usr/bin/env bash
# Pillow 13.0.0: a valid picture that a process has too little memory for should raise MemoryError when it is
# loaded, as a PNG does. Instead, a JPEG 2000 mostly raises OSError "broken data stream when reading image
# file", the words for a damaged file. It takes six times the memory of its pixels, so that happens first to
# the largest pictures, as under a container's or systemd's limit.
#
# It matters here: before such an error counts as damage, and the picture as one for the quarantine, the memory
# that the codec takes is tried.
#
# Seen: for a picture of 27 MB in memory and 20 to 160 MB to spare, MemoryError or a picture for the PNG,
# "broken data stream" for the JPEG 2000. Exits 0 while that is so, 1 when it is MemoryError.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check Pillow==13.0.0
cd "$folder"

venv/bin/python - <<'PYTHON'
from PIL import Image

picture = Image.linear_gradient("L").resize((3000, 3000)).convert("RGB")
picture.save("picture.png", compress_level=1)
picture.save("picture.jp2")
PYTHON

cat >load.py <<'PYTHON'
import re
import resource
import sys
from pathlib import Path

from PIL import Image

name, spare = sys.argv[1], int(sys.argv[2]) << 20
Image.init()
used = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
try:
    Image.open(name).load()
    print("loaded")
except (MemoryError, OSError, SystemError) as error:
    print(type(error).__name__, error)
PYTHON
for name in picture.png picture.jp2; do
    for spare in 20 40 80 160; do
        echo "$name with $spare MB: $(venv/bin/python load.py "$name" "$spare")"
    done
done | tee seen
if grep -q '^picture.jp2.*OSError broken data stream' seen && ! grep '^picture.png' seen | grep -qv 'MemoryError\|loaded'; then
    echo "As recorded: missing memory is reported as damage."
    exit 0
fi
echo "The behaviour has changed."
exit 1
