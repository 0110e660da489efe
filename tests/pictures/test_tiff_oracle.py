"""The oracle itself: it finds what is not the negative."""

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.pictures import tiff_oracle
from tests.pictures.tiff_oracle import Array


def _write(path: Path, values: list[Array], **options: object) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for one in values:
            tiff.write(one, metadata=None, contiguous=False, **options)
    return path


GRAY: Array = np.arange(48, dtype=np.uint8).reshape(6, 8)
RGBA: Array = np.arange(192, dtype=np.uint16).reshape(6, 8, 4) * 341
WITH_ALPHA = {"photometric": "rgb", "extrasamples": ["unassalpha"]}


def test_complement_is_right(tmp_path: Path) -> None:
    before = _write(tmp_path / "before.tif", [GRAY, GRAY[::-1]])
    after = _write(tmp_path / "after.tif", [255 - GRAY, 255 - GRAY[::-1]])
    assert tiff_oracle.differences(before, after) == []


@pytest.mark.parametrize(
    ("values", "options", "problem"),
    [
        ([GRAY, GRAY], {}, "samples differ"),
        ([255 - GRAY], {}, "2 directories before, 1 after"),
        ([255 - GRAY, 254 - GRAY], {}, "page 2: .* samples differ"),
        ([255 - GRAY, 65535 - GRAY.astype(np.uint16)], {}, "page 2: .*tag 258"),
        ([255 - GRAY] * 2, {"photometric": "miniswhite"}, "samples differ"),
        ([255 - GRAY] * 2, {"description": "ours"}, "only before or only after"),
    ],
)
def test_what_is_wrong_is_found(
    values: list[Array], options: dict[str, object], problem: str, tmp_path: Path
) -> None:
    before = _write(tmp_path / "before.tif", [GRAY, GRAY])
    after = _write(tmp_path / "after.tif", values, **options)
    found = "; ".join(tiff_oracle.differences(before, after))
    assert re.search(problem, found)


def test_negated_alpha_is_found(tmp_path: Path) -> None:
    before = _write(tmp_path / "before.tif", [RGBA], **WITH_ALPHA)
    right: Array = 65535 - RGBA
    right[:, :, 3] = RGBA[:, :, 3]
    assert not tiff_oracle.differences(
        before, _write(tmp_path / "right.tif", [right], **WITH_ALPHA)
    )
    assert tiff_oracle.differences(
        before, _write(tmp_path / "wrong.tif", [65535 - RGBA], **WITH_ALPHA)
    )
