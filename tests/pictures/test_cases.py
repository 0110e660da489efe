"""Real and crafted files of ../shared: each is negated whole, or refused."""

from pathlib import Path

import pytest

from tests.pictures import decoders, tiff_oracle
from tests.pictures.exiftool import ExifTool
from tests.worker.negation import MAX_PIXELS
from worker.errors import InvalidInput
from worker.transforms import negate

SHARED = Path(__file__).resolve().parents[3] / "shared"
CASES = SHARED / "cases"
pytestmark = [
    pytest.mark.usefixtures("compiled"),
    pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases"),
]
#: Files that must be refused, and why.
REFUSED = {
    "raw-reduced-to-thumbnail.dng": "camera raw",
    "tiff-called-not-tiff.tif": "premultiplied.* separate planes: .* 2 bits",
}


@pytest.mark.parametrize("path", sorted(CASES.glob("*.*")), ids=lambda path: path.name)
def test_case_is_whole_or_refused(path: Path, tmp_path: Path, exiftool: ExifTool) -> None:
    if path.suffix == ".md":
        return
    is_tiff = path.suffix in (".tif", ".tiff")
    suffix = ".tif" if is_tiff else path.suffix
    source, target = tmp_path / f"source{suffix}", tmp_path / f"target{suffix}"
    source.write_bytes(path.read_bytes())
    if path.name in REFUSED:
        with pytest.raises(InvalidInput, match=REFUSED[path.name]):
            negate.negate_file(source, target, MAX_PIXELS)
        return
    negate.negate_file(source, target, MAX_PIXELS)
    if is_tiff:
        problems = tiff_oracle.differences(source, target)
    else:
        tolerance = 1 if suffix == ".ppm" else 0
        problems = decoders.differences(source, target, 8, 3, tolerance=tolerance)
        problems += [] if decoders.timing(source) == decoders.timing(target) else ["timing"]
    checked = ["PhotometricInterpretation", "GDALMetadata"]  # by the oracle
    assert not problems + exiftool.differences(source, target, checked)
