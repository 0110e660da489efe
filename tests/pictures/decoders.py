"""Decode pictures by OpenCV, libvips, GDAL, Pillow and ImageMagick, and compare negatives.

Each decoder sees both files; what it makes of the negative must be the complement of what it makes
of the source. It is left out where it cannot decode the source, or converts its colors.
"""

import subprocess
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyvips
import rasterio
from PIL import Image

from bench.imagemagick import find_convert

Array = Any  # numpy's, which mypy does not follow
Decoder = Callable[[Path], list[Array]]
warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)


def opencv(path: Path) -> list[Array]:
    """Decode all pages."""
    is_read, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    if not is_read:
        raise ValueError("OpenCV cannot read it")
    return [page if page.ndim == 3 else page[:, :, None] for page in pages]


def libvips(path: Path) -> list[Array]:
    """Decode all pages of a TIFF and the SubIFDs of the first, or the frames of another file."""
    if path.suffix != ".tif":
        return [np.atleast_3d(pyvips.Image.new_from_file(str(path)).numpy())]
    first = pyvips.Image.new_from_file(str(path), page=0)
    names = first.get_fields()
    count = first.get("n-pages") if "n-pages" in names else 1
    images = [pyvips.Image.new_from_file(str(path), page=page) for page in range(count)]
    levels = first.get("n-subifds") if "n-subifds" in names else 0
    images += [pyvips.Image.new_from_file(str(path), subifd=level) for level in range(levels)]
    return [np.atleast_3d(image.numpy()) for image in images]


def gdal(path: Path) -> list[Array]:
    """Decode the first page, its overviews, and its validity mask."""
    with rasterio.open(path) as picture:
        arrays = [np.moveaxis(picture.read(), 0, -1)]
        for level in range(len(picture.overviews(1)) if picture.count else 0):
            with rasterio.open(path, overview_level=level) as smaller:
                arrays.append(np.moveaxis(smaller.read(), 0, -1))
        return arrays


def valid(path: Path) -> Array:
    """Return GDAL's validity masks of the first page, from NODATA, a mask or alpha."""
    with rasterio.open(path) as picture:
        return picture.read_masks()


def pillow(path: Path) -> list[Array]:
    """Decode all pages; palettes are applied."""
    frames = []
    with Image.open(path) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frame = image.copy()
            if frame.mode in ("P", "PA", "1", "LA"):
                frame = frame.convert("RGBA")
            values = np.atleast_3d(np.asarray(frame))
            frames.append(values.astype(np.uint16) if frame.mode == "I" else values)
    return frames


def timing(path: Path) -> list[Any]:
    """Return what an animation has besides pixels: loops, and each frame's duration."""
    with Image.open(path) as image:
        times = [image.info.get("loop")]
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            times.append(image.info.get("duration"))
        return times


def imagemagick(path: Path, *options: str) -> list[Array]:
    """Decode all pages to 16 bits per channel, RGBA, row after row."""
    program = find_convert()
    assert program
    source = f"{_IMAGEMAGICK_NAMES.get(path.suffix, path.suffix[1:])}:{path}"
    command = [program, source, *options, "-depth", "16", "rgba:-"]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        raise ValueError(result.stderr.decode(errors="replace"))
    return [np.frombuffer(result.stdout, np.uint16).reshape(1, -1, 4)]


_IMAGEMAGICK_NAMES = {".tif": "tiff", ".jpg": "jpeg"}
_WITH_GRAY_AS_RGB = ("OpenCV", "Pillow", "ImageMagick")
DECODERS: dict[str, Decoder] = {
    "OpenCV": opencv,
    "libvips": libvips,
    "GDAL": gdal,
    "Pillow": pillow,
    "ImageMagick": imagemagick,
}


def differences(
    before: Path,
    after: Path,
    bits: int,
    colors: int,
    *,
    tolerance: int = 0,
    names: Sequence[str] = tuple(DECODERS),
) -> list[str]:
    """Return in words what decoders make of a negative that is not the complement.

    Args:
        before: The source.
        after: The negative.
        bits: Of a sample.
        colors: How many channels are colors; further ones are equal. A palette's are 3.
        tolerance: The largest difference of samples of 8 bits, of lossy formats.
        names: Which decoders are asked.
    """
    found = []
    for name in names:
        try:
            old = DECODERS[name](before)
        except Exception:  # noqa: BLE001, S112  each has errors of its own
            continue
        try:
            new = DECODERS[name](after)
        except Exception as error:  # noqa: BLE001
            found.append(f"{name} cannot decode the result: {error}")
            continue
        bands = old[0].shape[2]
        shown = 3 if name in _WITH_GRAY_AS_RGB and bands > 2 and colors == 1 else colors
        shown = 1 if bands == 2 and colors == 3 else shown  # gray and alpha
        allowed = tolerance * (257 if name == "ImageMagick" else 1)
        if problem := _difference(old, new, bits, shown, allowed):
            found.append(f"{name}: {problem}")
    return found


def _difference(
    old: list[Array], new: list[Array], bits: int, colors: int, tolerance: int
) -> str | None:
    if [(one.shape, one.dtype) for one in old] != [(one.shape, one.dtype) for one in new]:
        return f"{[one.shape for one in old]} became {[one.shape for one in new]}"
    for number, (one, other) in enumerate(zip(old, new, strict=True), 1):
        # Decoders may scale samples, so that they fill their type.
        whole = one.dtype.itemsize * 8
        is_scaled = bits > whole or max(one.max(initial=0), other.max(initial=0)) >= 1 << bits
        wanted = complement(one, whole if is_scaled else bits, colors)
        apart = np.abs(wanted - other.astype(np.int64))
        if apart.size and apart.max() > tolerance:
            count = np.count_nonzero(apart > tolerance)
            return f"picture {number}: {count} of {apart.size} samples differ by ≤ {apart.max()}"
    return None


def complement(values: Array, bits: int, colors: int) -> Array:
    """Return the negative of decoded samples, of which the first channels are colors."""
    result = values.astype(np.int64)
    largest = -1 if values.dtype.kind == "i" else (1 << bits) - 1
    result[:, :, :colors] = largest - result[:, :, :colors]
    return result
