"""TIFFs as other programs write them: GDAL, libvips, tifffile, OpenCV, Pillow, ImageMagick.

Layouts that a matrix does not have: cloud-optimized GeoTIFFs, OME-TIFF, ImageJ's stacks, pyramids.
"""

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import pyvips
import rasterio
import tifffile
from PIL import Image
from rasterio.enums import Resampling
from rasterio.shutil import copy
from rasterio.transform import from_origin

from bench.imagemagick import find_convert
from tests.pictures import decoders, tiff_oracle
from tests.pictures.exiftool import ExifTool
from tests.pictures.tiff_oracle import Array
from tests.worker.negation import MAX_PIXELS
from worker.errors import InvalidInput
from worker.transforms import negate

pytestmark = pytest.mark.usefixtures("compiled")


def pixels(bands: int, kind: str = "uint8", size: int = 200) -> Array:
    """Return rows × columns × bands: smooth, with some noise."""
    rows, columns = np.mgrid[0:size, 0 : size + 33]
    waves = [np.sin(rows / (9 + band)) + np.cos(columns / (7 + band)) for band in range(bands)]
    whole = np.iinfo(kind)
    values = (np.stack(waves, -1) + 2) / 4
    noise = np.random.default_rng(bands).random(values.shape) / 50
    return ((values * 0.9 + noise) * (int(whole.max) - whole.min) + whole.min).astype(kind)


def _gdal(path: Path, bands: int = 3, kind: str = "uint8", **options: Any) -> None:
    values = np.moveaxis(pixels(bands, kind), -1, 0)
    profile: dict[str, Any] = {"driver": "GTiff", "count": bands, "dtype": kind}
    profile |= {"height": values.shape[1], "width": values.shape[2], "crs": "EPSG:3067"}
    profile["transform"] = from_origin(385000, 6675000, 10, 10)
    overviews = options.pop("overviews", ())
    is_masked = options.pop("masked", False)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", **profile | options) as out,
    ):
        out.write(values)
        if is_masked:
            mask = np.zeros(values.shape[1:], np.uint8)
            mask[20:150, 30:160] = 255
            out.write_mask(mask)
        if "nodata" in options:
            out.write(np.full((5, 5), options["nodata"], kind), 1, window=((0, 5), (0, 5)))
        out.update_tags(AREA_OR_POINT="Point", note="p\u00e4iv\u00e4")
        if overviews:
            out.build_overviews(list(overviews), Resampling.nearest)


