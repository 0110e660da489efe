"""TIFFs of every kind: the negative is whole, by decoders that are not ours, or refused truly.

`./pipeline test --pictures` runs all recipes; other runs take some, chosen by a seed.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile

from tests.pictures import decoders, tiff_oracle, tiff_writer
from tests.pictures import tiff_recipes as kinds
from tests.pictures.exiftool import ExifTool
from tests.pictures.tiff_recipes import Recipe
from tests.pictures.tiff_writer import Written
from tests.worker.negation import MAX_PIXELS
from worker.errors import InvalidInput
from worker.transforms import negate

pytestmark = pytest.mark.usefixtures("compiled")

#: What a reason may say of a file, and when it is true.
CLAIMS: dict[str, Callable[[Recipe], bool]] = {
    r"damaged(?! or not supported)|truncated|too few bytes|lies beyond": lambda _: False,
    r"\bno compression": lambda recipe: recipe.compression == kinds.NONE,
    r"\bLZW": lambda recipe: recipe.compression == kinds.LZW,
    r"\bDeflate": lambda recipe: recipe.compression in (kinds.DEFLATE, kinds.OLD_DEFLATE),
    r"\bPackBits": lambda recipe: recipe.compression == kinds.PACKBITS,
    r"\bZstandard|\bZSTD": lambda recipe: recipe.compression == kinds.ZSTD,
    r"\bLZMA": lambda recipe: recipe.compression == kinds.LZMA,
    r"\bWebP": lambda recipe: recipe.compression == kinds.WEBP,
    r"\bLERC": lambda recipe: recipe.compression == kinds.LERC,
    r"\bJPEG 2000": lambda recipe: recipe.compression == kinds.JPEG_2000,
    r"\bJPEG(?! 2000)": lambda recipe: recipe.compression == kinds.JPEG,
    r"\bCCITT": lambda recipe: recipe.compression in kinds.BILEVEL,
    r"\bfloat": lambda recipe: recipe.form == kinds.FLOAT,
    r"(?<!un)\bsigned": lambda recipe: recipe.form == kinds.SIGNED,
    r"\bMinIsWhite": lambda recipe: recipe.color == kinds.WHITE,
    r"\bpalette": lambda recipe: recipe.color == kinds.PALETTE,
    r"\bCMYK": lambda recipe: recipe.color == kinds.CMYK,
    r"\bYCbCr": lambda recipe: recipe.color == kinds.YCBCR,
    r"\bLab|CIELab|LAB": lambda recipe: recipe.color == kinds.LAB,
    r"\bsubsampl": lambda recipe: recipe.color == kinds.YCBCR,
    r"\bSubIFD": lambda recipe: recipe.levels == "subifds",
    r"\breduced-resolution": lambda recipe: recipe.levels == "reduced",
    r"\bmask": lambda recipe: recipe.levels == "mask",
    r"\bpremultiplied|\bassociated": lambda recipe: kinds.ASSOCIATED in recipe.extra,
    r"\bextra channel": lambda recipe: bool(recipe.extra),
    r"\bseparate planes": lambda recipe: recipe.is_planar,
    r"\bfill order": lambda recipe: recipe.fill_order == 2,
    r"\bGDAL_NODATA": lambda recipe: recipe.metadata == "nodata",
    r"\bsample values": lambda recipe: recipe.metadata == "ranges",
    r"\bEXIF|\bGPS": lambda recipe: recipe.metadata == "exif",
}
#: What a reason must name of a file that is not supported.
MUST_NAME = {kinds.LZMA: "LZMA", kinds.WEBP: "WebP", kinds.LERC: "LERC"}
MUST_NAME |= {kinds.JPEG_2000: "JPEG 2000"}


def test_negative_is_whole_or_refused_truly(
    recipe: Recipe, tmp_path: Path, exiftool: ExifTool
) -> None:
    source, target = tmp_path / "source.tif", tmp_path / "target.tif"
    data, directories = tiff_writer.write(recipe)
    source.write_bytes(data)
    try:
        negate.negate_file(source, target, MAX_PIXELS)
    except InvalidInput as error:
        assert not recipe.must_be_negated, str(error)
        _check_reason(str(error), recipe)
        return
    assert not recipe.must_be_refused
    problems = [
        *_known_differences(recipe, target, directories),
        *tiff_oracle.differences(source, target),
        *_decoders_differences(recipe, source, target),
        *exiftool.differences(source, target, ["PhotometricInterpretation"]),
        *_changes_at_second_runs(source, target, tmp_path),
    ]
    assert not problems


def _known_differences(recipe: Recipe, target: Path, directories: list[Written]) -> list[str]:
    """Compare with the samples that were written, which no decoder has seen."""
    problems = []
    with tifffile.TiffFile(target, _multifile=False) as tiff:
        pages = [page for _, page in tiff_oracle.directories(tiff)]
        if len(pages) != len(directories):
            return [f"{len(directories)} directories became {len(pages)}"]
        for page, written in zip(pages, directories, strict=True):
            photometric = kinds.PHOTOMETRICS[recipe.color][0]
            if recipe.is_lossy and not written.is_mask:
                continue  # what was written is not what was stored
            is_swapped = not written.is_mask and int(page.photometric) != photometric
            problem = tiff_oracle.sample_difference(
                tiff_oracle.negative(written.samples, page),
                tiff_oracle.samples(page),
                page,
                is_swapped=is_swapped,
            )
            problems += [problem] if problem else []
    return problems


#: Which decoders show the samples as they are; others convert, round or do not know such files.
WITNESSES: tuple[tuple[Callable[[Recipe], bool], set[str]], ...] = (
    (lambda recipe: kinds.ASSOCIATED in recipe.extra, set()),
    (lambda recipe: bool(recipe.extra), {"GDAL", "libvips"}),
    (lambda recipe: recipe.is_planar, {"GDAL", "libvips", "Pillow"}),
    (lambda recipe: recipe.is_planar and recipe.bits == 1, {"GDAL", "Pillow"}),
    (lambda recipe: recipe.bits == 32, {"GDAL", "libvips", "OpenCV"}),
    (lambda r: bool(r.extra) and (r.is_planar or r.bits == 32), {"GDAL"}),
    (lambda r: r.color == kinds.PALETTE, {"libvips", "OpenCV", "Pillow", "ImageMagick"}),
    (lambda r: r.bits == 16 and r.channels > 1, {"GDAL", "libvips", "OpenCV", "ImageMagick"}),
    (lambda recipe: recipe.color == kinds.CMYK, {"libvips", "Pillow"}),
    (lambda recipe: recipe.color == kinds.YCBCR, {"libvips", "OpenCV", "Pillow", "GDAL"}),
    (lambda recipe: recipe.form == kinds.SIGNED, {"GDAL", "libvips", "OpenCV"}),
    (lambda recipe: recipe.bits not in (1, 8, 16, 32), {"GDAL"}),
    (lambda recipe: recipe.levels == "mask", {"GDAL"}),
    # pyvips-binary 8.18 has no Zstandard: it returns zeros.
    (lambda r: r.compression == kinds.ZSTD, {"GDAL", "OpenCV", "Pillow", "ImageMagick"}),
    (lambda r: r.compression in kinds.BILEVEL, {"libvips", "OpenCV", "Pillow", "ImageMagick"}),
)


def _decoders_differences(recipe: Recipe, source: Path, target: Path) -> list[str]:
    names = set(decoders.DECODERS).intersection(
        *(witnesses for holds, witnesses in WITNESSES if holds(recipe))
    )
    colors = 3 if recipe.color == kinds.PALETTE else recipe.color_channels
    if colors == 1 and not any(recipe.extra):
        colors = recipe.channels
    tolerance = 10 if recipe.is_lossy else 3 if recipe.color == kinds.YCBCR else 0
    problems = decoders.differences(
        source, target, recipe.bits, colors, tolerance=tolerance, names=sorted(names)
    )
    try:
        valid = decoders.valid(source)
    except rasterio.errors.RasterioError:
        return problems
    if not np.array_equal(valid, decoders.valid(target)):
        problems.append("GDAL's valid pixels are others")
    return problems


def _changes_at_second_runs(source: Path, target: Path, folder: Path) -> list[str]:
    """The same run gives the same bytes; the negative's negative has the source's pixels."""
    again, twice, problems = folder / "again.tif", folder / "twice.tif", list[str]()
    negate.negate_file(source, again, MAX_PIXELS)
    if again.read_bytes() != target.read_bytes():
        problems.append("a second run gives other bytes")
    negate.negate_file(target, twice, MAX_PIXELS)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(twice) as after:
        pairs = zip(tiff_oracle.directories(before), tiff_oracle.directories(after), strict=True)
        for (name, old), (_, new) in pairs:
            if not np.array_equal(tiff_oracle.samples(old), tiff_oracle.samples(new)):
                problems.append(f"{name}: negating twice does not restore the samples")
    return problems


def _check_reason(reason: str, recipe: Recipe) -> None:
    """A reason must not say what is not so, and must name what is refused by kind."""
    for claim, holds in CLAIMS.items():
        if re.search(claim, reason):
            assert holds(recipe), f"untrue: {reason}"
    for bits in re.findall(r"(\d+)(?:-bit| bits per sample)", reason):
        assert int(bits) == recipe.bits, f"untrue: {reason}"
    if recipe.must_be_refused:
        assert MUST_NAME.get(recipe.compression, "") in reason, reason
        assert recipe.form != kinds.FLOAT or "float" in reason, reason
        assert recipe.color != kinds.LAB or "Lab" in reason, reason
