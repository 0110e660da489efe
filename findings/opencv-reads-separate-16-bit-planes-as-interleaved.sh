#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93: `imread` of a TIFF whose channels are separate planes
# (PlanarConfiguration 2, as tifffile writes an array of channels first and GDAL INTERLEAVE=BAND) is right
# at 8 bits, which libtiff decodes. At 16 bits it returns an array of the right shape and type whose rows
# are mixed up: each plane's samples are taken as interleaved pixels. No error or warning is raised.
# Fixed upstream after this version: https://github.com/opencv/opencv/pull/29567
#
# It matters here: OpenCV confirms negatives in the tests, but not of separate planes.
#
# Seen: equal to what was written at 8 bits, and at 16 bits interleaved; different at 16 bits in planes.
# Exits 0 while that is so, 1 when all are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np
import tifffile

WIDTH, HEIGHT = 3, 2


def is_equal(kind, planes):
    """Return whether OpenCV reads the RGB picture that tifffile has written."""
    rgb = np.arange(1, 3 * WIDTH * HEIGHT + 1, dtype=kind).reshape(3, HEIGHT, WIDTH)
    interleaved = np.ascontiguousarray(np.moveaxis(rgb, 0, -1))
    stored = rgb if planes == "separate" else interleaved
    tifffile.imwrite("picture.tif", stored, photometric="rgb", planarconfig=planes)
    assert np.array_equal(tifffile.imread("picture.tif"), stored)
    read = cv2.imread("picture.tif", cv2.IMREAD_UNCHANGED)
    assert read.shape == interleaved.shape and read.dtype == kind
    print(f"{np.dtype(kind)}, {planes}: {read[0, :, ::-1].tolist()}, wanted {interleaved[0].tolist()}")
    return np.array_equal(read[:, :, ::-1], interleaved)


kinds = [(np.uint8, "contig"), (np.uint8, "separate"), (np.uint16, "contig"), (np.uint16, "separate")]
if [is_equal(*kind) for kind in kinds] == [True, True, True, False]:
    print("As recorded: separate planes of 16 bits are read as interleaved pixels.")
    sys.exit(0)
print("The behaviour has changed.")
sys.exit(1)
PYTHON