def _palette(path: Path) -> None:
    _gdal(path, 1, photometric="palette", compress="lzw")
    with rasterio.open(path, "r+") as out:
        out.write_colormap(1, {i: (i, 255 - i, i // 2, 255) for i in range(256)})


def _sparse(path: Path, **options: Any) -> None:
    """Write a GeoTIFF most of whose tiles are missing: GDAL reads NODATA, or zeros, there."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 512, "width": 512}
    layout = {"tiled": True, "blockxsize": 128, "blockysize": 128, "sparse_ok": True}
    with rasterio.open(path, "w", **profile | layout | options) as out:
        out.write(np.full((100, 100), 99, np.uint8), 1, window=((128, 228), (256, 356)))


def _cog(path: Path, **options: Any) -> None:
    defaults: dict[str, Any] = {"driver": "COG", "blocksize": 128, "overview_count": 2}
    _gdal(path, **defaults | options)


def _cog_mask(path: Path) -> None:
    """Write a COG with a mask, many of whose blocks become shorter."""
    values = np.random.default_rng(1).integers(0, 256, (3, 640, 640), np.uint8)
    shape = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 640, "width": 640}
    source = path.with_suffix(".source.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(source, "w", **shape) as out:
            out.write(values)
            out.write_mask(values[0] > 0)
        copy(source, path, driver="COG", compress="jpeg", blocksize=128)


def _vips(path: Path, bands: int = 3, kind: str = "uint8", **options: Any) -> None:
    image = pyvips.Image.new_from_array(pixels(bands, kind, 300))
    if bands >= 3:
        image = image.copy(interpretation="rgb16" if kind == "uint16" else "srgb")
    image.tiffsave(str(path), **options)


def _ome(path: Path, kind: str = "uint16", **options: Any) -> None:
    values = np.stack([pixels(1, kind)[:192, :192, 0]] * 4).reshape(2, 2, 192, 192)
    described = {"axes": "CZYX", "PhysicalSizeX": 0.29, "PhysicalSizeXUnit": "\N{MICRO SIGN}m"}
    with tifffile.TiffWriter(path, ome=True, bigtiff=True) as out:
        out.write(values, subifds=2, tile=(64, 64), metadata=described, **options)
        for step in (2, 4):
            smaller = np.ascontiguousarray(values[..., ::step, ::step])
            out.write(smaller, subfiletype=1, tile=(32, 32), metadata=None, **options)


def _imagej(path: Path, **options: Any) -> None:
    values = np.stack([pixels(1, "uint16")[:, :, 0] >> shift for shift in (0, 1, 2)])
    tifffile.imwrite(path, values, imagej=True, metadata={"axes": "ZYX", "unit": "um"}, **options)


def _imagej_virtual(path: Path) -> None:
    """Write a stack with one directory for three images, as ImageJ does above 4 GB."""
    values = np.stack([pixels(1, "uint16")[:, :, 0]] * 3)
    text = "ImageJ=1.53k\nimages=3\nslices=3\n"
    tifffile.imwrite(
        path, values[0], description=text, metadata=None, byteorder=">", photometric="minisblack"
    )
    with path.open("ab") as out:
        out.write(values[1:].astype(">u2").tobytes())


def _shaped(path: Path, **options: Any) -> None:
    """Write tifffile's own series: one page whose pixels are those of a volume."""
    tifffile.imwrite(path, np.stack([pixels(1)[:, :, 0]] * 3), **options)


def _pillow(path: Path, mode: str, **options: Any) -> None:
    image = Image.fromarray(pixels(3)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(pixels(1)[:, :, 0]))
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:29 01:02:03"
    image.save(path, "TIFF", exif=exif, **options)


def _opencv(path: Path, bands: int, kind: str, compression: int, predictor: int = 1) -> None:
    options = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    assert cv2.imwrite(str(path), pixels(bands, kind), options)


def _imagemagick(path: Path, *options: str) -> None:
    program = find_convert()
    assert program
    subprocess.run([program, "rose:", *options, f"tiff:{path}"], check=True)


def _shared_segment(path: Path) -> None:
    """Write two pages whose directories list the same strip."""
    values = pixels(1)[:, :, 0]
    tifffile.imwrite(path, values, metadata=None, photometric="minisblack")
    data = bytearray(path.read_bytes())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    link = start + 2 + 12 * count
    second = data[start:link]
    data[link : link + 4] = struct.pack("<I", len(data))
    path.write_bytes(bytes(data + second + bytes(4)))


def _appended(path: Path) -> None:
    """Write a TIFF with bytes after its last segment, and pages written at different times."""
    _pillow(path, "RGB", compression="tiff_lzw")
    tifffile.imwrite(path, pixels(1, "uint16"), append=True, photometric="minisblack")
    with path.open("ab") as out:
        out.write(b"trailing bytes")


WRITERS: dict[str, Callable[[Path], None]] = {
    "gdal-plain": _gdal,
    "gdal-uint16-tiled-lzw": lambda path: _gdal(
        *(path, 3, "uint16"), tiled=True, blockxsize=64, blockysize=64, compress="lzw", predictor=2
    ),
    "gdal-int16-nodata-deflate": lambda path: _gdal(
        *(path, 1, "int16"), nodata=-9999, compress="deflate", predictor=2
    ),
    "gdal-uint16-nodata": lambda path: _gdal(path, 2, "uint16", nodata=0),
    "gdal-bands-zstd": lambda path: _gdal(
        *(path, 7, "uint16"), compress="zstd", interleave="band", photometric="minisblack"
    ),
    "gdal-12-bits": lambda path: _gdal(path, 1, "uint16", nbits=12, compress="lzw"),
    "gdal-int32": lambda path: _gdal(path, 1, "int32", compress="zstd", predictor=2),
    "gdal-uint32-packbits": lambda path: _gdal(path, 1, "uint32", compress="packbits"),
    "gdal-mask": lambda path: _gdal(path, masked=True, compress="deflate", tiled=True),
    "gdal-overviews": lambda path: _gdal(path, overviews=(2, 4), compress="lzw"),
    "gdal-overviews-and-mask": lambda path: _gdal(
        *(path,), overviews=(2, 4), masked=True, compress="deflate", bigtiff="yes"
    ),
    "gdal-sparse-nodata": lambda path: _sparse(path, nodata=7),
    "gdal-sparse": lambda path: _sparse(path, compress="deflate"),
    "gdal-big-endian": lambda path: _gdal(path, 3, "uint16", endianness="big", compress="lzw"),
    "gdal-jpeg": lambda path: _gdal(
        *(path,), compress="jpeg", photometric="ycbcr", tiled=True, overviews=(2,)
    ),
    "gdal-jpeg-rgb": lambda path: _gdal(path, compress="jpeg", tiled=True),
    "gdal-jpeg-mask": lambda path: _gdal(
        path, compress="jpeg", photometric="ycbcr", tiled=True, masked=True
    ),
    "gdal-palette": _palette,
    "gdal-alpha": lambda path: _gdal(path, 4, alpha="yes", compress="lzw"),
    "cog-deflate": lambda path: _cog(path, compress="deflate"),
    "cog-lzw-predictor": lambda path: _cog(path, kind="uint16", compress="lzw", predictor="yes"),
    "cog-zstd": lambda path: _cog(path, bands=1, kind="uint16", compress="zstd"),
    "cog-none": lambda path: _cog(path, compress="none"),
    "cog-jpeg": lambda path: _cog(path, compress="jpeg"),
    "cog-jpeg-alpha": lambda path: _cog(path, bands=4, compress="jpeg"),
    "cog-mask-nodata": lambda path: _cog(path, bands=1, nodata=3, compress="deflate"),
    "cog-mask": _cog_mask,
    "cog-planar": lambda path: _cog(path, compress="deflate", interleave="band"),
    "vips-pyramid": lambda path: _vips(path, tile=True, pyramid=True, compression="lzw"),
    "vips-pyramid-jpeg": lambda path: _vips(path, tile=True, pyramid=True, compression="jpeg"),
    "vips-subifd-jpeg": lambda path: _vips(
        path, tile=True, pyramid=True, subifd=True, compression="jpeg", Q=95
    ),
    "vips-jpeg-rgb": lambda path: _vips(path, compression="jpeg", rgbjpeg=True, tile=True),
    "vips-uint16-deflate": lambda path: _vips(
        path, 3, "uint16", compression="deflate", predictor="horizontal", bigtiff=True
    ),
    "vips-bilevel": lambda path: _vips(path, 1, bitdepth=1, compression="ccittfax4"),
    "vips-bilevel-miniswhite": lambda path: _vips(path, 1, bitdepth=1, miniswhite=True),
    "vips-4-bits": lambda path: _vips(path, 1, bitdepth=4),
    "vips-premultiplied": lambda path: _vips(path, 4, premultiply=True, compression="deflate"),
    "ome-pyramid": _ome,
    "ome-pyramid-zlib": lambda path: _ome(path, compression="zlib", predictor=True),
    "ome-pyramid-jpeg": lambda path: _ome(path, "uint8", compression="jpeg"),
    "imagej": _imagej,
    "imagej-zlib": lambda path: _imagej(path, compression="zlib"),
    "imagej-virtual": _imagej_virtual,
    "tifffile-shaped": _shaped,
    "tifffile-shaped-truncated": lambda path: _shaped(
        path, truncate=True, photometric="minisblack"
    ),
    "pillow-rgb": lambda path: _pillow(path, "RGB"),
    "pillow-rgba-lzw": lambda path: _pillow(path, "RGBA", compression="tiff_lzw"),
    "pillow-cmyk-packbits": lambda path: _pillow(path, "CMYK", compression="packbits"),
    "pillow-palette": lambda path: _pillow(path, "P", compression="tiff_adobe_deflate"),
    "pillow-group4": lambda path: _pillow(path, "1", compression="group4"),
    "pillow-group3": lambda path: _pillow(path, "1", compression="group3"),
    "pillow-jpeg": lambda path: _pillow(path, "RGB", compression="jpeg", quality=80),
    "pillow-jpeg-ycbcr": lambda path: _pillow(path, "YCbCr", compression="jpeg", quality=80),
    "pillow-jpeg-gray": lambda path: _pillow(path, "L", compression="jpeg"),
    "opencv-lzw": lambda path: _opencv(path, 3, "uint8", 5, 2),
    "opencv-uint16-deflate": lambda path: _opencv(path, 4, "uint16", 8, 2),
    "opencv-int32": lambda path: _opencv(path, 1, "int32", 1),
    "opencv-packbits": lambda path: _opencv(path, 3, "uint16", 32773),
    "imagemagick-16": lambda path: _imagemagick(path, "-depth", "16", "-compress", "LZW"),
    "imagemagick-zip": lambda path: _imagemagick(path, "-compress", "Zip"),
    "imagemagick-rle": lambda path: _imagemagick(path, "-compress", "RLE"),
    "imagemagick-fax": lambda path: _imagemagick(path, "-monochrome", "-compress", "Fax"),
    "imagemagick-group4": lambda path: _imagemagick(path, "-monochrome", "-compress", "Group4"),
    "imagemagick-jpeg": lambda path: _imagemagick(path, "-compress", "JPEG"),
    "imagemagick-big-endian": lambda path: _imagemagick(path, "-endian", "MSB", "-depth", "16"),
    "imagemagick-lsb-fill": lambda path: _imagemagick(
        path, *("-monochrome", "-depth", "1", "-compress", "None"), "-define", "tiff:fill-order=lsb"
    ),
    "imagemagick-planes": lambda path: _imagemagick(path, "-interlace", "Plane"),
    "imagemagick-cmyk": lambda path: _imagemagick(path, "-colorspace", "CMYK", "-compress", "Zip"),
    "imagemagick-12-bits": lambda path: _imagemagick(path, "-depth", "12"),
    "imagemagick-palette-4-bits": lambda path: _imagemagick(path, "-colors", "12", "-depth", "4"),
    "imagemagick-premultiplied": lambda path: _imagemagick(
        path, "-alpha", "set", "-channel", "A", "-evaluate", "set", "50%", "-define",
        "tiff:alpha=associated",
    ),
    "shared-segment": _shared_segment,
    "appended": _appended,
}  # fmt: skip
#: What cannot be kept whole, and the reason.
REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "gdal-rgbn-nodata": (
        lambda path: _gdal(path, 4, "uint16", nodata=0, photometric="rgb", alpha="no"),
        "GDAL_NODATA",
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_negative_is_whole(name: str, tmp_path: Path, exiftool: ExifTool) -> None:
    source, target = tmp_path / "source.tif", tmp_path / "target.tif"
    WRITERS[name](source)
    negate.negate_file(source, target, MAX_PIXELS)
    problems = tiff_oracle.differences(source, target)
    problems += exiftool.differences(source, target, ["PhotometricInterpretation"])
    problems += _gdal_differences(source, target)
    assert not problems
    twice = tmp_path / "twice.tif"
    negate.negate_file(target, twice, MAX_PIXELS)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(twice) as after:
        pairs = zip(tiff_oracle.directories(before), tiff_oracle.directories(after), strict=True)
        for (_, old), (_, new) in pairs:
            assert np.array_equal(tiff_oracle.samples(old), tiff_oracle.samples(new))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_whole_is_refused(name: str, tmp_path: Path) -> None:
    write, reason = REFUSED[name]
    write(tmp_path / "source.tif")
    with pytest.raises(InvalidInput, match=reason):
        negate.negate_file(tmp_path / "source.tif", tmp_path / "target.tif", MAX_PIXELS)


def _gdal_differences(source: Path, target: Path) -> list[str]:
    """Compare what GDAL says of georeference, overviews, layout and valid pixels."""
    try:
        with rasterio.open(source) as before, rasterio.open(target) as after:
            old, new = _described(before), _described(after)
    except rasterio.errors.RasterioError:
        return []
    problems = [f"GDAL's {name}: {old[name]} became {new[name]}" for name in old
                if old[name] != new[name]]  # fmt: skip
    if not np.array_equal(decoders.valid(source), decoders.valid(target)):
        problems.append("GDAL's valid pixels are others")
    return problems + _leader_problems(target)


def _described(picture: Any) -> dict[str, Any]:
    layout = picture.tags(ns="IMAGE_STRUCTURE")
    names = ("LAYOUT", "COMPRESSION", "INTERLEAVE", "PREDICTOR")
    return {
        "overviews": [picture.overviews(band) for band in picture.indexes],
        "tags": picture.tags(),
        "layout": {name: layout.get(name) for name in names},
        "georeference": (picture.crs, picture.transform),
        "bands": (picture.dtypes, picture.colorinterp, picture.block_shapes, picture.shape),
        "masks": picture.mask_flag_enums,
        "subdatasets": len(picture.subdatasets),
    }


def _leader_problems(target: Path) -> list[str]:
    """Check the sizes around each block that GDAL's COG driver promises in its ghost area."""
    data = target.read_bytes()
    ghost = data[:1000]
    if b"BLOCK_LEADER=SIZE_AS_UINT4" not in ghost or b"KNOWN_INCOMPATIBLE_EDITION=YES" in ghost:
        return []
    problems = []
    with tifffile.TiffFile(target) as tiff:
        if b"MASK_INTERLEAVED_WITH_IMAGERY=YES" in ghost:
            problems += _mask_problems([page for _, page in tiff_oracle.directories(tiff)])
        for name, page in tiff_oracle.directories(tiff):
            for at, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                if not size:
                    continue
                leader = int.from_bytes(data[at - 4 : at], "little")
                repeated = data[at + size : at + size + 4]
                if leader != size or repeated != data[at + size - 4 : at + size]:
                    problems.append(f"{name}: a block's leader or trailer is stale")
                    break
    return problems


def _mask_problems(pages: list[Any]) -> list[str]:
    """Check that a mask's block comes right behind its picture's, with its own size before it."""
    frames = 8  # bytes: the picture's trailer, and the mask's leader
    masks = {page.shape[:2]: page for page in pages if page.photometric == 4}
    pairs = [(page, masks[page.shape[:2]]) for page in pages if page.photometric != 4]
    return [
        f"the mask's block {index} is not behind its picture's"
        for page, mask in pairs
        for index, (at, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True))
        if size and mask.databytecounts[index] and mask.dataoffsets[index] != at + size + frames
    ]
